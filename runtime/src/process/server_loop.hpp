// The body of the fork server process. See fork_server.hpp.
#pragma once

#include <sys/types.h>

#include "os/unique_fd.hpp"
#include "process/child.hpp"

namespace rankpool::process {

/// Number of threads of this process.
int thread_count();

/// Serves the owner at the other end of `socket` until it is gone, then kills every child and ends the process.
/// `at_run`: children that must be made by exec take over when the program calls run().
[[noreturn]] void serve_owner(os::UniqueFd socket, pid_t owner, const Works& works, bool at_run);

}  // namespace rankpool::process
