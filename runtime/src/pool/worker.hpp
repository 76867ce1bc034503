// The life of a pool's worker process: initialize, then claim items, run them, hand out results.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "os/unique_fd.hpp"
#include <rankpool/worker.hpp>

namespace rankpool::pool {

/// What a worker is told at its birth. Its descriptors are [control block, arena, segment, heap to read, heap to write].
struct WorkerOrders {
    WorkerInfo self;
    std::uint64_t ring_bytes = 0;
    std::int32_t workers_here = 1;   // that share with it …
    std::int32_t cpus_here = 1;      // … so many CPUs
    std::int32_t max_tasks = 0;      // 0: no limit
    bool watch_time = false;         // note when each item starts
    pid_t pool_pid = 0;
    std::uint64_t probe_address = 0;  // of a word in the pool's process that holds `probe_value`
    std::uint64_t thread_share = 1;   // default for OpenMP and BLAS
    std::vector<std::byte> initializer;  // a packed function; empty: none

    std::vector<std::byte> to_bytes() const;
    static WorkerOrders from_bytes(std::span<const std::byte> bytes);
};
inline constexpr std::uint64_t probe_value = 0x72616e6b'706f6f6c;

/// process::Work of a pool's worker.
int work_for_pool(std::span<const std::byte> orders, std::vector<os::UniqueFd> descriptors);

}  // namespace rankpool::pool
