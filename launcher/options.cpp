#include "options.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include <rankpool/cpus.hpp>
#include <rankpool/version.hpp>

namespace rankrun {
namespace {

// Usable CPUs, or what Slurm gave each task where that is smaller.
int default_ranks() {
    int cpus = rankpool::process_cpu_count();
    if (const char* text = std::getenv("SLURM_CPUS_PER_TASK")) {
        const int given = std::atoi(text);
        if (given > 0) cpus = std::min(cpus, given);
    }
    return cpus;
}

// CLI11 knows options of one letter and of many, but "-np" is one of two: every MPI user's fingers type it.
std::vector<std::string> with_np_spelled_out(int argc, char** argv) {
    std::vector<std::string> words(argv + 1, argv + argc);
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == "-np") words[i] = "--ranks";
        if (words[i].empty() || words[i].front() != '-' || words[i] == "--") break;  // the program
        if (words[i] == "-n" || words[i] == "--ranks" || words[i] == "--grace") ++i;  // its value
    }
    return words;
}

}  // namespace

Options parse(int argc, char** argv, int& exit_code) {
    Options options;
    exit_code = -1;
    CLI::App app("Starts a program as N ranks on this machine, over shared memory:\n"
                 "rankrun [options] program [arguments...]", "rankrun");
    double grace_seconds = 5;
    app.add_option("-n,--ranks", options.ranks, "Processes to start, also spelled -np; default: the usable CPUs");
    app.add_option("--grace", grace_seconds, "Seconds between SIGTERM and SIGKILL when the job is ended; default 5");
    app.add_flag("--verbose", options.verbose, "Say which process is which rank");
    app.set_version_flag("--version", "rankrun " + rankpool::version());
    app.footer("Every rank finds RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE in its environment.\n"
               "The exit code is 0 when all ranks end with 0, else that of the first rank that failed (128+N for signal N).");
    app.prefix_command();
    try {
        auto words = with_np_spelled_out(argc, argv);
        std::reverse(words.begin(), words.end());  // as CLI11 wants them
        app.parse(words);
        options.command = app.remaining();
        if (!options.command.empty() && options.command.front() == "--") options.command.erase(options.command.begin());
        else if (!options.command.empty() && options.command.front().starts_with('-'))
            throw CLI::ExtrasError({options.command.front()});
        if (options.command.empty()) throw CLI::ValidationError("program", "no program given; see rankrun --help");
        if (app.count("--ranks") == 0) options.ranks = default_ranks();
        if (options.ranks < 1)
            throw CLI::ValidationError("--ranks", "-n " + std::to_string(options.ranks) + ": at least one rank is needed");
        if (!(grace_seconds >= 0) || grace_seconds > 1e9) throw CLI::ValidationError("--grace", "a time in seconds, 0 or more");
        options.grace = std::chrono::nanoseconds(static_cast<long long>(grace_seconds * 1e9));
    } catch (const CLI::Success& wanted) {
        exit_code = app.exit(wanted);
    } catch (const CLI::Error& error) {
        std::fprintf(stderr, "rankrun: %s\n", error.what());
        exit_code = exit_usage;
    } catch (const std::invalid_argument& error) {  // RANKPOOL_CPU_COUNT
        std::fprintf(stderr, "rankrun: %s\n", error.what());
        exit_code = exit_usage;
    }
    return options;
}

std::string find_program(const std::string& name, int& exit_code) {
    const auto is_file = [](const std::string& path) {
        struct stat status {};
        return stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
    };
    const auto is_directory = [](const std::string& path) {
        struct stat status {};
        return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
    };
    std::string not_executable;
    const auto fits = [&](const std::string& path) {
        if (!is_file(path)) return false;
        if (access(path.c_str(), X_OK) == 0) return true;
        not_executable = path;
        return false;
    };
    exit_code = -1;
    if (name.find('/') != std::string::npos) {
        if (fits(name)) return name;
        if (is_directory(name)) not_executable = name;
    } else {
        const char* path = std::getenv("PATH");
        std::istringstream directories(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
        for (std::string directory; std::getline(directories, directory, ':');) {
            std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
            if (fits(candidate)) return candidate;
        }
    }
    if (!not_executable.empty()) {
        std::fprintf(stderr, "rankrun: %s is %s\n", not_executable.c_str(), is_directory(not_executable) ? "a directory" : "not executable");
        exit_code = exit_not_executable;
    } else if (name.find('/') == std::string::npos && is_file(name)) {
        std::fprintf(stderr, "rankrun: %s: no such program in PATH; did you mean ./%s?\n", name.c_str(), name.c_str());
        exit_code = exit_not_found;
    } else {
        std::fprintf(stderr, "rankrun: %s: no such program\n", name.c_str());
        exit_code = exit_not_found;
    }
    return {};
}

}  // namespace rankrun
