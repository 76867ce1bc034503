// What rankrun's command line says.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace rankrun {

struct Options {
    int ranks = 0;
    std::vector<std::string> command;  // program and its arguments
    std::chrono::nanoseconds grace = std::chrono::seconds(5);
    bool verbose = false;
};

/// The exit codes of launchers and shells.
inline constexpr int exit_usage = 2, exit_not_executable = 126, exit_not_found = 127;

/// Reads the command line. Where it asks for help or is wrong, prints what is to be said and returns the exit code in
/// `exit_code`, else leaves that at -1.
Options parse(int argc, char** argv, int& exit_code);

/// The executable file that `name` means, searched in PATH as a shell does. Empty with `exit_code` set and the reason
/// printed when there is none.
std::string find_program(const std::string& name, int& exit_code);

}  // namespace rankrun
