#include "pool/shared_heap.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>

#include "os/own_pid.hpp"
#include <rankpool/shared_vector.hpp>

namespace rankpool::pool {
namespace {

std::mutex mutex;
SharedHeap* heap = nullptr;  // never deleted: vectors may outlive everything else
pid_t owner = 0;
std::atomic<const SharedHeap*> used{nullptr};

}  // namespace

const SharedHeap* SharedHeap::if_used() {
    const SharedHeap* found = used.load(std::memory_order_acquire);
    return found != nullptr && owner == os::own_pid() ? found : nullptr;  // a copy made by the program's own fork has its own
}

std::byte* SharedHeap::allocate(std::size_t bytes) {
    std::byte* block = arena_.at(arena_.allocate(bytes));
    used.store(this, std::memory_order_release);
    return block;
}

SharedHeap& SharedHeap::instance() {
    std::lock_guard lock(mutex);
    if (heap == nullptr || owner != getpid()) {
        heap = new SharedHeap;
        used = nullptr;
        owner = getpid();
    }
    return *heap;
}

std::optional<std::uint64_t> SharedHeap::find(const std::byte* bytes, std::size_t count) const {
    const std::less_equal<const std::byte*> not_after;
    const std::byte* begin = arena_.at(0);
    const std::uint64_t size = arena_.size();
    if (count == 0 || !not_after(begin, bytes) || !not_after(bytes, begin + size)) return std::nullopt;
    const auto offset = static_cast<std::uint64_t>(bytes - begin);
    if (count > size - offset) return std::nullopt;
    return offset;
}

void* allocate_shared(std::size_t bytes) {
    std::byte* block = SharedHeap::instance().allocate(bytes);
    // All pages at once: a hint. Those at the ends, which other blocks may share, stay as they are.
    const std::size_t before = reinterpret_cast<std::uintptr_t>(block) % os::page_size();
    (void)madvise(block - before, os::whole_pages(before + bytes), MADV_POPULATE_WRITE);
    return block;
}

void release_shared(void* block, std::size_t bytes, pid_t allocated_by) noexcept {
    if (block == nullptr || allocated_by != getpid()) return;  // a copy made by the program's own fork: the original has it
    SharedHeap::instance().release(static_cast<std::byte*>(block), bytes);
}

}  // namespace rankpool::pool
