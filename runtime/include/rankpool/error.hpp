// Every error that rankpool itself raises. All derive from rankpool::Error, so one handler catches them:
//
//     try {
//         auto squares = pool.map(square, items);
//     } catch (const rankpool::WorkerLost& lost) {
//         std::cerr << "item " << *lost.item() << " took its worker with it: " << lost.what() << '\n';
//     } catch (const rankpool::Error& error) { … }
//
// Wrong arguments are std::invalid_argument, wrong order of calls std::logic_error: those are mistakes in the program.
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <rankpool/worker.hpp>

namespace rankpool {

/// Base of all errors of this library.
class Error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A wait with a time limit ended without its result.
class TimeoutError : public Error {
  public:
    using Error::Error;
};

/// The work was cancelled, or its pool terminated, before it had a result.
class CancelledError : public Error {
  public:
    using Error::Error;
};

/// New work was given to a pool after close() or terminate().
class PoolClosed : public Error {
  public:
    using Error::Error;
};

/// New work was submitted to an executor after shutdown().
class ExecutorShutdown : public Error {
  public:
    using Error::Error;
};

/// An item ran longer than `task_timeout`; its worker was killed and replaced.
class TaskTimeout : public Error {
  public:
    using Error::Error;
};

/// The pool can run nothing any more: its initializer failed, or a worker died under OnLoss::break_pool.
class BrokenProcessPool : public Error {
  public:
    using Error::Error;
};

/// A value could not be turned into bytes or back.
class SerializationError : public Error {
  public:
    using Error::Error;
};

/// The job could not be set up: no fitting MPI module, another build on some rank, a launcher that is gone.
class LaunchError : public Error {
  public:
    using Error::Error;
};

/// An MPI call failed; the text has the call and MPI's own words.
class MpiError : public Error {
  public:
    using Error::Error;
};

/// A checkpoint journal cannot be used: foreign, damaged, or in use.
class CheckpointError : public Error {
  public:
    using Error::Error;
};

/// A task threw something that is no standard exception, none of this library's, and was not registered.
class RemoteError : public Error {
  public:
    explicit RemoteError(const std::string& what, std::string type_name = {}) : Error(what), type_name_(std::move(type_name)) {}

    /// The type that was thrown, as the program spells it.
    const std::string& type_name() const noexcept { return type_name_; }

  private:
    std::string type_name_;
};

/// A worker process ended while it ran an item. what() names the item, the worker and how it ended.
class WorkerLost : public Error {
  public:
    explicit WorkerLost(const std::string& what) : Error(what) {}
    WorkerLost(const std::string& what, int signal, int exit_code, std::optional<std::size_t> item, WorkerInfo worker)
        : Error(what), signal_(signal), exit_code_(exit_code), item_(item), worker_(std::move(worker)) {}

    /// The signal that ended the worker; 0 when it exited.
    int signal() const noexcept { return signal_; }
    /// The exit code of a worker that exited; 0 when a signal ended it.
    int exit_code() const noexcept { return exit_code_; }
    /// Index of the item it was running, where there was one.
    std::optional<std::size_t> item() const noexcept { return item_; }
    /// The worker that was lost.
    const WorkerInfo& worker() const noexcept { return worker_; }

  private:
    int signal_ = 0;
    int exit_code_ = 0;
    std::optional<std::size_t> item_;
    WorkerInfo worker_;
};

}  // namespace rankpool
