// How soon an end must be seen where nothing tells of it (MPI has no wait that sleeps): each look costs a CPU that a worker may
// have, each delay may leave workers without work. A quarter of what batches take is little of either.
#pragma once

#include <algorithm>
#include <chrono>

namespace rankpool::pool {

class Pace {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::nanoseconds shortest = std::chrono::microseconds(50), longest = std::chrono::milliseconds(1);

    /// A batch was given where there was none.
    void begin(Clock::time_point now) { since_ = now; }
    /// A batch is over.
    void over(Clock::time_point now) {
        const auto took = now - since_;
        usual_ = usual_ == Clock::duration::zero() ? took : (3 * usual_ + took) / 4;
        since_ = now;
    }
    /// The next look should come within this time.
    std::chrono::nanoseconds look_within(Clock::time_point now) const {
        return std::clamp<std::chrono::nanoseconds>(std::max(usual_, now - since_) / 4, shortest, longest);
    }

  private:
    Clock::time_point since_{};
    Clock::duration usual_{};
};

}  // namespace rankpool::pool
