#include "support/subprocess.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

namespace subprocess {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

struct Process {
    pid_t parent;
    std::string name;
    char state;
};

std::map<pid_t, Process> processes() {
    std::map<pid_t, Process> all;
    DIR* directory = opendir("/proc");
    while (const dirent* entry = directory != nullptr ? readdir(directory) : nullptr) {
        const pid_t pid = std::atoi(entry->d_name);
        if (pid <= 0) continue;
        std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
        std::string text;
        std::getline(in, text);
        const auto open = text.find('('), close = text.rfind(')');
        if (close == std::string::npos) continue;
        std::istringstream fields(text.substr(close + 1));
        Process process{0, text.substr(open + 1, close - open - 1), '?'};
        fields >> process.state >> process.parent;
        all[pid] = process;
    }
    if (directory != nullptr) closedir(directory);
    return all;
}

// Descendants of this process that are alive, `except` and the zombies left out.
std::vector<std::pair<pid_t, std::string>> living_descendants(const std::vector<pid_t>& before) {
    const auto all = processes();
    std::vector<std::pair<pid_t, std::string>> found;
    for (const auto& [pid, process] : all) {
        if (process.state == 'Z' || std::count(before.begin(), before.end(), pid) > 0) continue;
        for (pid_t up = process.parent; up > 1;) {
            if (up == getpid()) {
                found.emplace_back(pid, process.name);
                break;
            }
            const auto next = all.find(up);
            if (next == all.end()) break;
            up = next->second.parent;
        }
    }
    return found;
}

void apply_environment(const std::vector<std::string>& environment) {
    for (const std::string& variable : environment) {
        const auto equals = variable.find('=');
        if (equals == std::string::npos)
            unsetenv(variable.c_str());
        else
            setenv(variable.substr(0, equals).c_str(), variable.c_str() + equals + 1, 1);
    }
}

void reap_strangers(pid_t child) {
    // Adopted descendants that have ended; the child itself is collected by its own wait.
    siginfo_t info{};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0 && info.si_pid != child) {
        waitpid(info.si_pid, nullptr, 0);
        info.si_pid = 0;
    }
}

// What is alive so long after the end was left behind.
std::vector<std::string> left_behind_since(const std::vector<pid_t>& before, std::chrono::seconds limit) {
    std::vector<std::string> left;
    const auto deadline = Clock::now() + limit;
    auto alive = living_descendants(before);
    while (!alive.empty() && Clock::now() < deadline) {
        poll(nullptr, 0, 10);
        reap_strangers(0);
        alive = living_descendants(before);
    }
    for (const auto& [pid, name] : alive) {
        left.push_back(name + " (" + std::to_string(pid) + ")");
        kill(pid, SIGKILL);
    }
    while (!living_descendants(before).empty()) reap_strangers(0);
    reap_strangers(0);
    return left;
}

}  // namespace

Result run(const std::vector<std::string>& command, const Options& options) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    std::vector<pid_t> before;
    for (const auto& [pid, name] : living_descendants({})) before.push_back(pid);
    int out[2], err[2], in[2];
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 || pipe2(in, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        apply_environment(options.environment);
        if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) _exit(125);
        std::vector<char*> argv;
        for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        execvp(argv[0], argv.data());
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    (void)!write(in[1], options.input.data(), options.input.size());
    close(in[1]);

    Result result;
    bool triggered = options.when_printed.empty();
    const int ended_fd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    bool ended = false;
    Clock::time_point end_of_patience = Clock::now() + options.limit;
    pollfd events[] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}, {ended_fd, POLLIN, 0}};
    while (events[0].fd >= 0 || events[1].fd >= 0 || !ended) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_of_patience - Clock::now()).count();
        if (left <= 0) {
            if (!ended) {
                result.timed_out = true;
                for (const auto& [pid, name] : living_descendants(before)) kill(pid, SIGKILL);
                int status;
                waitpid(child, &status, 0);
            }
            break;
        }
        poll(events, 3, static_cast<int>(std::min<long long>(left, 100)));
        for (int i = 0; i < 2; ++i) {
            if (events[i].fd < 0 || events[i].revents == 0) continue;
            char text[65536];
            const ssize_t got = read(events[i].fd, text, sizeof text);
            if (got <= 0)
                events[i].fd = -1;
            else
                (i == 0 ? result.out : result.err).append(text, static_cast<std::size_t>(got));
        }
        if (!triggered && result.out.find(options.when_printed) != std::string::npos) {
            triggered = true;
            options.then(child);
        }
        if (!ended && events[2].revents != 0) {
            int status = 0;
            waitpid(child, &status, 0);
            ended = true;
            events[2].fd = -1;
            result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
            end_of_patience = std::min(end_of_patience, Clock::now() + 1s);
        }
        reap_strangers(child);
    }
    close(ended_fd);
    close(out[0]);
    close(err[0]);
    result.left_behind = left_behind_since(before, options.vanish_within);
    return result;
}

std::vector<std::string> left_behind() { return left_behind_since({}, 1s); }

std::vector<std::string> lines_with(const std::string& text, const std::string& word) {
    std::vector<std::string> found;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
        if (line.find(word) != std::string::npos) found.push_back(line);
    return found;
}

}  // namespace subprocess
