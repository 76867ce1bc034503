// Ending everything that a job started.
#pragma once

#include <sys/types.h>

#include <vector>

namespace rankrun {

/// This process's children, inherited ones included.
std::vector<pid_t> children();

/// Kills all children, and those that become children by it, and collects them: returns when there are none. To be
/// called by a subreaper.
void kill_all_descendants();

}  // namespace rankrun
