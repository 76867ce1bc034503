// The result of a task of an executor, which may not be there yet: Python's concurrent.futures.Future, typed.
//
//     rankpool::ProcessPoolExecutor executor;
//     std::vector<rankpool::Future<Image>> frames;
//     for (const Scene& scene : scenes) frames.push_back(executor.submit(render, scene));
//     for (rankpool::Future<Image>& frame : rankpool::as_completed(frames)) show(frame.result());
//
// In a C++20 coroutine a future can be awaited. The coroutine goes on in the executor's service thread, where callbacks
// run, or where the program says: `on` takes anything that can be called with a callable.
//
//     Image image = co_await executor.submit(render, scene);
//     Image image = co_await executor.submit(render, scene).on([&](auto go_on) { event_loop.post(go_on); });
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include <rankpool/async_result.hpp>
#include <rankpool/error.hpp>
#include <rankpool/pool/task.hpp>
#include <rankpool/result_range.hpp>
#include <rankpool/wire/archive.hpp>

namespace rankpool {

namespace pool {

/// What futures refer to: a task, and how its result becomes a T.
template <class T>
class FutureState final : public SettledOnce<T> {
  public:
    explicit FutureState(std::shared_ptr<Task> task) : task_(std::move(task)) {}
    const std::shared_ptr<Task>& task() const { return task_; }

  private:
    T convert() override {
        std::exception_ptr error;
        const wire::Buffer bytes = take_result(*task_, error);
        if (error) std::rethrow_exception(error);
        if constexpr (std::is_same_v<T, std::monostate>)
            return {};
        else if constexpr (std::is_same_v<T, bool>)
            return bytes.data()[0] != std::byte{0};
        else
            return wire::decode<T>(bytes);
    }

    std::shared_ptr<Task> task_;
};

[[noreturn]] inline void refuse_empty_future(const char* what) {
    throw std::logic_error(std::string("Future::") + what + ": this future is empty (default-constructed); only one that submit() returned has a result");
}
[[noreturn]] inline void future_not_ready(std::chrono::nanoseconds timeout) {
    throw TimeoutError("the task was not over within " + std::to_string(std::chrono::duration<double>(timeout).count()) + " s");
}

}  // namespace pool

/// A handle to the result of one task; cheap to copy, may outlive the executor. Default-constructed it is empty: valid()
/// is false and everything else throws std::logic_error. A task goes on when its futures are dropped. From any thread.
///
/// A task is pending, then running, then finished; or pending, then cancelled.
template <class R>
class Future {
    using T = pool::Stored<R>;

    template <class Executor>
    struct Awaiter;

  public:
    using result_type = R;

    Future() = default;
    explicit Future(std::shared_ptr<pool::FutureState<T>> state) : state_(std::move(state)) {}

    bool valid() const { return state_ != nullptr; }

    /// Waits until the task is over and returns its result: a copy of a copyable R; a move-only one is moved out once, then
    /// std::logic_error. Throws the task's error; CancelledError; std::logic_error in a callback of the same executor when
    /// the task is not over.
    R result() {
        pool::wait_for(task("result"), std::nullopt);
        return pool::result_of<R>(*state_);
    }
    /// The same for at most `timeout`; then TimeoutError, and it can be asked again.
    R result(std::chrono::nanoseconds timeout) {
        if (!pool::wait_for(task("result"), pool::deadline_after(timeout))) pool::future_not_ready(timeout);
        return pool::result_of<R>(*state_);
    }

    /// Waits as result() does and returns the task's error; null when it has a result. Throws CancelledError.
    std::exception_ptr exception() {
        pool::wait_for(task("exception"), std::nullopt);
        return error();
    }
    /// The same for at most `timeout`; then TimeoutError.
    std::exception_ptr exception(std::chrono::nanoseconds timeout) {
        if (!pool::wait_for(task("exception"), pool::deadline_after(timeout))) pool::future_not_ready(timeout);
        return error();
    }

