// What a task can ask about the worker it runs in (rankpool/worker.hpp), set by the worker loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>

#include <rankpool/worker.hpp>

namespace rankpool::pool {

struct WorkerContext {
    std::optional<WorkerInfo> worker;
    const std::atomic<std::uint64_t>* running = nullptr;  // index of the item, while one runs
    bool in_item = false;
    bool in_block = false;  // `running` is the first of several items that are run in one go …
    bool asked = false;     // … and one of them asked which it is
    const std::atomic<std::uint32_t>* stop = nullptr;      // of the pool
    const std::atomic<std::uint32_t>* draining = nullptr;  // of the call
    bool told_to_stop = false;  // the item was: what it returns is not what it would have been. By std::atomic_ref
};

/// The context of this thread where it is a worker, else that of the process; empty outside of workers.
WorkerContext& worker_context();

/// Forgets that the item was told to stop; the error that it gets instead of what it returned.
std::exception_ptr told_to_stop(WorkerContext& context);

inline bool was_told_to_stop(WorkerContext& context) { return std::atomic_ref(context.told_to_stop).load(std::memory_order_relaxed); }

/// That error when the item that ran was told to stop, else null. Asks for one item only.
inline std::exception_ptr take_told_to_stop(WorkerContext& context) {
    return was_told_to_stop(context) ? told_to_stop(context) : nullptr;
}

/// Makes this thread a worker with that context, for the lifetime of this.
class ThreadContext {
  public:
    explicit ThreadContext(WorkerContext& context);
    ~ThreadContext();
    ThreadContext(const ThreadContext&) = delete;
    ThreadContext& operator=(const ThreadContext&) = delete;

  private:
    WorkerContext* outer_;
    bool outer_in_task_;
};

}  // namespace rankpool::pool
