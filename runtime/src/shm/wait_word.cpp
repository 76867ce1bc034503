#include "shm/wait_word.hpp"

#include "shm/epoch_word.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace rankpool::shm {
namespace {

// The futex is not PRIVATE: its word lies in memory that several processes map.
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* limit) {
    return syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, limit, nullptr, 0);
}

void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// A peer that is running answers within this time; after it, others are let to run in between.
constexpr std::chrono::nanoseconds spin_alone{2'000};

// Looks until `ready`, for as long as `patience` allows.
template <class Ready>
bool watch(Patience patience, Ready&& ready) {
    using Clock = std::chrono::steady_clock;
    if (patience.spin.count() > 0) {
        const auto begin = Clock::now();
        for (auto now = begin; now - begin < patience.spin; now = Clock::now()) {
            for (int i = 0; i < 32; ++i) {  // looking at the clock costs as much as a dozen looks at the word
                if (ready()) return true;
                pause_cpu();
            }
            // Whoever is awaited may have been put on this very CPU.
            if (now - begin > spin_alone) sched_yield();
        }
    }
    for (int i = 0; i < patience.yields; ++i) {
        sched_yield();
        if (ready()) return true;
    }
    return false;
}

bool timed_out(std::atomic<std::uint32_t>& word, std::uint32_t value, std::chrono::nanoseconds limit) {
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(limit);
    const timespec time{static_cast<time_t>(whole.count()), static_cast<long>((limit - whole).count())};
    return futex(word, FUTEX_WAIT, value, &time) != 0 && errno == ETIMEDOUT;
}

}  // namespace

Patience Patience::for_runners(int runners, int cpus) {
    using namespace std::chrono_literals;
    if (runners <= cpus) return {.spin = 50us, .yields = 0};
    return {.spin = 0us, .yields = 8};
}

void WaitWord::signal() noexcept {
    // acq_rel: releases what the signaller wrote to the waiter's acquire in ticket(), and orders its test of the
    // sleeper bit after those writes.
    const std::uint32_t old = word_.fetch_add(event, std::memory_order_acq_rel);
    if ((old & sleeper) == 0) return;
    word_.fetch_and(~sleeper, std::memory_order_acq_rel);
    futex(word_, FUTEX_WAKE, INT_MAX, nullptr);
}

void WaitWord::notice() noexcept {
    word_.fetch_add(event, std::memory_order_acq_rel);
    word_.fetch_and(~sleeper, std::memory_order_acq_rel);
    futex(word_, FUTEX_WAKE, INT_MAX, nullptr);
}

bool WaitWord::wait(Ticket ticket, Patience patience, std::chrono::nanoseconds limit) noexcept {
    const auto changed = [&] { return this->ticket() != ticket; };
    if (changed()) return true;
    if (limit.count() <= 0) return false;
    if (watch(patience, changed)) return true;
    std::uint32_t seen = ticket;
    if (!word_.compare_exchange_strong(seen, ticket | sleeper, std::memory_order_acq_rel) && seen != (ticket | sleeper))
        return true;
    return !timed_out(word_, ticket | sleeper, limit) || changed();
}

bool EpochWord::watch(std::uint64_t epoch, Patience patience, Match match) const noexcept {
    return reached(epoch, match) || shm::watch(patience, [&] { return reached(epoch, match); });
}

void EpochWord::sleep(std::uint64_t epoch, std::chrono::nanoseconds limit, Match match) noexcept {
    std::uint32_t seen = word_.load(std::memory_order_acquire);
    while ((seen & sleeper) == 0) {
        if (is_reached(seen, epoch, match)) return;
        if (word_.compare_exchange_weak(seen, seen | sleeper, std::memory_order_acq_rel)) seen |= sleeper;
    }
    if (!is_reached(seen, epoch, match)) (void)timed_out(word_, seen, limit);
}

void EpochWord::wake_all() noexcept { futex(word_, FUTEX_WAKE, INT_MAX, nullptr); }

}  // namespace rankpool::shm
