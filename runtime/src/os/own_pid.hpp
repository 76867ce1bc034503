// The pid of this process, for whoever asks in every call: getpid() is a system call.
#pragma once

#include <sys/types.h>

namespace rankpool::os {

/// What getpid() says, also in a copy of the process made by fork. Not to be called in a child of vfork, which has the memory
/// of its parent.
pid_t own_pid() noexcept;

}  // namespace rankpool::os