    /// Cancels a pending task. True when it is cancelled, by this call or before; false when it runs or has run.
    bool cancel() { return pool::cancel(task("cancel")); }
    bool cancelled() const { return state("cancelled") == pool::TaskState::cancelled; }
    /// Whether a worker has it: at most as many are running as the executor has workers, and none before its worker is through
    /// the initializer. A task that is to be run once more (OnLoss::retry) counts as running. Of an executor with an initializer
    /// this asks the worker's rank, where that is another one: a message there and back, and true when no answer comes within a
    /// second. So does cancel(), which is false then.
    bool running() const { return pool::is_running(task("running")); }
    /// Whether it is finished or cancelled.
    bool done() const {
        const pool::TaskState now = state("done");
        return now == pool::TaskState::finished || now == pool::TaskState::cancelled;
    }

    /// Calls `callback(Future<R>)` once the task is over: on the executor's service thread, callbacks in the order in which
    /// they were added; at once, on this thread, if it is over and no earlier one waits for its turn. What it throws is
    /// reported on stderr. It may submit tasks; to wait for one of its own executor throws std::logic_error, on either thread.
    template <class Callback>
    void add_done_callback(Callback&& callback) {
        static_assert(std::is_invocable_v<std::decay_t<Callback>&, Future>, "rankpool: a callback must take a Future<R>");
        pool::Task& added_to = task("add_done_callback");
        auto held = std::make_shared<std::decay_t<Callback>>(std::forward<Callback>(callback));
        pool::when_over(added_to, [future = *this, held] { (*held)(future); });
    }

    /// For co_await: the coroutine goes on with what `executor(callable)` calls.
    template <class Executor>
    Awaiter<std::decay_t<Executor>> on(Executor&& executor) const {
        return {*this, std::forward<Executor>(executor)};
    }
    auto operator co_await() const {
        return on([](auto go_on) { go_on(); });
    }

    /// Whether both are handles to the same task's result, or both empty. There is a std::hash too: futures can be keys.
    friend bool operator==(const Future& a, const Future& b) { return a.state_ == b.state_; }

    /// For the library's own use.
    const std::shared_ptr<pool::Task>& shared_task(const char* asking) const {
        if (!state_) pool::refuse_empty_future(asking);
        return state_->task();
    }

  private:
    // Without <coroutine>: some compilers of this library do not have it.
    template <class Executor>
    struct Awaiter {
        Future future;
        Executor executor;

        bool await_ready() const { return future.done(); }
        template <class Coroutine>
        void await_suspend(Coroutine coroutine) {
            Future awaited = future;  // the coroutine may go on, and this awaiter end, before the next line is over
            awaited.add_done_callback([coroutine, executor_ = std::move(executor)](const Future&) mutable {
                executor_([coroutine]() mutable { coroutine.resume(); });
            });
        }
        R await_resume() { return future.result(); }
    };

    pool::Task& task(const char* asking) const { return *shared_task(asking); }
    pool::TaskState state(const char* asking) const { return pool::state_of(task(asking)); }
    std::exception_ptr error() {
        if (cancelled()) (void)pool::value_of(*state_);  // throws
        std::exception_ptr found;
        return state_->settle(found) == nullptr ? found : nullptr;
    }

    friend struct std::hash<Future>;
    std::shared_ptr<pool::FutureState<T>> state_;
};

/// When wait() returns.
enum class ReturnWhen {
    first_completed,  ///< one is over
    first_exception,  ///< one has failed (to be cancelled is no failure), or all are over
    all_completed,    ///< all are over
};

/// The futures of a wait(), each once, in the order in which they were given.
template <class R>
struct WaitResult {
    std::vector<Future<R>> done, not_done;
};

namespace pool {

template <class T>
inline constexpr bool is_future = false;
template <class R>
inline constexpr bool is_future<Future<R>> = true;

template <class Value>
struct ResultOfFuture {
    static_assert(is_future<Value>, "rankpool: wait and as_completed take a range of futures: a std::vector<Future<R>>, say");
    using type = void;
};
template <class R>
struct ResultOfFuture<Future<R>> {
    using type = typename Future<R>::result_type;
};
template <class Futures>
using AwaitedResult = typename ResultOfFuture<std::ranges::range_value_t<Futures>>::type;

/// Futures, each once, and their tasks.
template <class R>
struct DistinctFutures {
    std::vector<Future<R>> futures;
    std::vector<std::shared_ptr<Task>> tasks;

