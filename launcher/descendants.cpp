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
#include <fstream>
#include <sstream>
#include <string>

namespace rankrun {
namespace {

struct Process {
    pid_t pid = 0, parent = 0, group = 0;
};

Process process_of(const std::string& pid) {
    std::ifstream in("/proc/" + pid + "/stat");
    std::string text;
    std::getline(in, text);
    const auto close = text.rfind(')');  // the name before it may hold anything
    if (close == std::string::npos) return {};
    std::istringstream fields(text.substr(close + 1));
    std::string state;
    Process process{std::atoi(pid.c_str())};
    fields >> state >> process.parent >> process.group;
    return process;
}

std::vector<Process> all_processes() {
    std::vector<Process> found;
    DIR* processes = opendir("/proc");
    if (processes == nullptr) return found;
    while (const dirent* entry = readdir(processes)) {
        const std::string name(entry->d_name);
        if (std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c) != 0; }))
            found.push_back(process_of(name));
    }
    closedir(processes);
    return found;
}

}  // namespace

std::vector<pid_t> children() {
    std::vector<pid_t> found;
    siginfo_t ended{};
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD) return found;  // as after most jobs
    for (const Process& process : all_processes())
        if (process.parent == getpid()) found.push_back(process.pid);
    return found;
}

std::vector<pid_t> descendants_in_group(pid_t group) {
    const std::vector<Process> all = all_processes();
    std::vector<pid_t> below{getpid()}, found;
    for (std::size_t i = 0; i < below.size(); ++i)  // grows
        for (const Process& process : all) {
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
