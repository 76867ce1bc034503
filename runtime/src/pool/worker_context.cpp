#include "pool/worker_context.hpp"

#include <utility>

#include <rankpool/comm/blocks.hpp>

namespace rankpool::pool {

namespace {
thread_local WorkerContext* of_this_thread = nullptr;
}

WorkerContext& worker_context() {
    // Else one a process suffices: a worker process runs one task at a time, and threads a task starts belong to it.
    static WorkerContext of_process;
    return of_this_thread != nullptr ? *of_this_thread : of_process;
}

ThreadContext::ThreadContext(WorkerContext& context)
    : outer_(std::exchange(of_this_thread, &context)), outer_in_task_(std::exchange(comm::in_task, true)) {}
ThreadContext::~ThreadContext() {
    of_this_thread = outer_;
    comm::in_task = outer_in_task_;
}

}  // namespace rankpool::pool

namespace rankpool {

std::optional<WorkerInfo> current_worker() { return pool::worker_context().worker; }

std::optional<std::size_t> current_item() {
    auto& context = pool::worker_context();
    if (!context.in_item || context.running == nullptr) return std::nullopt;
    if (context.in_block) context.asked = true;  // what it returns now is for nobody: see the worker's run_block
    return context.running->load(std::memory_order_relaxed);
}

bool stop_requested() {
    const auto& context = pool::worker_context();
    return context.stop != nullptr && context.stop->load(std::memory_order_relaxed) != 0;
}

}  // namespace rankpool
