// The parent of the ranks: it runs the job, again where that was asked for, and tells the front how it ended.
#pragma once

#include <sys/types.h>

#include <csignal>

#include "bindings.hpp"
#include "options.hpp"
#include "os/unique_fd.hpp"

namespace rankrun {

/// Runs the job and reports to the front through `front`; ends the process. `front_group` is the front's process group,
/// `mask` the signal mask that the ranks get, `child_action` what they do about SIGCHLD.
[[noreturn]] void mind(const Options& options, const Bindings& bindings, rankpool::os::UniqueFd front,
                       pid_t front_group, const sigset_t& mask, void (*child_action)(int));

}  // namespace rankrun
