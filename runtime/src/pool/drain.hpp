// SIGTERM and SIGUSR1 while calls with a checkpoint run in run(): the job is to end, and to go on another time.
//
// From the first such call to the end of the last one these signals are ours, on all ranks; then the program has its
// own handling again. What happens at a signal, in this order:
//   1. The handler writes into a pipe. A rank that serves tells rank 0. There a thread reads the pipe.
//   2. Every such call is drained: it starts no item any more, running ones are told (stop_requested) and awaited.
//   3. After a grace the workers of those that still wait are killed.
//   4. The calls throw CancelledError, main ends, and run() returns 75.
// The signals stay ours after that, until the job ends: launchers send them to all ranks, and the last may come late.
// One that comes when the grace is over finds a main that will not end, and has its usual effect.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace rankpool::pool {

/// A call that can be drained.
class Drainable {
  public:
    virtual ~Drainable() = default;
    /// Must be quick. `why`: the signal's name.
    virtual void drain(const std::string& why) = 0;
    /// The grace is over.
    virtual void give_up() = 0;
};

/// A call is drained from the construction of this to its destruction; at once, if the job is to end already.
class DrainGuard {
  public:
    using Time = std::chrono::system_clock::time_point;

    /// `until`: drains the call at this time, too. Throws Error, and std::invalid_argument for rubbish in
    /// RANKPOOL_GRACE.
    DrainGuard(std::weak_ptr<Drainable> call, std::optional<Time> until);
    ~DrainGuard();
    DrainGuard(const DrainGuard&) = delete;
    DrainGuard& operator=(const DrainGuard&) = delete;

  private:
    friend class Drain;
    bool is_due() const { return until_ && *until_ <= std::chrono::system_clock::now(); }
    std::weak_ptr<Drainable> call_;
    std::optional<Time> until_;
};

/// Whether calls were drained in this process: run() returns `exit_drained` then.
bool drained();
inline constexpr int exit_drained = 75;  // EX_TEMPFAIL: try again

/// On rank 0: another rank has a signal for the job.
void note_signal(int signal);

/// On a rank that serves: the signals are told to `heard`, on a thread of its own, until they are released. If they are
/// not when it ends, nobody hears of them any more.
void watch_signals_of_server(std::function<void(int signal)> heard);
void release_signals_of_server();
void ignore_signals_of_server();

}  // namespace rankpool::pool
