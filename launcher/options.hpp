// What rankrun's command line says.
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace rankrun {

/// The exit codes of launchers and shells.
inline constexpr int exit_usage = 2, exit_timeout = 124, exit_not_executable = 126, exit_not_found = 127;

/// What was asked for cannot be done: the reason, and the exit code that goes with it. Nothing has been started.
struct Refusal : std::runtime_error {
    explicit Refusal(const std::string& why, int code = exit_usage) : std::runtime_error(why), exit_code(code) {}
    int exit_code;
};

/// One program of the job: `:` on the command line separates several.
struct Program {
    int ranks = 0;                       // 0: the engine decides
    std::vector<std::string> command;    // program and its arguments
    std::string file;                    // the executable that command.front() means; see find_program
    std::vector<std::string> variables;  // NAME=value, besides the launcher's environment
    std::string directory;               // where it starts; empty: where the launcher is
};

/// Who gets standard input.
struct Input {
    enum class To { rank, all, none } to = To::rank;
    int rank = 0;
};

enum class Bind { none, core };
enum class Via { automatic, local, mpirun, srun };

struct Host {
    std::string name;
    int ranks = 1;
};

struct Options {
    std::vector<Program> programs;
    bool label = false, timestamp = false;
    std::string output_directory;  // empty: output goes where the launcher's goes
    Input input;
    Bind bind = Bind::none;
    bool report_bindings = false;
    std::optional<std::chrono::nanoseconds> timeout;
    std::chrono::nanoseconds grace = std::chrono::seconds(5);
    bool grace_given = false;
    int restarts = 0;
    Via via = Via::automatic;
    std::vector<Host> hosts;
    bool dry_run = false, verbose = false, info = false;
    std::string
        engine;  // the name of the launcher that the one program is; empty: the programs are ranks of this machine

    int ranks() const;
    bool labelled() const { return label || timestamp; }
};

/// Reads the command line. Empty when it asked for help or the version, which is printed then. Throws Refusal.
std::optional<Options> parse(int argc, char** argv);

}  // namespace rankrun
