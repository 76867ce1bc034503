// Starting one rank.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <csignal>
#include <string>
#include <vector>

#include "options.hpp"

namespace rankrun {

struct Started {
    pid_t pid = -1;
    int exit_code = 0;  // where pid is -1: 126, 127, or 1 when it is not the program's fault
    std::string why;
};

/// What one rank starts with.
struct RankStart {
    const Program& program;
    std::vector<std::string> variables;       // NAME=value, besides the launcher's environment and the program's own
    int input = -1, output = -1, error = -1;  // its standard streams; -1: the launcher's
    pid_t group = 0;             // its process group; 0: one of its own, so that a signal reaches what it started too
    std::vector<int> cpus = {};  // it is bound to them; empty: to none
};

/// What the launcher changed for itself and its ranks get back.
struct Inherited {
    sigset_t mask;
    void (*child_action)(int);  // of SIGCHLD
    void (*pipe_action)(int);   // of SIGPIPE
    rlimit descriptors;
};

Started start_rank(const RankStart& rank, const Inherited& inherited);

/// Raises this process's limit of descriptors as far as it goes: a job needs several for every rank. Returns what it
/// was.
rlimit raise_descriptor_limit();

}  // namespace rankrun
