// The processes that this one has started: so that it can tell who they are, and so that none of them outlives it.
#pragma once

#include <memory>
#include <vector>

#include "child/child_process.hpp"

namespace rankpool::child {

/// The number of the next process, counted from 1.
int next_number();

/// Takes a process in that was just started. From the first one on, the end of this process is the end of all.
void join_family(const std::shared_ptr<ChildProcess>& child);

/// Those that are alive, in the order of their starts.
std::vector<std::shared_ptr<ChildProcess>> living_children();

/// Terminates the daemons and waits for the others; returns once none is alive.
void end_children();

}  // namespace rankpool::child
