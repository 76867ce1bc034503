#include "rank_process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "os/failure.hpp"
#include "os/unique_fd.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;

std::string_view name_of(std::string_view variable) { return variable.substr(0, variable.find('=')); }

// Later ones win.
std::vector<std::string> environment_of(const RankStart& rank) {
    std::vector<std::string> all;
    const auto set = [&](const std::string& variable) {
        std::erase_if(all, [&](const std::string& other) { return name_of(other) == name_of(variable); });
        all.push_back(variable);
    };
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable)
        all.emplace_back(*variable);
    for (const std::string& variable : rank.program.variables) set(variable);
    for (const std::string& variable : rank.variables) set(variable);
    return all;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> list;
    for (std::string& word : words) list.push_back(word.data());
    list.push_back(nullptr);
    return list;
}

std::vector<cpu_set_t> mask_of(const std::vector<int>& cpus) {
    const int highest = cpus.empty() ? 0 : *std::max_element(cpus.begin(), cpus.end());
    std::vector<cpu_set_t> mask(static_cast<std::size_t>(highest) / CPU_SETSIZE + 1);
    const std::size_t bytes = mask.size() * sizeof(cpu_set_t);
    CPU_ZERO_S(bytes, mask.data());
    for (const int cpu : cpus) CPU_SET_S(static_cast<std::size_t>(cpu), bytes, mask.data());
    return mask;
}

// A terminal that stops whoever writes to it from the background (stty tostop).
bool stops_writers(int descriptor) {
    termios settings{};
    return tcgetattr(descriptor, &settings) == 0 && (settings.c_lflag & TOSTOP) != 0;
}

// What the child could not do; it tells over a pipe, which ends without a word when the program begins.
struct Trouble {
    enum Step : int { chdir, bind, exec } step;
    int error;
};

}  // namespace

Started start_rank(const RankStart& rank, const Inherited& inherited) {
    const Program& program = rank.program;
    auto environment = environment_of(rank);
    auto arguments = program.command;
    const auto envp = pointers(environment), argv = pointers(arguments);
    const auto mask = mask_of(rank.cpus);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return {-1, 1, os::failure_text("pipe2", "", errno)};
    const os::UniqueFd reading(ends[0]);
    os::UniqueFd writing(ends[1]);
    const pid_t minder = getpid();
    // The child shares this process's memory until it is the program: it changes nothing there.
    const pid_t pid = vfork();
    if (pid < 0) return {-1, 1, os::failure_text("fork", program.file, errno)};
    if (pid == 0) {
        const auto give_up = [&](Trouble::Step step) {
            const Trouble trouble{step, errno};
            (void)!write(writing.get(), &trouble, sizeof trouble);
            _exit(exit_not_executable);
        };
        setpgid(0, rank.group);
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // the minder's own end; it survives exec
        if (getppid() != minder) _exit(1);
        if (rank.input >= 0) dup2(rank.input, STDIN_FILENO);
        if (rank.output >= 0) dup2(rank.output, STDOUT_FILENO);
        if (rank.error >= 0) dup2(rank.error, STDERR_FILENO);
        if (!program.directory.empty() && chdir(program.directory.c_str()) != 0) give_up(Trouble::chdir);
        if (!rank.cpus.empty() && sched_setaffinity(0, mask.size() * sizeof(cpu_set_t), mask.data()) != 0)
            give_up(Trouble::bind);
        setrlimit(RLIMIT_NOFILE, &inherited.descriptors);
        // A group of its own is in the background, even where the job is not.
        if (rank.group == 0 && (stops_writers(STDOUT_FILENO) || stops_writers(STDERR_FILENO)))
            std::signal(SIGTTOU, SIG_IGN);
        // What was ignored (nohup) stays so.
        std::signal(SIGCHLD, inherited.child_action);
        std::signal(SIGPIPE, inherited.pipe_action);
        sigprocmask(SIG_SETMASK, &inherited.mask, nullptr);
        execvpe(program.file.c_str(), argv.data(), envp.data());
        give_up(Trouble::exec);
    }
    if (rank.group == 0) setpgid(pid, pid);  // also here: whoever signals the group must find it
    writing.reset();
    Trouble trouble{};
    if (os::retry_interrupted([&] { return read(reading.get(), &trouble, sizeof trouble); }) != sizeof trouble)
        return {pid, 0, {}};
    os::retry_interrupted([&] { return waitpid(pid, nullptr, 0); });
    switch (trouble.step) {
        case Trouble::chdir:
            return {-1, 1, os::failure_text("chdir", program.directory, trouble.error)};
        case Trouble::bind:
            return {-1, 1, os::failure_text("sched_setaffinity", "", trouble.error)};
        case Trouble::exec:
            break;
    }
    return {-1, trouble.error == ENOENT ? exit_not_found : exit_not_executable,
            os::failure_text("exec", program.file, trouble.error)};
}

rlimit raise_descriptor_limit() {
    rlimit limit{};
    os::check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit", "RLIMIT_NOFILE");
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &raised);  // where it does not go: opening the first one too many says so
    return limit;
}

}  // namespace rankrun
