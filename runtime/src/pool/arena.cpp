#include "pool/arena.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cassert>
#include <iterator>

#include "os/failure.hpp"
#include <rankpool/error.hpp>

namespace rankpool::pool {
namespace {

// Memory comes in pieces of this size or more.
constexpr std::uint64_t smallest_piece = std::uint64_t{1} << 20;
// Where so much is free with memory behind it, what is released gives its pages back, if they are as many as a piece.
constexpr std::uint64_t most_kept = std::uint64_t{32} << 20;

std::uint64_t rounded(std::size_t bytes) {
    return std::max<std::uint64_t>(Arena::alignment, (bytes + Arena::alignment - 1) / Arena::alignment * Arena::alignment);
}
std::uint64_t page_before(std::uint64_t offset) { return offset / os::page_size() * os::page_size(); }

}  // namespace

Arena::Arena() : fd_(os::create_memory("rankpool-arena", 0)), read_only_(os::read_only_descriptor(fd_.get())) {
    mapping_ = map_far(fd_.get(), os::Mapping::Access::read_write);
}

os::Mapping Arena::map_far(int fd, os::Mapping::Access access) {
    for (std::size_t bytes = std::size_t{1} << 40;; bytes /= 4) {
        try {
            return os::Mapping(fd, 0, bytes, access);
        } catch (const Error&) {
            if (bytes <= (std::size_t{1} << 30)) throw;  // an address-space limit: take what there is
        }
    }
}

std::uint64_t Arena::allocate(std::size_t bytes) {
    const std::uint64_t wanted = rounded(bytes);
    std::lock_guard lock(mutex_);
    auto best = free_.end();
    for (auto block = free_.begin(); block != free_.end(); ++block)
        if (block->second >= wanted && (best == free_.end() || block->second < best->second)) best = block;
    if (best == free_.end()) best = grow(wanted);
    // Its end: so it keeps its place in the table, also when that comes back.
    const std::uint64_t offset = best->first + best->second - wanted;
    fill_holes(offset, offset + wanted);
    best->second -= wanted;
    kept_ -= wanted;
    if (best->second == 0) free_.erase(best);
    return offset;
}

void Arena::release(std::uint64_t offset, std::size_t bytes) {
    std::lock_guard lock(mutex_);
    kept_ += rounded(bytes);
    const auto block = add_free(offset, rounded(bytes));
    if (kept_ >= most_kept) give_back(block);
}

// Adds a free block, which becomes one with those that it touches.
Arena::Blocks::iterator Arena::add_free(std::uint64_t offset, std::uint64_t bytes) {
    const auto next = free_.lower_bound(offset);
    auto block = next == free_.begin() ? free_.end() : std::prev(next);
    assert(offset + bytes <= size_ && (next == free_.end() || offset + bytes <= next->first) && (block == free_.end() || block->first + block->second <= offset));
    if (block != free_.end() && block->first + block->second == offset)
        block->second += bytes;
    else
        block = free_.emplace_hint(next, offset, bytes);
    if (next != free_.end() && block->first + block->second == next->first) {
        block->second += next->second;
        free_.erase(next);
    }
    return block;
}

// Makes the arena larger, so that a free block at its end has this size.
Arena::Blocks::iterator Arena::grow(std::uint64_t wanted) {
    const bool touches = !free_.empty() && free_.rbegin()->first + free_.rbegin()->second == size_;
    const std::uint64_t missing = wanted - (touches ? free_.rbegin()->second : 0);
    const std::uint64_t growth = os::whole_pages(std::max(missing, smallest_piece));
    if (size_ + growth > mapping_.size())
        throw Error("shared memory: " + std::to_string(size_ + growth) + " bytes do not fit into this process's address space");
    os::reserve_memory(fd_.get(), size_, growth);
    size_ += growth;
    kept_ += growth;
    return add_free(size_ - growth, growth);
}

// Sees to it that there is memory behind [begin, end): a piece at least where there was none, downwards, where the next block
// will be.
void Arena::fill_holes(std::uint64_t begin, std::uint64_t end) {
    auto hole = holes_.lower_bound(begin);
    if (hole != holes_.begin() && std::prev(hole)->first + std::prev(hole)->second > begin) --hole;
    while (hole != holes_.end() && hole->first < end) {
        const auto [first, bytes] = *hole;
        const std::uint64_t last = first + bytes, to = std::min(last, os::whole_pages(end));
        std::uint64_t from = std::max(first, page_before(begin));
        if (to - from < smallest_piece) from = to - std::min(smallest_piece, to - first);
        os::reserve_memory(fd_.get(), from, to - from);
        kept_ += to - from;
        hole = holes_.erase(hole);
        if (first < from) holes_.emplace(first, from - first);
        if (to < last) holes_.emplace(to, last - to);
    }
}

void Arena::give_back(Blocks::iterator block) {
    const std::uint64_t begin = os::whole_pages(block->first), end = page_before(block->first + block->second);
    const auto first = holes_.lower_bound(begin), last = holes_.lower_bound(end);
    std::uint64_t pages = end > begin ? end - begin : 0;
    for (auto hole = first; hole != last; ++hole) pages -= hole->second;
    if (pages < smallest_piece) return;
    if (fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin), static_cast<off_t>(end - begin)) != 0) return;
    holes_.erase(first, last);
    holes_.emplace(begin, end - begin);
    kept_ -= pages;
}

}  // namespace rankpool::pool
