#include "minder.hpp"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "attempt.hpp"
#include "descendants.hpp"
#include "os/failure.hpp"
#include "os/socket.hpp"
#include "protocol.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;
using Clock = std::chrono::steady_clock;

// For this process; the ranks get the mask that was there before.
sigset_t block(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return set;
}

int run_attempts(const Options& options, const Bindings& bindings, int front, pid_t front_group, const sigset_t& mask,
                 void (*child_action)(int)) {
    const auto pipe_action = signal(SIGPIPE, SIG_IGN);
    block(SIGTTOU);  // a terminal that forbids the background to write gets our messages all the same
    const sigset_t child_ended = block(SIGCHLD);
    const os::UniqueFd endings(os::check(signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
    Surroundings surroundings{
        bindings, front, front_group, endings.get(), {mask, child_action, pipe_action, raise_descriptor_limit()}, {}};
    if (options.timeout)
        surroundings.deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(*options.timeout);
    for (int number = 0;; ++number) {
        const Ending ending = run_attempt(options, surroundings, number);
        if (!ending.may_start_again || number >= options.restarts) return ending.exit_code;
        std::fprintf(stderr, "rankrun: starting the job again (restart %d of %d)\n", number + 1, options.restarts);
    }
}

}  // namespace

void mind(const Options& options, const Bindings& bindings, os::UniqueFd front, pid_t front_group,
          const sigset_t& mask, void (*child_action)(int)) {
    setpgid(0, 0);  // the terminal's signals come through the front, once
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "rank-minder");  // whoever kills all that is called rankrun leaves one to clean up
    Verdict verdict{1};
    try {
        verdict.exit_code = run_attempts(options, bindings, front.get(), front_group, mask, child_action);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankrun: %s\n", error.what());
    }
    kill_all_descendants();  // where an attempt was given up
    (void)os::send_packet(front.get(), {reinterpret_cast<const std::byte*>(&verdict), sizeof verdict});
    _exit(verdict.exit_code);
}

}  // namespace rankrun
