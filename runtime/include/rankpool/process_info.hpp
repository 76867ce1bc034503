// Who this process is, who started it, and which processes it has started.
//
//     std::printf("%s, pid %d\n", rankpool::current_process().name.c_str(), getpid());   // MainProcess, pid 4711
//     for (const rankpool::ProcessInfo& child : rankpool::active_children()) std::printf("  %s\n", child.name.c_str());
//
// Python's current_process, parent_process and active_children, for rankpool::Process (process.hpp).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace rankpool {

/// One process: the program itself, a Process, or the worker of a pool.
struct ProcessInfo {
    std::string name;
    pid_t pid = 0;
    bool daemon = false;
};

/// This process. Its name is "MainProcess" in the program itself, that of its Process in one of those, and "PoolWorker-N"
/// in the worker with index N - 1 of a pool, which is no daemon: what its tasks start is joined unless they say otherwise. Local.
ProcessInfo current_process();

/// The process that made this one; empty in the program itself. It is alive: this one would end with it. Local.
std::optional<ProcessInfo> parent_process();

/// Every Process of this process that was started and has not ended, in the order of their starts. Workers of pools are
/// not among them: Pool::workers() has those. Local.
std::vector<ProcessInfo> active_children();

}  // namespace rankpool
