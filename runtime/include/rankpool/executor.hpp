// Python's ProcessPoolExecutor in C++: tasks submitted one by one to worker processes, each with a future of its own.
//
//     rankpool::ProcessPoolExecutor executor;                      // a worker for every usable CPU
//     rankpool::Future<int> sum = executor.submit([](int a, int b) { return a + b; }, 1, 2);
//     for (double area : executor.map(area_of, shapes)) use(area); // in the order of the input
//     use(sum.result());
//
// A Pool is for one function over many items; an executor is for tasks of many kinds, that depend on each other, or of
// which some may be cancelled. Workers, launches, what can travel and what happens to lost workers are as a Pool's: see
// pool.hpp. May be used from several threads; submit() never waits for a worker.
//
// Errors: a task's own error comes from its future, as its own type (remote_info says where it was thrown); WorkerLost when
// its worker died, which costs this future and no other. From submit() and map(): std::invalid_argument for a function that
// captured an address; ExecutorShutdown after shutdown(); BrokenProcessPool when the initializer failed, or a worker died
// under OnLoss::break_pool.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/future.hpp>
#include <rankpool/options.hpp>
#include <rankpool/pool/task.hpp>
#include <rankpool/pool/typed_call.hpp>
#include <rankpool/result_range.hpp>
#include <rankpool/task_function.hpp>
#include <rankpool/worker.hpp>

namespace rankpool {

/// Choices for an executor. Negative numbers, and what a backend cannot honour: std::invalid_argument from the constructor.
struct ExecutorOptions {
    int max_workers = 0;               ///< workers; 0: all usable CPUs, in a job every rank's share of its node's, at least one a rank
    TaskFunction<void()> initializer = {};  ///< runs once in every worker, replacements too
    int max_tasks_per_child = 0;       ///< tasks (of map: items) after which a worker is replaced; 0: never
    Backend backend = Backend::automatic;
    OnLoss on_loss = OnLoss::fail_item;  ///< of the task whose worker died
    int max_retries = 2;               ///< with OnLoss::retry
    std::chrono::nanoseconds task_timeout{0};  ///< a task that runs longer fails with TaskTimeout, its worker is replaced; 0: none
};

/// Choices for one map.
struct ExecutorMapOptions {
    /// From the call: when it has passed, what is not there is not waited for (TimeoutError), and what has not begun is cancelled.
    std::optional<std::chrono::nanoseconds> timeout = {};
    /// Items that a worker takes at a time. Never changes results, errors or their order.
    std::size_t chunksize = 1;
    /// Tasks (of `chunksize` items) that are given before their results are taken; 0: all of them, at the call.
    std::size_t buffersize = 0;
};

namespace pool {

template <class Value>
class TaskMapSource final : public ResultSource<Stored<Value>> {
  public:
    explicit TaskMapSource(std::shared_ptr<TaskMap> map) : map_(std::move(map)) {}
    ~TaskMapSource() override { drop_map(*map_); }
    TaskMapSource(const TaskMapSource&) = delete;
    TaskMapSource& operator=(const TaskMapSource&) = delete;

    std::optional<Stored<Value>> next(Deadline until) override {
        const StreamItem item = next_of(*map_, until);
        switch (item.kind) {
            case StreamItem::end: return std::nullopt;
            case StreamItem::timeout: throw TimeoutError("the next result was not ready in time");
            case StreamItem::error: std::rethrow_exception(item.what);
            case StreamItem::result: break;
        }
        if constexpr (std::is_void_v<Value>)
            return std::monostate();
        else if constexpr (std::is_same_v<Value, bool>)
            return item.bytes.data()[0] != std::byte{0};
        else
            return wire::decode<Value>(item.bytes);
    }

  private:
    std::shared_ptr<TaskMap> map_;
};

}  // namespace pool

class ProcessPoolExecutor {
  public:
    /// Starts `max_workers` workers (0: see ExecutorOptions). Throws std::invalid_argument, LaunchError, BrokenProcessPool.
    explicit ProcessPoolExecutor(int max_workers = 0) : ProcessPoolExecutor(ExecutorOptions{.max_workers = max_workers}) {}
    explicit ProcessPoolExecutor(ExecutorOptions options);
    /// shutdown(true): all submitted work completes. In a callback of its own it completes too, but is not waited for.
    ~ProcessPoolExecutor();
    ProcessPoolExecutor(const ProcessPoolExecutor&) = delete;
    ProcessPoolExecutor& operator=(const ProcessPoolExecutor&) = delete;

