// A task function whose type has been forgotten: for options and members that hold "any task function", and for choosing
// one while the program runs.
//
//     std::map<std::string, rankpool::TaskFunction<double(double)>> known{{"root", [](double x) { return std::sqrt(x); }}, {"cube", cube}};
//     auto results = pool.map(known.at(name), items);   // it is a task function itself
//     double here = known.at(name)(0.5);                // and can be called here
//
//     rankpool::PoolOptions options{.processes = 4, .initializer = [] { load_tables(); }};
#pragma once

#include <type_traits>
#include <utility>

#include <rankpool/task/any_function.hpp>
#include <rankpool/wire/archive.hpp>

namespace rankpool {

template <class Signature>
class TaskFunction;

namespace task {
template <class T>
inline constexpr bool is_task_function = false;
template <class Signature>
inline constexpr bool is_task_function<TaskFunction<Signature>> = true;
}  // namespace task

namespace wire {
template <class Signature>
inline constexpr bool has_own_codec<TaskFunction<Signature>> = true;
}  // namespace wire

/// Any task function that can be called as R(Args...). Copyable; empty by default; made implicitly from any task function,
/// also from one that cannot be copied. Transferable: it can be an item, a result, an argument or a member, empty ones too;
/// as a task function it must not be empty (std::invalid_argument). Local.
///
/// It holds the function as it was when this was made: what a call changes in the function stays in the TaskFunction that
/// was called, and neither its copies nor what is sent to a worker know of it. Calls from several threads at once are as safe
/// as those of the function.
template <class R, class... Args>
class TaskFunction<R(Args...)> {
  public:
    TaskFunction() = default;

    /// Throws std::invalid_argument when the function captured an address of this process, or is a null function pointer.
    /// Of an empty TaskFunction of another signature: empty.
    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, TaskFunction> && std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
    TaskFunction(F&& function) {  // implicit, as std::function's
        using Stored = std::decay_t<F>;
        const Stored& stored = function;
        if constexpr (task::is_task_function<Stored>) {
            if (!stored) return;
        }
        wire::Buffer bytes;
        task::Codec<Stored>::encode(bytes, stored, false);
        function_ = task::AnyFunction(task::Interfaced<Stored, R(Args...)>::constant, std::move(bytes));
    }

    /// Calls the function, in this process. Throws std::bad_function_call when there is none.
    R operator()(Args... arguments) const {
        void* const function = function_.function();
        return static_cast<const task::CallInterface<R(Args...)>*>(function_.interface())->call(function, std::forward<Args>(arguments)...);
    }

    explicit operator bool() const { return function_.interface() != nullptr; }

  private:
    friend struct task::Codec<TaskFunction>;
    friend struct wire::Codec<TaskFunction>;
    explicit TaskFunction(task::AnyFunction&& function) : function_(std::move(function)) {}

    task::AnyFunction function_;
};

namespace task {

template <class Signature>
struct Codec<TaskFunction<Signature>> {
    static void encode(wire::Buffer& out, const TaskFunction<Signature>& function, bool) { function.function_.encode_in_place(out); }
    static TaskFunction<Signature> decode(wire::Reader& in) {
        return TaskFunction<Signature>(AnyFunction::decode_in_place(in, sizeof(CallInterface<Signature>), typeid(Signature)));
    }
};

}  // namespace task

namespace wire {

template <class Signature>
struct Codec<TaskFunction<Signature>> {
    static void encode(Buffer& out, const TaskFunction<Signature>& function) { function.function_.encode(out); }
    static TaskFunction<Signature> decode(Reader& in) {
        return TaskFunction<Signature>(task::AnyFunction::decode(in, sizeof(task::CallInterface<Signature>), typeid(Signature)));
    }
};

}  // namespace wire

}  // namespace rankpool
