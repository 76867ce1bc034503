#include "pool/arena.hpp"

#include <fcntl.h>

#include <algorithm>

#include "os/failure.hpp"
#include <rankpool/error.hpp>

namespace rankpool::pool {
namespace {

constexpr std::size_t smallest_growth = std::size_t{1} << 20;
// A free block of this size or more gives its pages back.
constexpr std::size_t kept_free = std::size_t{32} << 20;

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
    const std::uint64_t wanted = std::max<std::uint64_t>(alignment, (bytes + alignment - 1) / alignment * alignment);
    std::lock_guard lock(mutex_);
    auto best = free_.end();
    for (auto block = free_.begin(); block != free_.end(); ++block)
        if (block->second >= wanted && (best == free_.end() || block->second < best->second)) best = block;
    if (best == free_.end()) {
        const std::uint64_t growth = os::whole_pages(std::max<std::size_t>(wanted, smallest_growth));
        if (size_ + growth > mapping_.size())
            throw Error("shared memory: " + std::to_string(size_ + growth) + " bytes do not fit into this process's address space");
        os::reserve_memory(fd_.get(), size_, growth);
        add_free(size_, growth);
        size_ += growth;
        best = std::prev(free_.end());
    } else if (holes_) {
        os::reserve_memory(fd_.get(), best->first, wanted);
    }
    const auto [offset, room] = *best;
    free_.erase(best);
    if (room > wanted) free_.emplace(offset + wanted, room - wanted);
    used_.emplace(offset, wanted);
    return offset;
}

void Arena::release(std::uint64_t offset) {
    std::lock_guard lock(mutex_);
    const auto block = used_.find(offset);
    if (block == used_.end()) return;
    const std::uint64_t bytes = block->second;
    used_.erase(block);
    add_free(offset, bytes);
}

void Arena::add_free(std::uint64_t offset, std::uint64_t bytes) {
    auto next = free_.lower_bound(offset);
    if (next != free_.end() && offset + bytes == next->first) {
        bytes += next->second;
        next = free_.erase(next);
    }
    if (next != free_.begin()) {
        const auto before = std::prev(next);
        if (before->first + before->second == offset) {
            offset = before->first;
            bytes += before->second;
            free_.erase(before);
        }
    }
    free_.emplace(offset, bytes);
    if (bytes < kept_free) return;
    holes_ = true;  // only whole pages go; from now on space is reserved anew before it is used
    (void)fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(os::whole_pages(offset)),
                    static_cast<off_t>((offset + bytes) / os::page_size() * os::page_size() - os::whole_pages(offset)));
}

}  // namespace rankpool::pool
