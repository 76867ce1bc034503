// The compiled side of a Process: a target that has not been started yet, or the life that it has begun.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "child/life.hpp"
#include <rankpool/task/descriptor.hpp>
#include <rankpool/wire/buffer.hpp>

namespace rankpool::child {

/// Between the SIGTERM that a daemon gets at the end of its creator and the SIGKILL for one that did not heed it.
inline constexpr std::chrono::seconds daemon_grace{5};

/// See rankpool/process.hpp for what each function does. Several threads may use one.
class ChildProcess : public std::enable_shared_from_this<ChildProcess> {
  public:
    ChildProcess(const task::Descriptor& descriptor, wire::Buffer function, wire::Buffer arguments);

    void set_name(std::string name);
    void set_daemon(bool daemon);
    const std::string& name() const { return name_; }
    bool daemon() const;

    void start();
    bool join(pool::Deadline until);
    /// For a daemon that was asked to end: kills it when `until` has passed.
    void join_or_kill(pool::Deadline until);
    /// The end of the object: waits, or ends a daemon. In a copy that the program forked: nothing.
    void end();

    bool is_alive() const;
    std::optional<int> exit_code() const;
    std::optional<pid_t> pid() const;
    void terminate();
    void kill();
    int sentinel() const;

  private:
    std::shared_ptr<Life> life() const;
    std::shared_ptr<Life> begun_life(const char* asked) const;
    void require_unstarted(const char* asked) const;
    void require_own_process() const;

    const pid_t creator_;
    const std::string lineage_;
    const task::Descriptor& descriptor_;

    mutable std::mutex mutex_;  // of what follows
    wire::Buffer function_, arguments_;
    std::string name_;
    bool daemon_;
    bool starting_ = false;
    std::shared_ptr<Life> life_;
};

}  // namespace rankpool::child
