// One run of a job: from the start of its ranks to the end of all that they left.
//
//     start all ── wait ──┬── all have ended ────────────────────────────┬── kill what is left ── output written
//                         └── one failed, a signal, the time limit:      │
//                             SIGTERM ── grace ── SIGKILL ───────────────┘
#pragma once

#include <chrono>
#include <optional>

#include "bindings.hpp"
#include "options.hpp"
#include "rank_process.hpp"

namespace rankrun {

/// What an attempt needs to know of the process that minds it.
struct Surroundings {
    const Bindings& bindings;
    int front;          // the socket to the process that the user sees; when it ends, everything does
    pid_t front_group;  // that process's group
    int endings;        // a signalfd of SIGCHLD
    Inherited inherited;
    std::optional<std::chrono::steady_clock::time_point> deadline;  // --timeout, for all attempts together
};

struct Ending {
    int exit_code = 0;
    bool may_start_again = false;  // it failed by itself: nobody asked it to end, and there was time
};

/// Runs it. `number`: how many were before. Throws Error.
Ending run_attempt(const Options& options, const Surroundings& surroundings, int number);

}  // namespace rankrun
