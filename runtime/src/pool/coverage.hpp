// Which items of a job have their result.
//
// A bit for each item, in blocks: of a block of which none or all have theirs nobody looks at the bits. So many items that
// come in long stretches cost as little as few, and items that come one by one, in any order, no more than a bit.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

namespace rankpool::pool {

class Coverage {
  public:
    Coverage(std::uint64_t first, std::uint64_t count)
        : first_(first), count_(count), filled_((count + block_items - 1) / block_items), words_(std::make_unique_for_overwrite<std::uint64_t[]>((count + 63) / 64)) {}

    std::uint64_t first() const { return first_; }
    std::uint64_t end() const { return first_ + count_; }
    std::uint64_t done() const { return done_; }
    bool complete() const { return done_ == count_; }
    bool inside(std::uint64_t begin, std::uint64_t count) const {
        return begin >= first_ && begin - first_ <= count_ && count <= count_ - (begin - first_);
    }
    bool has(std::uint64_t index) const {
        const std::uint64_t at = index - first_, block = at / block_items;
        if (filled_[block] == 0 || filled_[block] == size_of(block)) return filled_[block] != 0;
        return (words_[at / 64] >> (at % 64) & 1) != 0;
    }

    /// How many of [begin, begin + count) have theirs.
    std::uint64_t count(std::uint64_t begin, std::uint64_t count) const {
        if (count == 1) return has(begin) ? 1 : 0;
        std::uint64_t found = 0;
        for_parts(begin, count, [&](const Part& part) { found += count_part(part); });
        return found;
    }

    /// Marks [begin, begin + count), which must lie inside. Returns how many were new.
    std::uint64_t add(std::uint64_t begin, std::uint64_t count) {
        std::uint64_t added = 0;
        for_parts(begin, count, [&](const Part& part) {
            const std::uint64_t here = part.end - part.begin - (count == 1 ? this->count(begin, 1) : count_part(part));
            if (here == 0) return;
            if (part.end - part.begin < size_of(part.block)) mark(part);  // else the block is full now: nobody asks for its bits
            filled_[part.block] = static_cast<std::uint16_t>(filled_[part.block] + here);
            added += here;
        });
        done_ += added;
        return added;
    }

    /// The first stretch without results at or after `from`; empty (begin == end) when there is none.
    struct Gap {
        std::uint64_t begin, end;
    };
    Gap gap(std::uint64_t from) const {
        const std::uint64_t begin = end_of_run(from, true);
        return {begin, end_of_run(begin, false)};
    }

  private:
    static constexpr std::uint64_t block_items = 4096;
    // Items [begin, end) of the job that lie in one block, counted from the job's first.
    struct Part {
        std::uint64_t block, begin, end;
    };

    std::uint64_t size_of(std::uint64_t block) const { return std::min(block_items, count_ - block * block_items); }

    template <class Use>
    void for_parts(std::uint64_t begin, std::uint64_t count, Use&& use) const {
        const std::uint64_t end = begin - first_ + count;
        for (std::uint64_t at = begin - first_; at < end;) {
            const std::uint64_t block = at / block_items, stop = std::min(end, (block + 1) * block_items);
            use(Part{block, at, stop});
            at = stop;
        }
    }

    // Calls `use` with the index of each word that holds items of the part, and the mask of those.
    template <class Use>
    static void for_words(const Part& part, Use&& use) {
        for (std::uint64_t at = part.begin; at < part.end;) {
            const std::uint64_t stop = std::min(part.end, (at / 64 + 1) * 64);
            use(at / 64, ~std::uint64_t{0} >> (64 - (stop - at)) << (at % 64));
            at = stop;
        }
    }

    std::uint64_t count_part(const Part& part) const {
        if (filled_[part.block] == 0) return 0;
        if (filled_[part.block] == size_of(part.block)) return part.end - part.begin;
        std::uint64_t found = 0;
        for_words(part, [&](std::uint64_t word, std::uint64_t mask) { found += static_cast<std::uint64_t>(std::popcount(words_[word] & mask)); });
        return found;
    }

    void mark(const Part& part) {
        if (filled_[part.block] == 0) std::fill_n(&words_[part.block * block_items / 64], (size_of(part.block) + 63) / 64, std::uint64_t{0});
        for_words(part, [&](std::uint64_t word, std::uint64_t mask) { words_[word] |= mask; });
    }

    // Where the items from `index` on that have their result, or that have none, end.
    std::uint64_t end_of_run(std::uint64_t index, bool with_result) const {
        while (index < end() && has(index) == with_result) {
            const std::uint64_t at = index - first_, block = at / block_items;
            const bool uniform = filled_[block] == 0 || filled_[block] == size_of(block);
            index += uniform ? std::min((block + 1) * block_items, count_) - at : 1;
        }
        return index;
    }

    std::uint64_t first_, count_, done_ = 0;
    std::vector<std::uint16_t> filled_;       // of each block: items that have their result
    std::unique_ptr<std::uint64_t[]> words_;  // a bit for each item, of blocks that are neither empty nor full
};

}  // namespace rankpool::pool
