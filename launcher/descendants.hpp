// Ending everything that a job started.
#pragma once

#include <sys/types.h>

#include <vector>

namespace rankrun {

/// This process's children, inherited ones included.
std::vector<pid_t> children();

/// This process's descendants that are in a process group.
std::vector<pid_t> descendants_in_group(pid_t group);

/// Kills all children except `spared`, and those that become children by it, and collects them: returns when there are
/// no others. To be called by a subreaper.
void kill_all_descendants(const std::vector<pid_t>& spared = {});

}  // namespace rankrun