    template <class Range>
    DistinctFutures(Range&& range, const char* asking) {
        std::unordered_set<const Task*> seen;
        for (const Future<R>& future : range) {
            const auto& task = future.shared_task(asking);
            if (!seen.insert(task.get()).second) continue;
            futures.push_back(future);
            tasks.push_back(task);
        }
    }
};

inline Deadline deadline_of(std::optional<std::chrono::nanoseconds> timeout) { return timeout ? deadline_after(*timeout) : std::nullopt; }

template <class R>
class CompletionSource final : public ResultSource<Future<R>> {
  public:
    CompletionSource(DistinctFutures<R> distinct, Deadline until)
        : futures_(std::move(distinct.futures)), completions_(watch_tasks(distinct.tasks, until)) {}

    std::optional<Future<R>> next(Deadline until) override {
        const auto index = next_of(*completions_, until);
        if (!index) return std::nullopt;
        return std::exchange(futures_[*index], {});  // what was handed out is not kept alive
    }

  private:
    std::vector<Future<R>> futures_;
    std::shared_ptr<Completions> completions_;
};

}  // namespace pool

/// Waits for futures, of one executor or several, until `return_when` holds or `timeout` has passed, and tells which of
/// them are over. Duplicates count once. Never throws for a timeout. Python's concurrent.futures.wait.
template <std::ranges::input_range Futures>
auto wait(Futures&& futures, std::optional<std::chrono::nanoseconds> timeout = {}, ReturnWhen return_when = ReturnWhen::all_completed) {
    using R = pool::AwaitedResult<Futures>;
    const pool::Deadline until = pool::deadline_of(timeout);
    pool::DistinctFutures<R> distinct(futures, "wait");
    pool::wait_for_tasks(distinct.tasks, until, return_when);
    WaitResult<R> result;
    for (Future<R>& future : distinct.futures) {
        auto& where = future.done() ? result.done : result.not_done;
        where.push_back(std::move(future));
    }
    return result;
}
template <class R>
WaitResult<R> wait(std::initializer_list<Future<R>> futures, std::optional<std::chrono::nanoseconds> timeout = {},
                   ReturnWhen return_when = ReturnWhen::all_completed) {
    return wait(std::vector<Future<R>>(futures), timeout, return_when);
}

/// Futures, of one executor or several, as they are over: those that are already first, then in the order in which they
/// complete, each once. When `timeout`, which begins with this call, has passed: TimeoutError, and then the end. Python's
/// concurrent.futures.as_completed.
template <std::ranges::input_range Futures>
auto as_completed(Futures&& futures, std::optional<std::chrono::nanoseconds> timeout = {}) {
    using R = pool::AwaitedResult<Futures>;
    const pool::Deadline until = pool::deadline_of(timeout);
    return ResultRange<Future<R>>(std::make_unique<pool::CompletionSource<R>>(pool::DistinctFutures<R>(futures, "as_completed"), until));
}
template <class R>
ResultRange<Future<R>> as_completed(std::initializer_list<Future<R>> futures, std::optional<std::chrono::nanoseconds> timeout = {}) {
    return as_completed(std::vector<Future<R>>(futures), timeout);
}

}  // namespace rankpool

template <class R>
struct std::hash<rankpool::Future<R>> {
    std::size_t operator()(const rankpool::Future<R>& future) const noexcept { return std::hash<const void*>()(future.state_.get()); }
};
