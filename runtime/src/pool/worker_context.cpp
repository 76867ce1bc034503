#include "pool/worker_context.hpp"

#include <utility>

#include <rankpool/comm/blocks.hpp>
#include <rankpool/error.hpp>

namespace rankpool::pool {

namespace {
thread_local WorkerContext* of_this_thread = nullptr;
}

WorkerContext& worker_context() {
    // Else one a process suffices: a worker process runs one task at a time, and threads a task starts belong to it.
    static WorkerContext of_process;
    return of_this_thread != nullptr ? *of_this_thread : of_process;
}

std::exception_ptr told_to_stop(WorkerContext& context) {
    std::atomic_ref(context.told_to_stop).store(false, std::memory_order_relaxed);
    return std::make_exception_ptr(CancelledError("the item was told to stop (stop_requested), so what it returned does not count"));
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
    auto& context = pool::worker_context();
    const auto is_set = [](const auto* word) { return word != nullptr && word->load(std::memory_order_acquire) != 0; };
    if (!is_set(context.stop) && !is_set(context.draining)) return false;
    std::atomic_ref(context.told_to_stop).store(true, std::memory_order_relaxed);
    return true;
}

}  // namespace rankpool
