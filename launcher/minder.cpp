#include "minder.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

#include "descendants.hpp"
#include "launch/job_socket.hpp"
#include "os/failure.hpp"
#include "os/host_name.hpp"
#include "os/socket.hpp"
#include "protocol.hpp"
#include "rank_process.hpp"
#include "shm/job_memory.hpp"
#include <rankpool/cpus.hpp>
#include <rankpool/error.hpp>

namespace rankrun {
namespace {

namespace os = rankpool::os;
using Clock = std::chrono::steady_clock;

class Minder {
  public:
    Minder(const Options& options, const std::string& program, int front, pid_t front_group, const sigset_t& mask)
        : options_(options),
          front_(front),
          memory_(rankpool::shm::JobMemory::create(options.ranks)),
          door_(options.ranks, memory_.fd()),
          starter_{program, options.command, mask, isatty(STDIN_FILENO) == 1 ? front_group : 0} {
        sigset_t child_ended;
        sigemptyset(&child_ended);
        sigaddset(&child_ended, SIGCHLD);
        sigprocmask(SIG_BLOCK, &child_ended, nullptr);
        endings_.reset(signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK));
        if (!endings_) os::fail("signalfd");
    }

    int run() {
        for (int rank = 0; rank < options_.ranks && !failed_; ++rank) start(rank);
        // What a rank leaves behind is killed; but when the job is ended early, a rank's leader may only have been the
        // wrapper around a program that is still busy ending: it has its grace too.
        while (running_ > 0 || (kill_at_ && group_left())) {
            wait();
            if (kill_at_ && Clock::now() >= *kill_at_) kill_now();
        }
        return exit_code_;
    }

  private:
    struct Rank {
        pid_t pid = 0;
        bool running = false;
        bool group = false;  // its process group has members: the leader or, after its end, those that it left
    };

    void start(int rank) {
        std::vector<std::string> variables = door_.environment(rank);
        const std::string number = std::to_string(rank), size = std::to_string(options_.ranks);
        for (const auto& [name, value] : {std::pair("RANK", number), {"LOCAL_RANK", number}, {"WORLD_SIZE", size}, {"LOCAL_WORLD_SIZE", size}})
            variables.push_back(std::string(name) + "=" + value);
        const Started started = starter_.start(rank, variables);
        if (started.pid < 0) {
            std::fprintf(stderr, "rankrun: rank %d cannot be started: %s\n", rank, started.why.c_str());
            return fail(started.exit_code);
        }
        ranks_.push_back({started.pid, true, rank != 0 || starter_.terminal_group == 0});
        ++running_;
        if (options_.verbose) std::fprintf(stderr, "rankrun: rank %d is pid %d\n", rank, started.pid);
    }

    void wait() {
        std::vector<pollfd> events{{front_, POLLIN, 0}, {endings_.get(), POLLIN, 0}};
        for (const int descriptor : door_.descriptors()) events.push_back({descriptor, POLLIN, 0});
        int limit = -1;
        if (kill_at_)
            limit = static_cast<int>(std::clamp<long long>(
                std::chrono::duration_cast<std::chrono::milliseconds>(*kill_at_ - Clock::now()).count() + 1, 0, 1'000'000));
        if (running_ == 0) limit = std::min(limit, 50);  // the end of a process that is not our child is not told
        os::check(os::retry_interrupted([&] { return poll(events.data(), events.size(), limit); }), "poll");
        if (events[0].revents != 0) listen_to_front();
        for (std::size_t i = 3; i < events.size(); ++i) {
            int rank = -1;
            if (events[i].revents != 0 && door_.ended(events[i].fd, rank)) memory_.mark_gone(rank);
        }
        if (events[2].revents != 0) door_.answer();
        if (events[1].revents != 0) reap();
    }

    void listen_to_front() {
        const os::Packet packet = os::receive_packet(front_, sizeof(SignalNotice));
        SignalNotice notice;
        if (!packet.alive || packet.bytes.size() != sizeof notice) {  // the front is gone: nobody wants this job
            kill_all_descendants();
            _exit(1);
        }
        std::memcpy(&notice, packet.bytes.data(), sizeof notice);
        const bool ends = notice.signal == SIGINT || notice.signal == SIGTERM || notice.signal == SIGHUP || notice.signal == SIGQUIT;
        if (notice.signal == SIGINT && std::exchange(interrupted_, true)) return kill_now();
        asked_to_end_ = asked_to_end_ || ends;
        signal_ranks(notice.signal, notice.from_terminal != 0);
        if (!ends) return;
        signal_ranks(SIGCONT, false);  // a stopped rank hears nothing
        start_ladder();
    }

