// One process of the operating system from its birth to its exit code, as the fork server tells of it.
//
// The child waits at a gate until its creator knows its pid. So a child whose news were lost, because somebody killed the
// fork server just then, has done nothing and ends with the server: another one may take its place, and no target ever
// runs twice.
//
//     creator ──spawn──> fork server ──fork──> child: waits at the gate
//        │ <── started: pid ───┘                 │
//        └────────────── the gate opens ───────> runs the target
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "os/unique_fd.hpp"
#include "process/fork_server.hpp"
#include <rankpool/pool/call.hpp>

namespace rankpool::child {

class Life {
  public:
    /// Makes the process that `spec` describes; returns once its pid is known. The gate is its only descriptor. Throws
    /// LaunchError.
    static std::shared_ptr<Life> begin(process::ChildSpec spec);

    Life();

    pid_t pid() const { return pid_; }
    /// Empty while it is alive; -N when signal N ended it.
    std::optional<int> exit_code() const;
    /// Waits for its end; false when `until` has passed.
    bool wait(pool::Deadline until);
    /// Readable once it has ended and exit_code() is there.
    int sentinel() const { return sentinel_.get(); }

    /// To the process alone: it may want to end what it started in its own way.
    void terminate();
    /// To the process and all of its group.
    void kill();

  private:
    enum class Start { running, server_died };
    Start try_to_begin(process::ChildSpec& spec, const std::shared_ptr<Life>& self);
    void ended(int exit_code);

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::weak_ptr<process::ForkServer> server_;  // weak: the last owner must not be one of its own events
    process::ChildId id_ = 0;
    pid_t pid_ = 0;
    std::string failure_;
    std::optional<int> exit_code_;
    os::UniqueFd sentinel_;
};

/// In the child: waits until the gate opens. False when it never will.
bool pass_gate(const os::UniqueFd& gate);

}  // namespace rankpool::child
