// What a task can ask about the worker it runs in (rankpool/worker.hpp), set by the worker loop.
#pragma once

#include <atomic>
#include <cstdint>

#include <rankpool/worker.hpp>

namespace rankpool::pool {

struct WorkerContext {
    std::optional<WorkerInfo> worker;
    const std::atomic<std::uint64_t>* running = nullptr;  // index of the item, while one runs
    bool in_item = false;
    const std::atomic<std::uint32_t>* stop = nullptr;
};

/// The context of this thread; empty outside of workers.
WorkerContext& worker_context();

}  // namespace rankpool::pool