    // A rank that said good-bye to the others is about to end by itself, and may have output to write out: it is not
    // told to end because another one was quicker. The ladder's end reaches it too.
    enum class Spare { nobody, those_that_left };

    void signal_ranks(int signal, bool from_terminal, Spare spare = Spare::nobody) {
        for (std::size_t i = 0; i < ranks_.size(); ++i) {
            const Rank& rank = ranks_[i];
            if (spare == Spare::those_that_left && memory_.presence(static_cast<int>(i)) == rankpool::shm::Presence::left) continue;
            if (rank.group)
                ::kill(-rank.pid, signal);
            else if (rank.running && !from_terminal)  // in the terminal's own group
                ::kill(rank.pid, signal);
        }
    }

    // While a group has members nobody else gets its number; once it was seen empty it is not looked at again.
    bool group_left() {
        for (Rank& rank : ranks_) rank.group = rank.group && ::kill(-rank.pid, 0) == 0;
        return std::any_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.group; });
    }

    void reap() {
        signalfd_siginfo consumed;
        while (read(endings_.get(), &consumed, sizeof consumed) > 0) {
        }
        int status;
        while (const pid_t pid = waitpid(-1, &status, WNOHANG)) {
            if (pid < 0) return;
            const auto found = std::find_if(ranks_.begin(), ranks_.end(), [&](const Rank& rank) { return rank.running && rank.pid == pid; });
            if (found == ranks_.end()) continue;  // a descendant that we inherited
            found->running = false;
            --running_;
            group_left();
            ended(static_cast<int>(found - ranks_.begin()), pid, status);
        }
    }

    void ended(int rank, pid_t pid, int status) {
        // The rank itself may be a child of what has just ended (a wrapper that went on); it has its own connection then.
        if (!door_.joined(rank) || door_.pid_of(rank) == pid) memory_.mark_gone(rank);
        const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (code == 0 || failed_) return;
        if (!asked_to_end_) {
            std::string how = "exited with code " + std::to_string(code);
            if (WIFSIGNALED(status)) {
                how = "was killed by signal " + std::to_string(WTERMSIG(status));
                if (const char* name = sigabbrev_np(WTERMSIG(status))) how += std::string(" (SIG") + name + ")";
            }
            std::fprintf(stderr, "rankrun: rank %d (pid %d on %s) %s%s\n", rank, pid, os::host_name().c_str(), how.c_str(),
                         running_ > 0 ? "; ending the other ranks" : "");
        }
        fail(code);
    }

    void fail(int code) {
        failed_ = true;
        exit_code_ = code;
        signal_ranks(SIGTERM, false, Spare::those_that_left);
        signal_ranks(SIGCONT, false);  // a stopped rank hears nothing
        start_ladder();
    }

    void start_ladder() {
        if (!kill_at_) kill_at_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(options_.grace);
    }

    void kill_now() {
        kill_at_.reset();
        signal_ranks(SIGKILL, false);
    }

    const Options& options_;
    int front_;  // the socket, the caller's
    os::UniqueFd endings_;
    rankpool::shm::JobMemory memory_;
    rankpool::launch::JobDoor door_;
    RankStarter starter_;
    std::vector<Rank> ranks_;
    int running_ = 0;
    int exit_code_ = 0;
    bool failed_ = false, asked_to_end_ = false, interrupted_ = false;
    std::optional<Clock::time_point> kill_at_;
};

}  // namespace

void mind(const Options& options, const std::string& program, os::UniqueFd front, pid_t front_group, const sigset_t& mask) {
    setpgid(0, 0);  // the terminal's signals come through the front, once
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "rank-minder");  // whoever kills all that is called rankrun leaves one to clean up
    signal(SIGPIPE, SIG_IGN);
    Verdict verdict{1};
    try {
        verdict.exit_code = Minder(options, program, front.get(), front_group, mask).run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankrun: %s\n", error.what());
    }
    kill_all_descendants();  // what the ranks left behind
    (void)os::send_packet(front.get(), {reinterpret_cast<const std::byte*>(&verdict), sizeof verdict});
    _exit(verdict.exit_code);
}

}  // namespace rankrun
