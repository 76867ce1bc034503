// What the kernel says of another process, of whomever.
#pragma once

#include <sys/types.h>

namespace rankpool::process {

/// Whether a stop signal (SIGSTOP and its kin) has stopped it and nobody has continued it yet. False for a process that a
/// debugger holds, and for one that does not exist.
bool is_stopped(pid_t pid);

}  // namespace rankpool::process
