// Memory of this process that the workers of all its pools see: what shared_vector allocates.
//
// One arena a process, made before its first worker, which gets both of its descriptors. Workers read it through one
// mapping and write results through another. Whether a call's input or output lies here is told by its address, so the
// typed side knows nothing of it.
//
// Workers read and write it in place while a job runs. So a job that touches it is over only when no worker works on it
// any more (engine.cpp): afterwards the memory may be freed and belong to something else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "pool/arena.hpp"

namespace rankpool::pool {

class SharedHeap {
  public:
    /// That of this process; made when it is first asked for. A process made by the program's own fork has its own.
    static SharedHeap& instance();
    /// The same; null as long as nothing was allocated in it.
    static const SharedHeap* if_used();

    std::byte* allocate(std::size_t bytes);
    void release(std::byte* block, std::size_t bytes) { arena_.release(arena_.offset_of(block), bytes); }
    /// Where these bytes lie in the heap; empty when they do not, or not all of them.
    std::optional<std::uint64_t> find(const std::byte* bytes, std::size_t count) const;

    int fd() const { return arena_.fd(); }
    int read_only_fd() const { return arena_.read_only_fd(); }

  private:
    Arena arena_;
};

}  // namespace rankpool::pool
