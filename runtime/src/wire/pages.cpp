#include <sys/mman.h>

#include "os/memory.hpp"
#include <rankpool/wire/buffer.hpp>

namespace rankpool::wire {
namespace {

// Smaller memory is likely to be some that was used before, and has its pages.
constexpr std::size_t fresh_memory = std::size_t{4} << 20;

void advise(void* memory, std::size_t bytes, int advice) noexcept {
    if (bytes < fresh_memory) return;
    const auto begin = os::whole_pages(reinterpret_cast<std::uintptr_t>(memory));
    const auto end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) / os::page_size() * os::page_size();
    (void)madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

}  // namespace

void prepare_pages(void* memory, std::size_t bytes) noexcept {
    prefer_large_pages(memory, bytes);
    advise(memory, bytes, MADV_POPULATE_WRITE);
}

void prefer_large_pages(void* memory, std::size_t bytes) noexcept { advise(memory, bytes, MADV_HUGEPAGE); }

}  // namespace rankpool::wire
