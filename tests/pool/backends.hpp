// What the pool's tests share: the backends they run on, and how a pool of one is made.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace pool_test {

extern int set_before_run, set_after_run;

/// RANKPOOL_TEST_RANKS says how many ranks the launch has; 0 or nothing: alone.
inline int ranks() {
    static const int count = [] {
        const char* text = std::getenv("RANKPOOL_TEST_RANKS");
        return text != nullptr ? std::atoi(text) : 0;
    }();
    return count;
}

/// Backends with processes. `automatic` is the job's ranks under a launcher. Under a launcher the others are not tried
/// again: they are what they are alone.
inline std::vector<rankpool::Backend> process_backends() { return {rankpool::Backend::automatic}; }
inline std::vector<rankpool::Backend> all_backends() {
    if (ranks() > 0) return {rankpool::Backend::automatic, rankpool::Backend::ranks, rankpool::Backend::processes};
    return {rankpool::Backend::automatic, rankpool::Backend::threads, rankpool::Backend::serial};
}

inline std::string name_of(const testing::TestParamInfo<rankpool::Backend>& info) {
    static const char* names[] = {"automatic", "ranks", "processes", "threads", "serial"};
    return names[static_cast<int>(info.param)];
}

/// A test on one backend. `isolated()` tells whether tasks run in other processes.
class OnBackend : public testing::TestWithParam<rankpool::Backend> {
  protected:
    rankpool::PoolOptions options(int workers = 3) const {
        rankpool::PoolOptions chosen;
        chosen.processes = workers;
        chosen.backend = GetParam();
        return chosen;
    }
    bool isolated() const { return GetParam() != rankpool::Backend::threads && GetParam() != rankpool::Backend::serial; }
};

/// Declares a suite on all backends, or on those with processes.
#define ON_ALL_BACKENDS(suite) INSTANTIATE_TEST_SUITE_P(Pools, suite, testing::ValuesIn(pool_test::all_backends()), pool_test::name_of)
#define ON_PROCESSES(suite) INSTANTIATE_TEST_SUITE_P(Pools, suite, testing::ValuesIn(pool_test::process_backends()), pool_test::name_of)

}  // namespace pool_test