    /// Has a worker call function(arguments...), in its turn: tasks begin in the order in which they were submitted. The
    /// arguments are copied, or moved, before this returns. Arguments that cannot be serialized are their future's error.
    template <class F, class... Args>
    auto submit(F&& function, Args&&... arguments) {
        static_assert(std::is_invocable_v<std::decay_t<F>&, std::decay_t<Args>...>, "rankpool: submit: the function cannot be called with these arguments");
        using Star = task::Star<std::decay_t<F>>;
        using Tuple = std::tuple<std::decay_t<Args>...>;
        using Value = typename pool::TypedFunction<Star, Tuple>::Value;
        pool::require_open(*queue_);
        const pool::TypedFunction<Star, Tuple> typed(Star{std::forward<F>(function)});
        wire::Buffer item;
        std::exception_ptr refused;
        try {
            const Tuple tuple(std::forward<Args>(arguments)...);
            if constexpr (task::in_rows<Tuple>)
                item.append(&tuple, sizeof tuple);
            else
                wire::encode<Tuple>(item, tuple);
        } catch (...) {
            refused = std::current_exception();
        }
        auto task = refused ? pool::submit_failed(queue_, refused) : pool::submit_task(queue_, typed.descriptor(), typed.bytes, std::move(item));
        return Future<Value>(std::make_shared<pool::FutureState<pool::Stored<Value>>>(std::move(task)));
    }

    /// The results of function(item), in the order of the items; std::monostate when the function returns void. Everything
    /// is submitted here, unless there is a buffersize: then items are read as results are asked for, in the thread that
    /// asks, so endless inputs work; after shutdown() the next of these is an ExecutorShutdown, and the range ends. An item's
    /// error is thrown at its place, and one can go on after it. Dropping the range cancels what has not begun. Python's
    /// Executor.map.
    template <class F, std::ranges::input_range Items>
    auto map(F&& function, Items&& items, ExecutorMapOptions options = {}) {
        using Item = std::ranges::range_value_t<Items>;
        if constexpr (std::is_array_v<std::remove_reference_t<Items>>)
            return map(std::forward<F>(function), std::vector<Item>(std::ranges::begin(items), std::ranges::end(items)), options);
        else
            return map_range<Item>(std::forward<F>(function), std::forward<Items>(items), options);
    }
    template <class F, class Item>
    auto map(F&& function, std::initializer_list<Item> items, ExecutorMapOptions options = {}) {
        return map(std::forward<F>(function), std::vector<Item>(items), options);
    }

    /// No new tasks from now on (ExecutorShutdown). Those that were submitted complete, or with `cancel_futures` those that
    /// have not begun are cancelled. `wait`: returns when all is over and the workers have ended; else at once, and the end
    /// of the program waits. May be called again. In a callback of this executor `wait` throws std::logic_error.
    void shutdown(bool wait = true, bool cancel_futures = false);
    /// Sends the workers SIGTERM. Tasks that run fail with BrokenProcessPool, pending ones are cancelled, and no more are
    /// taken. A worker that handles SIGTERM has some seconds before the executor's end kills it.
    void terminate_workers();
    /// The same with SIGKILL.
    void kill_workers();

    /// Number of workers. Local.
    int size() const;
    /// Who they are at this moment; none after the end of shutdown(). Local.
    std::vector<WorkerInfo> workers() const;

  private:
    template <class Item, class F, class Items>
    auto map_range(F&& function, Items&& items, const ExecutorMapOptions& options) {
        using Typed = pool::TypedFunction<F, Item>;
        using Value = typename Typed::Value;
        pool::require_open(*queue_);
        const pool::MapPlan plan{pool::deadline_of(options.timeout), options.chunksize, options.buffersize};
        const Typed typed(std::forward<F>(function));
        std::shared_ptr<pool::TaskMap> map;
        if (options.buffersize == 0) {
            pool::PulledInput<Item, std::remove_reference_t<Items>&> input(items);
            map = pool::open_map(queue_, typed.descriptor(), typed.bytes, plan, [&input](wire::Buffer& out) { return input(out); });
        } else {
            using Held = std::decay_t<Items>;
            using Range = std::conditional_t<!std::is_lvalue_reference_v<Items> || pool::is_copied<Held>, Held, Held&>;
            auto input = std::make_shared<pool::PulledInput<Item, Range>>(std::forward<Items>(items));
            map = pool::open_map(queue_, typed.descriptor(), typed.bytes, plan, [input](wire::Buffer& out) { return (*input)(out); });
        }
        return ResultRange<pool::Stored<Value>>(std::make_unique<pool::TaskMapSource<Value>>(std::move(map)));
    }

    std::shared_ptr<pool::TaskQueue> queue_;
};

}  // namespace rankpool
