#include "os/own_pid.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include "os/memory.hpp"

namespace rankpool::os {
namespace {

using Pid = std::atomic<pid_t>;

// A page that the kernel clears in every copy of the process, however it is made; null where it cannot.
Pid* cleared_by_fork() noexcept {
    void* page = mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return nullptr;
    if (madvise(page, page_size(), MADV_WIPEONFORK) == 0) return new (page) Pid(0);
    munmap(page, page_size());
    return nullptr;
}

}  // namespace

pid_t own_pid() noexcept {
    static Pid* const known = cleared_by_fork();
    if (known == nullptr) return getpid();
    pid_t pid = known->load(std::memory_order_relaxed);
    if (pid == 0) {
        pid = getpid();
        known->store(pid, std::memory_order_relaxed);
    }
    return pid;
}

}  // namespace rankpool::os
