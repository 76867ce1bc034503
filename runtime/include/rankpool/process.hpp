// A C++ function in a new process: Python's multiprocessing.Process.
//
//     rankpool::Process child([](int frame, const std::string& path) { render(frame, path); }, 7, std::string("7.png"));
//     child.start();
//     …                                                     // both processes run
//     child.join();
//     if (child.exitcode() != 0) std::puts("no picture");   // 0: the function returned
//
// For one function that should live beside the program, or may not take it down when it crashes. For many items there is
// Pool. Works inside run() and without it, in programs that have threads, in a pool's task, and in a Process.
//
// How it ends: with exit code 0 when the function returns, whatever it returns; with n by std::exit(n), which flushes what
// the process printed and runs the atexit handlers that the process itself registered, but none of the program's; with 1 when
// an exception leaves the function, which is then printed on standard error with its type and text; with -N by signal N.
//
// What it sees: the program's static variables as a pool's tasks see them, and environment, working directory, umask, CPU
// affinity, standard output and standard error as they are at start(). Its standard input is empty. All signals have their
// default actions. It leads a process group of its own: the terminal's Ctrl-C reaches the program only, and what the
// process itself started with system() and left running ends with it.
//
// When the program ends, by return from main or by std::exit, its daemons are terminated and its other processes joined;
// the same when a Process ends that has started some itself. When the program or the Process is killed, or ends by _exit,
// all of its processes end at once with it, daemons or not: nobody would be left to wait for them. What a pool's task leaves
// running ends with its worker.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rankpool/process_info.hpp>
#include <rankpool/task/typed.hpp>

namespace rankpool {

namespace child {

/// Calls a function with the elements of a tuple; nobody wants what it returns.
template <class F>
struct Target {
    F function;
    template <class Tuple>
    void operator()(Tuple&& arguments) {
        static_cast<void>(std::apply(function, std::forward<Tuple>(arguments)));
    }
};

class ChildProcess;
std::shared_ptr<ChildProcess> prepare(const task::Descriptor& descriptor, wire::Buffer function, wire::Buffer arguments);

}  // namespace child

namespace task {

template <class F>
struct Codec<child::Target<F>> {
    static void encode(wire::Buffer& out, const child::Target<F>& target, bool trusted) { Codec<F>::encode(out, target.function, trusted); }
    static child::Target<F> decode(wire::Reader& in) { return {Codec<F>::decode(in)}; }
};

}  // namespace task

/// A function, and the process in which it runs once it was started. Move-only; an object that was moved from can only be
/// destroyed or assigned to, other calls throw std::logic_error. Several threads may use one. Every function is Local.
class Process {
  public:
    /// target(arguments...) is what the process will do. Nothing happens yet. `target` is a task function; the arguments are
    /// transferable and are copied here, as Python does at the start. Throws std::invalid_argument when the target captured an
    /// address of this process, and what serializing the arguments throws.
    ///
    /// Its name is Process-N, N counting the objects made in this process; in a Process the names go on from its own number:
    /// the second one made in Process-1 is Process-1:2, as in Python. It is a daemon if this process is one.
    template <class F, class... Args>
        requires(!std::is_same_v<std::decay_t<F>, Process>)
    explicit Process(F target, Args... arguments) {
        using Function = child::Target<F>;
        using Arguments = std::tuple<Args...>;
        static_assert(std::is_invocable_v<F&, Args...>, "rankpool: the target of a Process cannot be called with these arguments");
        (wire::require_transferable<Args>(), ...);
        wire::Buffer function, bytes;
        task::Codec<Function>::encode(function, Function{std::move(target)}, false);
        const Arguments all(std::move(arguments)...);
        if constexpr (task::in_rows<Arguments>)
            bytes.append(&all, sizeof all);
        else
            wire::encode(bytes, all);
        child_ = child::prepare(task::Typed<Function, Arguments>::descriptor, std::move(function), std::move(bytes));
    }

    /// Joins a process that is running; a daemon is terminated, and killed if that has not ended it five seconds later.
    ~Process();
    Process(Process&& other) noexcept = default;
    /// What this object held before ends as in its destructor.
    Process& operator=(Process&& other) noexcept;
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    /// Before start(), else std::logic_error.
    Process& name(std::string name);
    /// A daemon does not keep the program from ending: it is terminated then. Before start(), else std::logic_error.
    Process& daemon(bool daemon);

    /// Starts the process; when it returns, the process has its pid. What this process printed so far is flushed first.
    /// Throws std::logic_error the second time, and LaunchError when no process can be made; then it may be tried again.
    void start();

    /// Waits until it has ended; true. Before start(): std::logic_error.
    bool join();
    /// The same for at most that long; false when it has not ended by then. A negative time does not wait.
    bool join(std::chrono::nanoseconds timeout);

    /// Started, and not ended.
    bool is_alive() const;
    /// Empty before its end; N >= 0 when it ended by exit(N) or return, -N when signal N ended it.
    std::optional<int> exitcode() const;
    /// Empty before start().
    std::optional<pid_t> pid() const;
    const std::string& name() const;
    bool daemon() const;

    /// Sends SIGTERM, which the process may handle. Before start() and after its end: nothing.
    void terminate();
    /// Sends SIGKILL, to whatever is in its process group too. Before start() and after its end: nothing.
    void kill();

    /// A descriptor for poll(), select() or epoll: readable once the process has ended and exitcode() is there. It belongs to
    /// this object. Before start(): std::logic_error.
    int sentinel() const;

  private:
    child::ChildProcess& child() const;

    std::shared_ptr<child::ChildProcess> child_;
};

}  // namespace rankpool
