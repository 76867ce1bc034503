#include "descendants.hpp"

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <string>
#include <utility>

#include "os/files.hpp"

namespace rankrun {
namespace {

using rankpool::os::ProcessStat;

std::vector<ProcessStat> all_processes() {
    std::vector<ProcessStat> found;
    DIR* processes = opendir("/proc");
    if (processes == nullptr) return found;
    while (const dirent* entry = readdir(processes)) {
        const std::string name(entry->d_name);
        if (!std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) continue;
        if (auto process = rankpool::os::process_stat(std::atoi(name.c_str()))) found.push_back(std::move(*process));
    }
    closedir(processes);
    return found;
}

}  // namespace

std::vector<pid_t> children() {
    std::vector<pid_t> found;
    siginfo_t ended{};
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD) return found;  // as after most jobs
    for (const ProcessStat& process : all_processes())
        if (process.parent == getpid()) found.push_back(process.pid);
    return found;
}

std::vector<pid_t> descendants_in_group(pid_t group) {
    const std::vector<ProcessStat> all = all_processes();
    std::vector<pid_t> below{getpid()}, found;
    for (std::size_t i = 0; i < below.size(); ++i)  // grows
        for (const ProcessStat& process : all) {
            if (process.parent != below[i]) continue;
            below.push_back(process.pid);
            if (process.group == group) found.push_back(process.pid);
        }
    return found;
}

void kill_all_descendants(const std::vector<pid_t>& spared) {
    for (;;) {
        bool left = false;
        for (const pid_t child : children()) {
            if (std::find(spared.begin(), spared.end(), child) != spared.end()) continue;
            left = true;
            kill(child, SIGKILL);
            waitpid(child, nullptr, WNOHANG);
        }
        if (!left) return;
        // Those that were killed just now end in a moment; a process that hangs in the kernel must not hold us for
        // ever, but is not left alone either.
        const timespec moment{0, 1'000'000};
        nanosleep(&moment, nullptr);
    }
}

}  // namespace rankrun
