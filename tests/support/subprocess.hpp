// Running other programs from a test: real launches, with a limit in time, and nothing left of them afterwards.
//
//     const auto result = subprocess::run({RANKRUN, "-n", "4", PROGRAM}, {.environment = {"A=1"}});
//     EXPECT_EQ(result.exit_code, 0) << result.err;
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace subprocess {

struct Options {
    std::vector<std::string> environment = {};  // NAME=value, besides this process's; NAME alone removes one
    std::string directory = {};                 // empty: this process's
    std::string input = {};                     // standard input
    std::chrono::seconds limit{60};             // then everything is killed and `timed_out` set
    /// Called with the program's pid once the text `when_printed` has appeared on its standard output.
    std::string when_printed = {};
    std::function<void(pid_t)> then = {};
    /// How long descendants may outlive it.
    std::chrono::seconds vanish_within{1};
};

struct Result {
    int exit_code = -1;  // 128 + N when a signal N ended it
    bool timed_out = false;
    std::string out, err;
    /// Descendants that were still alive Options::vanish_within after the program had ended (they are killed then).
    std::vector<std::string> left_behind;
};

/// Runs a program to its end. Both outputs are read until all who hold them have ended or a second after the program's
/// own end. The calling process becomes a subreaper, so that no descendant escapes.
Result run(const std::vector<std::string>& command, const Options& options = {});

/// This process's descendants that are still alive a second from now; they are killed then. The calling process must have
/// been a subreaper since it started them.
std::vector<std::string> left_behind();

/// Lines of `text` that contain `word`.
std::vector<std::string> lines_with(const std::string& text, const std::string& word);

}  // namespace subprocess
