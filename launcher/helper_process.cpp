#include "helper_process.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>

#include "os/failure.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;

// Somebody else's descriptors must not stay open here: others wait for their end.
void close_all_but(std::vector<int> kept) {
    std::sort(kept.begin(), kept.end());
    unsigned first = STDERR_FILENO + 1;
    for (const int descriptor : kept) {
        const auto number = static_cast<unsigned>(descriptor);
        if (number > first) os::check(close_range(first, number - 1, 0), "close_range");
        first = number + 1;
    }
    os::check(close_range(first, ~0u, 0), "close_range");
}

}  // namespace

pid_t start_helper(const char* name, const std::vector<int>& descriptors, pid_t group,
                   const std::function<int()>& work) {
    const pid_t parent = getpid();
    const pid_t pid = os::check(fork(), "fork", name);
    if (pid != 0) return pid;
    int result = 1;
    try {
        if (group != 0) (void)setpgid(0, group);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        prctl(PR_SET_NAME, name);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGTTOU, SIG_IGN);  // in the background too, what the ranks wrote is written
        close_all_but(descriptors);
        result = work();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rankrun: %s\n", error.what());
    }
    _exit(result);
}

}  // namespace rankrun
