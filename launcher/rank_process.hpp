// Starting one rank.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <string>
#include <vector>

namespace rankrun {

struct Started {
    pid_t pid = -1;
    int exit_code = 0;  // where pid is -1: 126 or 127
    std::string why;
};

/// Starts ranks of one program. Each becomes the leader of a process group of its own, so that a signal reaches what it
/// started too; rank 0 alone gets standard input, and stays in `terminal_group` where that is not 0: only the
/// terminal's foreground group may read from it.
struct RankStarter {
    std::string program;
    std::vector<std::string> command;
    sigset_t mask;
    pid_t terminal_group;

    /// `variables`: NAME=value, besides the launcher's own environment.
    Started start(int rank, const std::vector<std::string>& variables) const;
};

}  // namespace rankrun
