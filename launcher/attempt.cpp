#include "attempt.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <rankpool/error.hpp>
#include "descendants.hpp"
#include "launch/job_socket.hpp"
#include "os/failure.hpp"
#include "os/host_name.hpp"
#include "os/socket.hpp"
#include "output.hpp"
#include "plan.hpp"
#include "protocol.hpp"
#include "shm/job_memory.hpp"
#include "standard_input.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;
using Clock = std::chrono::steady_clock;

// For a reader that does read to get what is there, when a user wants the end at once.
constexpr std::chrono::nanoseconds a_moment = std::chrono::milliseconds(200);

class Attempt {
  public:
    Attempt(const Options& options, const Surroundings& surroundings, int number)
        : options_(options),
          surroundings_(surroundings),
          number_(number),
          input_(options, surroundings.front_group),
          output_(options, number > 0) {
        if (options.engine.empty()) door_.emplace(options.ranks(), [this] { return memory(); });
    }

    Ending run() {
        for (const Program& program : options_.programs)
            for (int i = 0; i < program.ranks && !failed_; ++i) start(program);
        input_.all_started();
        output_.all_started();
        // What a rank leaves behind is killed; but when the job is ended early, a rank's leader may only have been the
        // wrapper around a program that is still busy ending: it has its grace too.
        while (running_ > 0 || (kill_at_ && group_left())) {
            wait();
            if (kill_at_ && Clock::now() >= *kill_at_) kill_now();
        }
        kill_all_descendants(helpers());
        pass_on_the_rest();
        const bool time_left = !surroundings_.deadline || Clock::now() < *surroundings_.deadline;
        const bool helped = !input_failed_ && !output_failed_;
        const bool may_start_again = exit_code_ != 0 && started_ && !asked_to_end_ && time_left && helped;
        return {exit_code_ == 0 && output_failed_ ? 1 : exit_code_, may_start_again};
    }

  private:
    struct Rank {
        pid_t pid = 0;
        bool running = false;
        bool at_terminal = false;  // its process group is the front's, not one of its own
        bool group = true;         // it has members: the leader or, after its end, those that it left
    };

    // Made when the first rank asks for it: programs of other kinds need none.
    int memory() {
        if (!memory_) {
            memory_.emplace(rankpool::shm::JobMemory::create(options_.ranks()));
            if (!surroundings_.bindings.of(0).empty()) memory_->tell_bound();
            for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
                if (!ranks_[rank].running) memory_->mark_gone(static_cast<int>(rank));
        }
        return memory_->fd();
    }

    void start(const Program& program) {
        const int rank = static_cast<int>(ranks_.size());
        RankStart with{program, {}};
        if (door_) {
            with.variables = rank_variables(options_, rank);
            for (const std::string& variable : door_->environment(rank)) with.variables.push_back(variable);
        }
        with.variables.push_back("RANKPOOL_RESTARTS=" + std::to_string(number_));
        with.input = input_.of(rank);
        with.output = output_.of(rank).out;
        with.error = output_.of(rank).err;
        with.group = input_.group_of(rank);
        with.cpus = surroundings_.bindings.of(rank);
        const Started started = start_rank(with, surroundings_.inherited);
        if (started.pid < 0) {
            std::fprintf(stderr, "rankrun: %s cannot be started: %s\n", name_of(rank).c_str(), started.why.c_str());
            started_ = false;
            return fail(started.exit_code);
        }
        ranks_.push_back({started.pid, true, with.group != 0});
        ++running_;
        if (options_.verbose) std::fprintf(stderr, "rankrun: %s is pid %d\n", name_of(rank).c_str(), started.pid);
        if (options_.report_bindings && door_)
            std::fprintf(stderr, "rankrun: rank %d %s\n", rank,
                         surroundings_.bindings.report(rank, started.pid).c_str());
    }

    std::string name_of(int rank) const {
        return options_.engine.empty() ? "rank " + std::to_string(rank) : options_.engine;
    }

    void wait() {
        std::vector<pollfd> events{{surroundings_.front, POLLIN, 0}, {surroundings_.endings, POLLIN, 0}};
        if (door_)
            for (const int descriptor : door_->descriptors()) events.push_back({descriptor, POLLIN, 0});
        os::check(os::retry_interrupted([&] { return poll(events.data(), events.size(), patience()); }), "poll");
        if (events[0].revents != 0) listen_to_front();
        for (std::size_t i = 3; i < events.size(); ++i) {
            int rank = -1;
            if (events[i].revents != 0 && door_->ended(events[i].fd, rank)) mark_gone(rank);
        }
        if (events.size() > 2 && events[2].revents != 0) door_->answer();
        if (events[1].revents != 0) reap();
        if (time_matters() && Clock::now() >= *surroundings_.deadline) end_for_time();
    }

