#include "process/server_loop.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <map>
#include <vector>

#include "os/failure.hpp"
#include "os/socket.hpp"
#include "process/child_start.hpp"
#include "process/exec_self.hpp"
#include "process/packets.hpp"
#include <rankpool/error.hpp>

namespace rankpool::process {
namespace {

// Holds all signals back while a child is made: one that is sent to it before it has its own actions must neither be lost,
// as the server's are ignored, nor end it as something else.
class SignalsHeld {
  public:
    SignalsHeld() {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsHeld() { release(); }
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;

    void release() const { sigprocmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_;
};

class Server {
  public:
    Server(os::UniqueFd socket, pid_t owner, const Works& works, bool at_run)
        : socket_(std::move(socket)), works_(works), at_run_(at_run), by_exec_(thread_count() > 1) {
        owner_.reset(static_cast<int>(syscall(SYS_pidfd_open, owner, 0)));  // absent in old kernels: the socket's end does
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, nullptr);
    }

    [[noreturn]] void serve() {
        report({News::ready, 0, getpid()});
        std::vector<pollfd> events;
        for (;;) {
            // Each child by its own descriptor: SIGCHLD could go to a thread that a static initialiser of the program
            // started, and be lost there.
            events.assign({{socket_.get(), POLLIN, 0}, {owner_.get(), POLLIN, 0}});
            int limit = -1;
            for (const auto& [pid, child] : children_) {
                if (child.end)
                    events.push_back({child.end.get(), POLLIN, 0});
                else
                    limit = 20;  // an old kernel: look again and again
            }
            if (os::retry_interrupted([&] { return poll(events.data(), events.size(), limit); }) < 0) end();
            reap();
            if (events[1].revents != 0) end();
            if (events[0].revents != 0) obey();
        }
    }

  private:
    void obey() {
        os::Packet packet = os::receive_packet(socket_.get(), sizeof(Request));
        Request request;
        if (!packet.alive || packet.bytes.size() != sizeof request) end();
        std::memcpy(&request, packet.bytes.data(), sizeof request);
        if (request.order != Order::spawn) {
            // Only children that were not reaped yet: the pid cannot belong to anybody else.
            if (const auto child = pids_.find(request.child); child != pids_.end()) {
                if (request.order == Order::kill) ::kill(-child->second, request.signal);
                ::kill(child->second, request.signal);
            }
            return;
        }
        const auto kind = static_cast<Kind>(request.kind);
        const pid_t pid = by_exec_ ? spawn_by_exec(packet, kind) : spawn_by_fork(packet, kind);
        if (pid < 0) return report({News::failed, request.child, errno});
        pids_[request.child] = pid;
        children_[pid] = {request.child, os::UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)))};
        report({News::started, request.child, pid});
    }

    pid_t spawn_by_fork(os::Packet& packet, Kind kind) {
        const pid_t server = getpid();
        const SignalsHeld held;
        const pid_t pid = fork();
        if (pid != 0) return pid;
        take_signal_actions(kind);
        held.release();
        setpgid(0, 0);
        die_with(server);
        socket_.reset();
        owner_.reset();
        children_.clear();
        start_child(std::move(packet), works_);
    }

    pid_t spawn_by_exec(const os::Packet& packet, Kind kind) {
        os::SocketPair pair = os::socket_pair();
        std::vector<int> descriptors;
        for (const auto& fd : packet.descriptors) descriptors.push_back(fd.get());
        if (!os::send_packet(pair.first.get(), packet.bytes, descriptors)) return -1;
        const ExecImage image(false, at_run_, pair.second.get(), getpid());
        const pid_t server = getpid();
        const SignalsHeld held;
        const pid_t pid = fork();
        if (pid != 0) return pid;
        take_signal_actions(kind);  // the exec keeps them
        held.release();
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // survives the exec
        if (getppid() != server) _exit(1);
        image.exec(pair.second.get());
        _exit(127);
    }

    void reap() {
        for (;;) {
            siginfo_t ended{};
            if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0) return;
            // What the child started and left behind in its group goes with it: while it is a zombie nobody else has its
            // number.
            ::kill(-ended.si_pid, SIGKILL);
            int status = 0;
            waitpid(ended.si_pid, &status, 0);
            const auto child = children_.find(ended.si_pid);
            if (child == children_.end()) continue;
            const std::uint64_t id = child->second.id;
            pids_.erase(id);
            children_.erase(child);
            report({News::ended, id, status});
        }
    }

    void report(const Report& report) {
        if (!os::send_packet(socket_.get(), bytes_of(report))) end();
    }

    [[noreturn]] void end() {
        for (const auto& [pid, child] : children_) {
            ::kill(-pid, SIGKILL);
            ::kill(pid, SIGKILL);
        }
        _exit(0);
    }

    struct Child {
        std::uint64_t id = 0;
        os::UniqueFd end;  // readable once it has ended
    };

    os::UniqueFd socket_, owner_;
    const Works& works_;
    bool at_run_, by_exec_;
    std::map<std::uint64_t, pid_t> pids_;
    std::map<pid_t, Child> children_;
};

}  // namespace

int thread_count() {
    DIR* tasks = opendir("/proc/self/task");
    if (tasks == nullptr) return 1;
    int count = 0;
    while (const dirent* entry = readdir(tasks))
        if (entry->d_name[0] != '.') ++count;
    closedir(tasks);
    return count;
}

void serve_owner(os::UniqueFd socket, pid_t owner, const Works& works, bool at_run) {
    setpgid(0, 0);
    ignore_terminal_signals();
    std::signal(SIGPIPE, SIG_DFL);
    std::signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_NAME, "rankpool-server");
    // The owner's terminal and pipes are not ours to keep open: a launcher waits for their end.
    const os::UniqueFd nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nothing.get(), stream);
    try {
        Server(std::move(socket), owner, works, at_run).serve();
    } catch (...) {
        _exit(1);  // the owner sees the socket's end, the children their parent's
    }
}

}  // namespace rankpool::process
