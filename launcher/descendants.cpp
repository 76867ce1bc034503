#include "descendants.hpp"

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

namespace rankrun {
namespace {

pid_t parent_of(const std::string& pid) {
    std::ifstream in("/proc/" + pid + "/stat");
    std::string text;
    std::getline(in, text);
    const auto close = text.rfind(')');  // the name before it may hold anything
    if (close == std::string::npos) return 0;
    std::istringstream fields(text.substr(close + 1));
    std::string state;
    pid_t parent = 0;
    fields >> state >> parent;
    return parent;
}

}  // namespace

std::vector<pid_t> children() {
    std::vector<pid_t> found;
    const pid_t self = getpid();
    DIR* processes = opendir("/proc");
    if (processes == nullptr) return found;
    while (const dirent* entry = readdir(processes)) {
        const std::string name(entry->d_name);
        if (!std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) continue;
        if (parent_of(name) == self) found.push_back(std::atoi(name.c_str()));
    }
    closedir(processes);
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
