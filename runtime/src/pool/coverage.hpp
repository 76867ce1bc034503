// Which items of a job have their result.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace rankpool::pool {

class Coverage {
  public:
    Coverage(std::uint64_t first, std::uint64_t count) : first_(first), count_(count), words_((count + 63) / 64) {}

    std::uint64_t first() const { return first_; }
    std::uint64_t end() const { return first_ + count_; }
    std::uint64_t done() const { return done_; }
    bool complete() const { return done_ == count_; }
    bool inside(std::uint64_t begin, std::uint64_t count) const {
        return begin >= first_ && begin - first_ <= count_ && count <= count_ - (begin - first_);
    }
    bool has(std::uint64_t index) const { return (words_[(index - first_) / 64] >> ((index - first_) % 64) & 1) != 0; }

    /// How many of [begin, begin + count) have theirs.
    std::uint64_t count(std::uint64_t begin, std::uint64_t count) const {
        std::uint64_t found = 0;
        for_words(begin, count, [&](std::uint64_t word, std::uint64_t mask) {
            if (const std::uint64_t both = words_[word] & mask; both != 0) found += static_cast<std::uint64_t>(std::popcount(both));
        });
        return found;
    }

    /// Marks [begin, begin + count), which must lie inside. Returns how many were new.
    std::uint64_t add(std::uint64_t begin, std::uint64_t count) {
        std::uint64_t known = 0;
        for_words(begin, count, [&](std::uint64_t word, std::uint64_t mask) {
            if (const std::uint64_t both = words_[word] & mask; both != 0) known += static_cast<std::uint64_t>(std::popcount(both));
            words_[word] |= mask;
        });
        done_ += count - known;
        return count - known;
    }

    /// The first stretch without results at or after `from`; empty (begin == end) when there is none.
    struct Gap {
        std::uint64_t begin, end;
    };
    Gap gap(std::uint64_t from) const {
        std::uint64_t begin = from;
        while (begin < end() && has(begin)) begin = skip(begin);
        std::uint64_t stop = begin;
        while (stop < end() && !has(stop)) ++stop;
        return {begin, stop};
    }

  private:
    // Calls `use` with the index of each word that holds part of the stretch, and the mask of that part.
    template <class Use>
    void for_words(std::uint64_t begin, std::uint64_t count, Use&& use) const {
        const std::uint64_t at = begin - first_, end = at + count;
        const auto below = [](std::uint64_t bit) { return (std::uint64_t{1} << bit) - 1; };  // of 64
        if (count == 0) return;
        if (at / 64 == (end - 1) / 64) return use(at / 64, ~below(at % 64) & (~std::uint64_t{0} >> (63 - (end - 1) % 64)));
        if (at % 64 != 0) use(at / 64, ~below(at % 64));
        for (std::uint64_t word = (at + 63) / 64; word < end / 64; ++word) use(word, ~std::uint64_t{0});
        if (end % 64 != 0) use(end / 64, below(end % 64));
    }

    std::uint64_t skip(std::uint64_t index) const {
        const std::uint64_t at = index - first_;
        return at % 64 == 0 && words_[at / 64] == ~std::uint64_t{0} ? index + 64 : index + 1;
    }

    std::uint64_t first_, count_, done_ = 0;
    std::vector<std::uint64_t> words_;
};

}  // namespace rankpool::pool
