// The waiting word: one 32-bit word in shared memory through which a process sleeps until another has done something.
//
// Protocol. Bit 0 says "somebody may sleep", the other 31 bits count events.
//   signal:  old = fetch_add(2); if old had bit 0: clear it, wake all.
//   wait:    seen = load; if the condition holds, done; else spin while the word equals `seen`, for a bounded time;
//            then set bit 0 by compare-exchange on `seen` and futex-wait for exactly that value.
// Invariants:
//   1. A waiter sleeps only on a value that carries bit 0 and the count it saw before it tested its condition.
//   2. An event after that test changes the count: either the compare-exchange fails, or the kernel's own comparison
//      does, or the signaller saw bit 0 and wakes after changing the word. So no wake-up is lost.
//   3. A waker clears bit 0 before it wakes; a waiter that set it again in between is woken once for nothing.
// Nobody holds anything while it waits: a process may be killed at any point of this and stops nobody for longer than the
// limit of a wait. (One that dies between clearing bit 0 and waking leaves sleepers that later signals do not see.) So
// notices of a death wake whether or not bit 0 is set. tests/model/wait_word.pml checks all of this.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace rankpool::shm {

/// How long to look before sleeping. A sleeping peer costs 50 us to wake, a spinning one 0.1 us; but a spinning process
/// holds a CPU that the one it waits for may need.
struct Patience {
    std::chrono::nanoseconds spin{0};
    int yields = 0;

    /// Spins when every runner has a CPU, else yields a few times. `runners` counts the processes that share `cpus`.
    static Patience for_runners(int runners, int cpus);
};

class WaitWord {
  public:
    using Ticket = std::uint32_t;

    /// The state to compare with later. Take it, test the condition, then wait() with it.
    Ticket ticket() const noexcept { return word_.load(std::memory_order_acquire) & ~sleeper; }

    /// Something happened. What was written before is seen by everyone whose next ticket() or wait() returns after it.
    void signal() noexcept;

    /// The same for news of a process that has died, maybe in the middle of a signal: wakes even those whom that one would
    /// have woken.
    void notice() noexcept;

    /// Returns when the state may have changed since `ticket`, or after `limit`; false in the latter case. May return
    /// early for no reason.
    bool wait(Ticket ticket, Patience patience, std::chrono::nanoseconds limit) noexcept;

  private:
    static constexpr std::uint32_t sleeper = 1;
    static constexpr std::uint32_t event = 2;

    std::atomic<std::uint32_t> word_{0};
};
static_assert(sizeof(WaitWord) == 4, "a futex is 32 bits");

}  // namespace rankpool::shm
