// The fork server: a small process, forked while this one still had a single thread, that makes our children.
//
// A process with threads, or with MPI, cannot be forked safely; this one has neither. It also outlives nobody: when the
// process that owns it dies, by SIGKILL too, it kills every child it made and ends.
//
//     owner ──socket──> server ──fork──> child
//       ^                 │                │ dies with the server (PR_SET_PDEATHSIG: the server has one thread)
//       └── started, ended ┘
//
// Where the owner has threads already, the server is made by exec of the own program instead, taken over before its
// main begins (entry/start_hook.cpp). If even that process has threads (a static initialiser started them), it execs
// every child in the same way instead of forking it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "os/unique_fd.hpp"
#include "process/child.hpp"

namespace rankpool::process {

/// How a child ended: the status of waitpid.
struct Ended {
    int signal = 0;     // 0: it exited
    int exit_code = 0;  // when it exited
};

/// What the server tells about a child. Called on the server's reader thread; must not block.
struct ChildEvents {
    std::function<void(pid_t)> started;
    std::function<void(const std::string& why)> failed;  // it could not be made at all
    std::function<void(Ended)> ended;
};

using ChildId = std::uint64_t;

class ForkServer {
  public:
    /// The server of this process; starts it now if it is not running. Throws Error.
    static std::shared_ptr<ForkServer> instance();
    /// Starts it now, from run(): the children see the program's state as it is at this moment. Where the program has
    /// threads already, they are made by exec instead and take over when the new process reaches run(). `own` are
    /// descriptors that only this process may hold.
    static void start_at_run(std::vector<int> own);
    /// Ends it, and with it all children.
    static void stop();

    /// Asks for a child. Returns at once; `events` say how it went. Throws Error when the server is gone.
    ChildId spawn(const ChildSpec& spec, ChildEvents events);
    /// Sends a signal to the child's process group; nothing if it has ended.
    void kill(ChildId child, int signal);
    /// The same to the child alone.
    void signal(ChildId child, int signal);
    /// False once the server has died (somebody killed it): all its children are dead too.
    bool alive() const;
    pid_t pid() const { return pid_; }

    ForkServer(os::UniqueFd socket, pid_t pid);
    ~ForkServer();
    ForkServer(const ForkServer&) = delete;
    ForkServer& operator=(const ForkServer&) = delete;

  private:
    void read_events();

    os::UniqueFd socket_;
    pid_t pid_;
    mutable std::mutex mutex_;
    bool alive_ = true;
    ChildId next_ = 1;
    std::map<ChildId, ChildEvents> children_;
    std::thread reader_;
};

/// The work of each kind of child in this program.
void set_works(const Works& works);
/// Set by the start hook when this program's start goes through us.
void set_program_start_hooked();

/// In a process made by exec for us: the token that the environment carries, removed from it. Empty otherwise.
struct ExecToken {
    bool is_server = false;  // else: a child
    bool at_run = false;     // take over in run(), else before main
    int socket = -1;
    pid_t owner = 0;
};
std::optional<ExecToken> take_exec_token(bool in_run);
/// Becomes what the token says; never returns.
[[noreturn]] void become(const ExecToken& token);

}  // namespace rankpool::process
