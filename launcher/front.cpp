#include "front.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "descendants.hpp"
#include "minder.hpp"
#include "os/failure.hpp"
#include "os/socket.hpp"
#include "protocol.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
    return {reinterpret_cast<const std::byte*>(&value), sizeof value};
}

class Front {
  public:
    Front(os::UniqueFd socket, pid_t minder, sigset_t signals)
        : socket_(std::move(socket)), minder_(minder), signals_(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)) {
        if (!signals_) os::fail("signalfd");
    }

    int run() {
        for (;;) {
            pollfd events[] = {{socket_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
            os::check(os::retry_interrupted([&] { return poll(events, 2, -1); }), "poll");
            if (events[1].revents != 0) pass_signals_on();
            if (events[0].revents != 0) return end();
        }
    }

  private:
    void pass_signals_on() {
        signalfd_siginfo info;
        while (read(signals_.get(), &info, sizeof info) == sizeof info) {
            const int signal = static_cast<int>(info.ssi_signo);
            const SignalNotice notice{signal, info.ssi_code == SI_KERNEL ? 1 : 0};
            (void)os::send_packet(socket_.get(), bytes_of(notice));
            if (signal == SIGTSTP) raise(SIGSTOP);  // as the shell expects; SIGCONT brings us back
        }
    }

    int end() {
        const os::Packet packet = os::receive_packet(socket_.get(), sizeof(Verdict));
        Verdict verdict{1};
        if (packet.alive && packet.bytes.size() == sizeof verdict) {
            std::memcpy(&verdict, packet.bytes.data(), sizeof verdict);
            // That was its last word. With it gone there is nobody left to look for, as a rule.
            kill(minder_, SIGKILL);
            os::retry_interrupted([&] { return waitpid(minder_, nullptr, 0); });
        } else {
            std::fprintf(stderr, "rankrun: the process that minds the ranks (pid %d) was killed; ending the job\n",
                         minder_);
        }
        kill_all_descendants();  // the minder itself, and what it left when it was killed
        return verdict.exit_code;
    }

    os::UniqueFd socket_;
    pid_t minder_;
    os::UniqueFd signals_;
};

}  // namespace

int run_job(const Options& options, const Bindings& bindings) {
    // Where it is ignored, as a parent may have left it, no child can be waited for, and none tells of its end.
    const auto child_action = std::signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t signals, before;
    sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT})
        sigaddset(&signals, signal);
    sigprocmask(SIG_BLOCK, &signals, &before);
    os::SocketPair pair = os::socket_pair();
    const pid_t group = getpgrp();
    std::fflush(nullptr);
    const pid_t minder = os::check(fork(), "fork");
    if (minder == 0) {
        pair.first.reset();
        mind(options, bindings, std::move(pair.second), group, before, child_action);
    }
    pair.second.reset();
    return Front(std::move(pair.first), minder, signals).run();
}

}  // namespace rankrun