    // Not to a job that is being ended already: how it ended is known.
    bool time_matters() const { return surroundings_.deadline && running_ > 0 && !failed_ && !asked_to_end_; }

    // In milliseconds, for poll.
    int patience() const {
        std::optional<Clock::time_point> until = kill_at_;
        if (!until && time_matters()) until = surroundings_.deadline;
        long long limit = -1;
        if (until)
            limit = std::clamp<long long>(
                std::chrono::duration_cast<std::chrono::milliseconds>(*until - Clock::now()).count() + 1, 0, 1'000'000);
        // The end of a process that is not our child is not told.
        if (running_ == 0 && kill_at_) limit = std::min(limit, 50LL);
        return static_cast<int>(limit);
    }

    void listen_to_front() {
        const os::Packet packet = os::receive_packet(surroundings_.front, sizeof(SignalNotice));
        SignalNotice notice;
        if (!packet.alive || packet.bytes.size() != sizeof notice) {  // the front is gone: nobody wants this job
            kill_all_descendants();
            _exit(1);
        }
        std::memcpy(&notice, packet.bytes.data(), sizeof notice);
        const bool ends =
            notice.signal == SIGINT || notice.signal == SIGTERM || notice.signal == SIGHUP || notice.signal == SIGQUIT;
        asked_to_end_ = asked_to_end_ || ends;
        if (ends && passing_on_) return stop_helpers();  // a reader that does not read, and a user who wants the end
        if (notice.signal == SIGINT && std::exchange(interrupted_, true)) {
            killed_ = true;
            return kill_now();
        }
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
            if (spare == Spare::those_that_left && memory_ &&
                memory_->presence(static_cast<int>(i)) == rankpool::shm::Presence::left)
                continue;
            if (!rank.group || (rank.at_terminal && from_terminal)) continue;
            if (!rank.at_terminal)
                ::kill(-rank.pid, signal);
            else
                for (const pid_t pid : group_at_terminal()) ::kill(pid, signal);
        }
    }

    // In the front's group there are others too, which are not ours: those in it that the rank there has started, and
    // itself.
    std::vector<pid_t> group_at_terminal() const {
        std::vector<pid_t> all = descendants_in_group(surroundings_.front_group);
        for (const pid_t helper : helpers()) std::erase(all, helper);
        for (const Rank& rank : ranks_)
            if (rank.at_terminal && rank.running && std::find(all.begin(), all.end(), rank.pid) == all.end())
                all.push_back(rank.pid);  // it has left the group
        return all;
    }

    bool has_members(const Rank& rank) const {
        return rank.running || (rank.at_terminal ? !group_at_terminal().empty() : ::kill(-rank.pid, 0) == 0);
    }

    // While a group has members nobody else gets its number; once it was seen empty it is not looked at again. As long
    // as its leader runs there is nothing to see.
    bool group_left() {
        for (Rank& rank : ranks_) rank.group = rank.group && has_members(rank);
        return std::any_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.group; });
    }

    void reap() {
        signalfd_siginfo consumed;
        while (read(surroundings_.endings, &consumed, sizeof consumed) > 0) {
        }
        int status;
        while (const pid_t pid = waitpid(-1, &status, WNOHANG)) {
            if (pid < 0) return;
            if (pid == input_.feeder()) feeder_ended(pid, status);
            if (pid == output_.writer() && !output_.writer_ended(status) && !helpers_stopped_) output_failed_ = true;
            const auto found = std::find_if(ranks_.begin(), ranks_.end(),
                                            [&](const Rank& rank) { return rank.running && rank.pid == pid; });
            if (found == ranks_.end()) continue;  // a descendant that we inherited
            found->running = false;
            --running_;
            group_left();
            ended(static_cast<int>(found - ranks_.begin()), pid, status);
        }
    }

    // To the ranks it looks like the end of standard input: nobody can go on as if it were.
    void feeder_ended(pid_t pid, int status) {
        input_.feeder_ended();
        if (status == 0 || helpers_stopped_ || asked_to_end_) return;
        if (WIFSIGNALED(status))  // else it has said itself why
            std::fprintf(stderr, "rankrun: the process that hands out standard input (pid %d) was killed%s\n", pid,
                         running_ > 0 ? "; ending the ranks" : "");
        input_failed_ = true;
        if (!failed_) fail(1);
    }

    void mark_gone(int rank) {
        if (memory_) memory_->mark_gone(rank);
    }

    void ended(int rank, pid_t pid, int status) {
        // The rank itself may be a child of what has just ended (a wrapper that went on); it has its own connection
        // then.
        if (door_ && (!door_->joined(rank) || door_->pid_of(rank) == pid)) mark_gone(rank);
        const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (code == 0 || failed_) return;
        if (!asked_to_end_ && input_.group_of(rank) != 0) hear_the_front_first(status);
        // An engine has said itself why it ends, if it could.
        if (!asked_to_end_ && (options_.engine.empty() || WIFSIGNALED(status))) {
            std::string how = "exited with code " + std::to_string(code);
            if (WIFSIGNALED(status)) {
                how = "was killed by signal " + std::to_string(WTERMSIG(status));
                if (const char* name = sigabbrev_np(WTERMSIG(status))) how += std::string(" (SIG") + name + ")";
            }
            std::fprintf(stderr, "rankrun: %s (pid %d on %s) %s%s\n", name_of(rank).c_str(), pid,
                         os::host_name().c_str(), how.c_str(), running_ > 0 ? "; ending the other ranks" : "");
        }
        fail(code);
    }

    // The terminal sends its signals to the rank that reads from it and to the front, whose word may come second:
    // whether somebody asked for this end must be known before it is called a failure.
    void hear_the_front_first(int status) {
        const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        pollfd word{surroundings_.front, POLLIN, 0};
        if (poll(&word, 1, signal == SIGINT || signal == SIGQUIT || signal == SIGHUP ? 1000 : 100) == 1)
            listen_to_front();
    }

    void fail(int code) {
        failed_ = true;
        exit_code_ = code;
        signal_ranks(SIGTERM, false, Spare::those_that_left);
        signal_ranks(SIGCONT, false);  // a stopped rank hears nothing
        start_ladder();
    }

    void end_for_time() {
        out_of_time_ = failed_ = true;
        exit_code_ = exit_timeout;
        std::fprintf(stderr, "rankrun: the job has not ended in %s s (--timeout); ending it\n",
                     seconds_text(*options_.timeout).c_str());
        signal_ranks(SIGTERM, false);
        signal_ranks(SIGCONT, false);
        start_ladder();
    }

    void start_ladder() {
        if (!kill_at_) kill_at_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(options_.grace);
    }

    void kill_now() {
        kill_at_.reset();
        signal_ranks(SIGKILL, false);
    }

    // ---- the launcher's own processes ----

    std::vector<pid_t> helpers() const {
        std::vector<pid_t> all;
        for (const pid_t pid : {input_.feeder(), output_.writer()})
            if (pid != 0) all.push_back(pid);
        return all;
    }

    // What the ranks wrote is written out, however long a reader takes: unless the job was to end now, or at once.
    void pass_on_the_rest() {
        passing_on_ = true;
        input_.close();
        output_.close();
        if (killed_) {
            kill_at_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::min(options_.grace, a_moment));
        } else if (asked_to_end_ || out_of_time_) {
            start_ladder();
        } else {
            kill_at_.reset();
        }
        while (!helpers().empty()) {
            wait();
            if (kill_at_ && Clock::now() >= *kill_at_) stop_helpers();
        }
    }

    void stop_helpers() {
        helpers_stopped_ = true;
        kill_at_.reset();
        for (const pid_t pid : helpers()) ::kill(pid, SIGKILL);
    }

    const Options& options_;
    const Surroundings& surroundings_;
    const int number_;
    StandardInput input_;
    Output output_;
    std::optional<rankpool::shm::JobMemory> memory_;
    std::optional<rankpool::launch::JobDoor> door_;
    std::vector<Rank> ranks_;
    int running_ = 0;
    int exit_code_ = 0;
    bool started_ = true;
    bool failed_ = false, asked_to_end_ = false, interrupted_ = false, killed_ = false, out_of_time_ = false;
    bool passing_on_ = false, helpers_stopped_ = false, input_failed_ = false, output_failed_ = false;
    std::optional<Clock::time_point> kill_at_;
};

}  // namespace

Ending run_attempt(const Options& options, const Surroundings& surroundings, int number) {
    return Attempt(options, surroundings, number).run();
}

}  // namespace rankrun
