#include "rank_process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "options.hpp"
#include "os/failure.hpp"
#include "os/unique_fd.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;

std::vector<std::string> environment_with(const std::vector<std::string>& variables) {
    const auto name_of = [](std::string_view text) { return text.substr(0, text.find('=')); };
    std::vector<std::string> all;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const auto name = name_of(*variable);
        if (std::none_of(variables.begin(), variables.end(), [&](const auto& ours) { return name_of(ours) == name; })) all.emplace_back(*variable);
    }
    all.insert(all.end(), variables.begin(), variables.end());
    return all;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> list;
    for (std::string& word : words) list.push_back(word.data());
    list.push_back(nullptr);
    return list;
}

}  // namespace

Started RankStarter::start(int rank, const std::vector<std::string>& variables) const {
    auto environment = environment_with(variables);
    auto arguments = command;
    const auto envp = pointers(environment), argv = pointers(arguments);
    const os::UniqueFd nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
    int ends[2];
    os::check(pipe2(ends, O_CLOEXEC), "pipe2");
    const os::UniqueFd reading(ends[0]);
    os::UniqueFd writing(ends[1]);
    const pid_t minder = getpid();
    const pid_t pid = os::check(fork(), "fork", "rank " + std::to_string(rank));
    if (pid == 0) {
        const bool at_terminal = rank == 0 && terminal_group != 0;
        setpgid(0, at_terminal ? terminal_group : 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // the minder's own end; it survives exec
        if (getppid() != minder) _exit(1);
        if (rank != 0) dup2(nothing.get(), STDIN_FILENO);
        std::signal(SIGPIPE, SIG_DFL);  // the only action the launcher changed; what was ignored (nohup) stays so
        sigprocmask(SIG_SETMASK, &mask, nullptr);
        execvpe(program.c_str(), argv.data(), envp.data());
        const int error = errno;
        (void)!write(writing.get(), &error, sizeof error);
        _exit(exit_not_executable);
    }
    if (!(rank == 0 && terminal_group != 0)) setpgid(pid, pid);  // also here: whoever signals the group must find it
    writing.reset();
    int error = 0;
    if (os::retry_interrupted([&] { return read(reading.get(), &error, sizeof error); }) != sizeof error) return {pid, 0, {}};
    os::retry_interrupted([&] { return waitpid(pid, nullptr, 0); });
    return {-1, error == ENOENT ? exit_not_found : exit_not_executable, os::failure_text("exec", program, error)};
}

}  // namespace rankrun
