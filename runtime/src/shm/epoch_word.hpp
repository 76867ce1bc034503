// A number in shared memory that only grows, and that others wait for: which operation a rank has come to.
//
// Protocol. The word is (epoch << 1 | sleeper). Epochs are compared by their difference, so they may wrap.
//   publish: old = exchange(epoch << 1); if old had the sleeper bit: wake all.
//   arrive:  old = fetch_add(2); if that made the expected count, and old had the sleeper bit: clear it, wake all.
//   wait:    look for a bounded time; then set the sleeper bit by compare-exchange on a value that is too small, and
//            futex-wait for exactly that value.
// Invariants:
//   1. A waiter sleeps only on a value that carries the bit and an epoch that is too small.
//   2. A publication after that changes the value: either the compare-exchange fails, or the kernel's comparison does,
//      or the publisher got the bit out of its own exchange, and wakes. So no wake-up is lost.
// tests/model/slot_word.pml checks them. Nobody holds anything while it waits: a process may be killed at any point.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "shm/wait_word.hpp"

namespace rankpool::shm {

class EpochWord {
  public:
    /// What was written before is seen by everyone who has seen the epoch reached.
    void publish(std::uint64_t epoch) noexcept {
        if ((word_.exchange(static_cast<std::uint32_t>(epoch << 1), std::memory_order_acq_rel) & sleeper) != 0) wake_all();
    }

    /// One more; whoever makes it `count` wakes those who wait for that.
    void arrive(std::uint64_t count) noexcept {
        const std::uint32_t old = word_.fetch_add(2, std::memory_order_acq_rel);
        if ((old & sleeper) == 0 || (old & ~sleeper) + 2 != static_cast<std::uint32_t>(count << 1)) return;
        word_.fetch_and(~sleeper, std::memory_order_acq_rel);
        wake_all();
    }

    /// `exactly`: of a word that may not have been written for very long, and then seems to be ahead.
    enum class Match { at_least, exactly };

    bool reached(std::uint64_t epoch, Match match = Match::at_least) const noexcept { return is_reached(word_.load(std::memory_order_acquire), epoch, match); }

    /// The epoch that it has come to, given that it has reached `epoch` and is less than 2^30 ahead.
    std::uint64_t latest(std::uint64_t epoch) const noexcept {
        return epoch + ((word_.load(std::memory_order_acquire) & ~sleeper) - static_cast<std::uint32_t>(epoch << 1)) / 2;
    }

    /// Looks for as long as `patience` allows; whether it was reached.
    bool watch(std::uint64_t epoch, Patience patience, Match match) const noexcept;
    /// Sleeps until it may have been reached, or `limit` has passed.
    void sleep(std::uint64_t epoch, std::chrono::nanoseconds limit, Match match) noexcept;

  private:
    static constexpr std::uint32_t sleeper = 1;
    static bool is_reached(std::uint32_t word, std::uint64_t epoch, Match match) noexcept {
        const auto ahead = static_cast<std::int32_t>((word & ~sleeper) - static_cast<std::uint32_t>(epoch << 1));
        return match == Match::exactly ? ahead == 0 : ahead >= 0;
    }
    void wake_all() noexcept;

    std::atomic<std::uint32_t> word_;
};
static_assert(sizeof(EpochWord) == 4, "a futex is 32 bits");

}  // namespace rankpool::shm
