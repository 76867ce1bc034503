// The steady clock, some milliseconds behind at most, and cheaper to read.
#pragma once

#include <chrono>
#include <ctime>

namespace rankpool::os {

inline std::chrono::steady_clock::time_point coarse_now() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return std::chrono::steady_clock::time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace rankpool::os
