// The result of an asynchronous call of a pool: Python's AsyncResult, typed.
//
//     rankpool::AsyncResult<std::vector<int>> squares = pool.map_async(square, items);
//     squares.on_result([](const std::vector<int>& all) { std::cout << all.size() << " done\n"; });
//     …                                          // something else
//     use(squares.get());
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

#include <rankpool/error.hpp>
#include <rankpool/pool/call.hpp>

namespace rankpool {

namespace pool {

/// A result that is made from bytes once, by whoever asks first. `T` is std::monostate for what returns nothing.
template <class T>
class SettledOnce {
  public:
    virtual ~SettledOnce() = default;

    /// To be called when the work is over. The value, or null with `error` set.
    T* settle(std::exception_ptr& error) {
        std::lock_guard lock(mutex_);
        if (!settled_) {
            settled_ = true;
            try {
                value_.emplace(convert());
            } catch (...) {
                error_ = std::current_exception();
            }
        }
        error = error_;
        return value_ ? &*value_ : nullptr;
    }
    /// Moves the value out, once.
    T take() {
        std::lock_guard lock(mutex_);
        if (std::exchange(taken_, true))
            throw std::logic_error("rankpool: this result cannot be copied and was taken already: it is moved out once");
        return std::move(*value_);
    }
    void check_not_taken() {
        std::lock_guard lock(mutex_);
        if (taken_) throw std::logic_error("rankpool: this result cannot be copied and was taken already: it is moved out once");
    }

  protected:
    /// Throws the work's error.
    virtual T convert() = 0;

  private:
    std::mutex mutex_;
    bool settled_ = false, taken_ = false;
    std::optional<T> value_;
    std::exception_ptr error_;
};

/// What a handle refers to: a call, and how its output becomes a T.
template <class T>
class AsyncState : public SettledOnce<T> {
  public:
    void set_call(std::shared_ptr<Call> call) { call_ = std::move(call); }
    Call& call() const { return *call_; }

  private:
    std::shared_ptr<Call> call_;
};

template <class R>
using Stored = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

// A vector says that it can be copied whatever its elements are.
template <class T>
inline constexpr bool can_copy = std::is_copy_constructible_v<T>;
template <class T, class A>
inline constexpr bool can_copy<std::vector<T, A>> = can_copy<T>;
template <class A, class B>
inline constexpr bool can_copy<std::pair<A, B>> = can_copy<A> && can_copy<B>;

/// The value of work that is over; throws its error.
template <class T>
T& value_of(SettledOnce<T>& state) {
    std::exception_ptr error;
    T* value = state.settle(error);
    if (value == nullptr) std::rethrow_exception(error);
    return *value;
}
/// The same for keeps: a copy of an R that can be copied; another is moved out, once.
template <class R>
R result_of(SettledOnce<Stored<R>>& state) {
    Stored<R>& value = value_of(state);
    if constexpr (std::is_void_v<R>) {
        (void)value;
    } else if constexpr (can_copy<R>) {
        return value;
    } else {
        return state.take();
    }
}

}  // namespace pool

/// A handle to the result of an asynchronous call; cheap to copy, may outlive the pool. A call goes on when its handle is
/// dropped. From any thread.
template <class R>
class AsyncResult {
    using T = pool::Stored<R>;

  public:
    explicit AsyncResult(std::shared_ptr<pool::AsyncState<T>> state) : state_(std::move(state)) {}

    /// Waits for the result and returns it: a copy of a copyable R; a move-only one is moved out once, then
    /// std::logic_error. Throws the call's error; std::logic_error in a callback of the same pool.
    R get() {
        pool::wait_for(state_->call(), std::nullopt);
        return pool::result_of<R>(*state_);
    }
    /// The same for at most `timeout`; then TimeoutError, and it can be asked again.
    R get(std::chrono::nanoseconds timeout) {
        if (!pool::wait_for(state_->call(), pool::deadline_after(timeout)))
            throw TimeoutError("the result was not ready within " + std::to_string(std::chrono::duration<double>(timeout).count()) + " s");
        return pool::result_of<R>(*state_);
    }
    /// Waits for the result; a reference to it, valid as long as a handle lives. Throws as get() does.
    template <class U = R>
        requires(!std::is_void_v<U>)
    const U& peek() {
        pool::wait_for(state_->call(), std::nullopt);
        T& value = pool::value_of(*state_);
        state_->check_not_taken();
        return value;
    }

    /// Waits until it is ready, whether with a result or an error.
    void wait() { pool::wait_for(state_->call(), std::nullopt); }
    /// The same for at most `timeout`: whether it is ready.
    bool wait(std::chrono::nanoseconds timeout) { return pool::wait_for(state_->call(), pool::deadline_after(timeout)); }

    /// Local.
    bool ready() const { return pool::is_over(state_->call()); }
    /// Whether it ended without an error. Throws std::logic_error before it is ready. Local.
    bool successful() const {
        if (!ready()) throw std::logic_error("AsyncResult::successful: the result is not ready yet; wait() for it first");
        std::exception_ptr error;
        return state_->settle(error) != nullptr;
    }

    /// Calls `callback(const R&)` (with nothing for void) once, on the pool's service thread, when there is a result; at
    /// once, on this thread, if there is. What it throws is reported on stderr. On either thread it may begin calls of its
    /// pool but not wait for one: blocking calls, and waits for what is not ready, throw std::logic_error there.
    template <class Callback>
    AsyncResult& on_result(Callback&& callback) {
        auto held = std::make_shared<std::decay_t<Callback>>(std::forward<Callback>(callback));
        pool::when_over(state_->call(), [state = state_, held] {
            std::exception_ptr error;
            T* value = state->settle(error);
            if (value == nullptr) return;
            if constexpr (std::is_void_v<R>)
                (*held)();
            else
                (*held)(static_cast<const R&>(*value));
        });
        return *this;
    }
    /// Calls `callback(std::exception_ptr)` once when it ended with an error, cancellation included.
    template <class Callback>
    AsyncResult& on_error(Callback&& callback) {
        auto held = std::make_shared<std::decay_t<Callback>>(std::forward<Callback>(callback));
        pool::when_over(state_->call(), [state = state_, held] {
            std::exception_ptr error;
            if (state->settle(error) == nullptr) (*held)(error);
        });
        return *this;
    }

  private:
    std::shared_ptr<pool::AsyncState<T>> state_;
};

}  // namespace rankpool
