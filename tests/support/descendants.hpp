// The processes below this one: what a pool made, and whether it is gone.
#pragma once

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>

namespace descendants {

/// What /proc says of a process: its parent and its state ('Z': it has ended). Parent 0: there is no such process.
struct Status {
    pid_t parent = 0;
    char state = '-';
};
inline Status status_of(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(in, text);
    Status status;
    if (const auto close = text.rfind(')'); close != std::string::npos) std::istringstream(text.substr(close + 1)) >> status.state >> status.parent;
    return status;
}

/// All living ones.
inline std::set<pid_t> of_this_process() {
    std::map<pid_t, Status> all;
    for (const auto& entry : std::filesystem::directory_iterator("/proc"))
        if (const pid_t pid = std::atoi(entry.path().filename().c_str()); pid > 0) all[pid] = status_of(pid);
    std::set<pid_t> found;
    for (const auto& [pid, status] : all) {
        if (status.state == 'Z' || status.parent == 0) continue;
        for (pid_t up = status.parent; up > 0; up = all.count(up) > 0 ? all[up].parent : 0)
            if (up == getpid()) found.insert(pid);
    }
    return found;
}

/// Waits until `condition` holds; false when it does not in 20 seconds, which only ends a test that has failed.
template <class Condition>
bool comes_true(Condition&& condition) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > limit) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

/// Waits until the living ones are `wanted`.
inline bool become(const std::set<pid_t>& wanted) {
    return comes_true([&] { return of_this_process() == wanted; });
}

/// Waits until a process, of whomever, has ended.
inline bool ends(pid_t pid) {
    return comes_true([&] {
        const Status status = status_of(pid);
        return status.parent == 0 || status.state == 'Z';
    });
}

}  // namespace descendants
