// What a pool's workers have done so far.
//
//     for (const auto& worker : pool.stats().workers) std::cout << worker.worker.index << ": " << worker.items << " items\n";
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include <rankpool/worker.hpp>

namespace rankpool {

/// One worker, the processes that it replaced included.
struct WorkerStats {
    WorkerInfo worker;
    std::uint64_t items = 0;           ///< run to their end, those that threw included
    std::uint64_t losses = 0;          ///< processes that ended unasked; a time-out is no loss
    std::uint64_t restarts = 0;        ///< processes that were replaced, for whatever reason
    std::chrono::nanoseconds busy{0};  ///< spent on items; of worker processes also on those that still run
};

/// The whole pool. `imbalance` is the largest busy time over the mean, less 1: 0 when all were equally busy.
struct PoolStats {
    std::vector<WorkerStats> workers;
    std::uint64_t items = 0;   ///< that have their result or error
    std::uint64_t errors = 0;  ///< of them, those that failed
    double imbalance = 0;
    std::uint64_t reused = 0;  ///< of the items, those whose result a checkpoint's journal had
};

}  // namespace rankpool
