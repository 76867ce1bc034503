#include <rankpool/wire/buffer.hpp>

#include <sys/mman.h>

#include <cstdint>

#include "os/memory.hpp"

namespace rankpool::wire {

void prefer_large_pages(void* memory, std::size_t bytes) noexcept {
    const auto begin = os::whole_pages(reinterpret_cast<std::uintptr_t>(memory));
    const auto end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) / os::page_size() * os::page_size();
    if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace rankpool::wire
