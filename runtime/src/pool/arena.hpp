// The pool's own memory that its workers can read but not write: job blocks, staged and serialized items.
//
// One memfd that only grows; workers map it once, far beyond its present end, so nothing has to be announced when it
// does. Blocks are reused: touching fresh shared memory costs thirty times as much as the copy into it. Where much is free,
// pages are given back; such holes get memory again, a large piece at a time, before they are used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "os/memory.hpp"

namespace rankpool::pool {

class Arena {
  public:
    static constexpr std::size_t alignment = 64;

    Arena();

    /// Offset of a fresh block of `bytes`, its space reserved. Throws Error when the machine has no room.
    std::uint64_t allocate(std::size_t bytes);
    /// The same number of bytes as it was allocated with.
    void release(std::uint64_t offset, std::size_t bytes);

    std::byte* at(std::uint64_t offset) const { return mapping_.data() + offset; }
    std::uint64_t offset_of(const std::byte* place) const { return static_cast<std::uint64_t>(place - mapping_.data()); }
    /// As much as was ever in use.
    std::uint64_t size() const {
        std::lock_guard lock(mutex_);
        return size_;
    }
    int fd() const { return fd_.get(); }
    /// Through which others can only read.
    int read_only_fd() const { return read_only_.get(); }

    /// The view a worker takes: as much address space as it can get.
    static os::Mapping map_far(int fd, os::Mapping::Access access);

  private:
    using Blocks = std::map<std::uint64_t, std::uint64_t>;  // offset -> bytes, never adjacent

    Blocks::iterator add_free(std::uint64_t offset, std::uint64_t bytes);
    Blocks::iterator grow(std::uint64_t wanted);
    void fill_holes(std::uint64_t begin, std::uint64_t end);
    void give_back(Blocks::iterator block);

    mutable std::mutex mutex_;
    os::UniqueFd fd_, read_only_;
    os::Mapping mapping_;
    std::uint64_t size_ = 0;
    Blocks free_;
    Blocks holes_;            // of the free blocks, whole pages without memory behind them
    std::uint64_t kept_ = 0;  // free bytes with memory
};

/// A block of an arena with one owner.
class ArenaBlock {
  public:
    ArenaBlock() = default;
    ArenaBlock(Arena& arena, std::size_t bytes) : arena_(&arena), offset_(arena.allocate(bytes)), bytes_(bytes) {}
    ArenaBlock(ArenaBlock&& other) noexcept
        : arena_(std::exchange(other.arena_, nullptr)), offset_(other.offset_), bytes_(other.bytes_) {}
    ArenaBlock& operator=(ArenaBlock&& other) noexcept {
        std::swap(arena_, other.arena_);
        std::swap(offset_, other.offset_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~ArenaBlock() {
        if (arena_ != nullptr) arena_->release(offset_, bytes_);
    }
    explicit operator bool() const { return arena_ != nullptr; }
    std::byte* data() const { return arena_->at(offset_); }
    std::uint64_t offset() const { return offset_; }
    std::size_t size() const { return bytes_; }

  private:
    Arena* arena_ = nullptr;
    std::uint64_t offset_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace rankpool::pool
