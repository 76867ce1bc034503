// The seam between an executor's typed face and its compiled body: single tasks, in bytes.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <rankpool/pool/call.hpp>
#include <rankpool/task/descriptor.hpp>
#include <rankpool/wire/buffer.hpp>

namespace rankpool {
enum class ReturnWhen;
}

namespace rankpool::pool {

class Task;
class TaskQueue;
class TaskMap;
class Completions;

/// `given`: to a place with workers, of which one takes it as soon as it can; until then it can still be cancelled.
enum class TaskState { pending, given, finished, cancelled };

/// Throws ExecutorShutdown or BrokenProcessPool where no task is accepted any more. To be asked before anything is packed:
/// at the end of the program that may not be possible.
void require_open(TaskQueue& queue);
/// Accepts a task: the function to be called with `item`, in a row or serialized as its descriptor says. Throws
/// ExecutorShutdown and BrokenProcessPool.
std::shared_ptr<Task> submit_task(const std::shared_ptr<TaskQueue>& queue, const task::Descriptor& descriptor,
                                  std::span<const std::byte> function, wire::Buffer item);
/// A task whose arguments could not be serialized: it has failed. Throws as submit_task does.
std::shared_ptr<Task> submit_failed(const std::shared_ptr<TaskQueue>& queue, std::exception_ptr error);

TaskState state_of(const Task& task);
/// Whether a worker has it, and it is not over.
bool is_running(Task& task);
/// True when it is cancelled now: it had not begun, and never will.
bool cancel(Task& task);
/// Waits until the task is finished or cancelled; false when `until` has passed. Throws std::logic_error where that would
/// be for ever.
bool wait_for(Task& task, Deadline until);
/// Of a task that is over: its result's bytes, moved out; or nothing with `error` set.
wire::Buffer take_result(Task& task, std::exception_ptr& error);
/// Calls `then` on the executor's service thread once the task is over; at once, here, if it is and nothing that was
/// added before waits for its turn. What it throws is reported.
void when_over(Task& task, std::function<void()> then);

/// Waits until what `when` says holds of the tasks, or `until` has passed. They may be of several executors.
void wait_for_tasks(const std::vector<std::shared_ptr<Task>>& tasks, Deadline until, ReturnWhen when);

/// Tells of tasks as they are over.
std::shared_ptr<Completions> watch_tasks(const std::vector<std::shared_ptr<Task>>& tasks, Deadline until);
/// The index of the next one; empty at the end. Throws TimeoutError, once, when the deadline of watch_tasks has passed, and
/// every time when `until` has.
std::optional<std::size_t> next_of(Completions& completions, Deadline until);

/// How an executor's map goes about its input.
struct MapPlan {
    Deadline until;              // for its results, all of them
    std::size_t chunksize = 1;   // items a task
    std::size_t buffersize = 0;  // tasks that are given before their results are taken; 0: all
};
/// Begins a map. Without a buffersize the whole input is read here, and `pull` is not kept.
std::shared_ptr<TaskMap> open_map(const std::shared_ptr<TaskQueue>& queue, const task::Descriptor& descriptor,
                                  std::span<const std::byte> function, const MapPlan& plan, Pull pull);
StreamItem next_of(TaskMap& map, Deadline until);
/// Nobody wants the rest: what has not begun is cancelled.
void drop_map(TaskMap& map);

}  // namespace rankpool::pool
