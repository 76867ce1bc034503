// Making a process by executing our own program again, for when a fork would copy locks that other threads hold.
#pragma once

#include <string>
#include <vector>

#include "os/unique_fd.hpp"
#include "process/fork_server.hpp"

namespace rankpool::process {

/// Everything that the moment between fork and exec needs, prepared before it: there, nothing may be allocated.
class ExecImage {
  public:
    /// `socket` is what the new process talks to its maker through; `owner` the process it must not outlive.
    ExecImage(bool is_server, bool at_run, int socket, pid_t owner);
    /// Replaces this process. Async-signal-safe; returns only on failure.
    void exec(int socket) const;

  private:
    std::string program_;
    std::vector<std::string> arguments_, environment_;
    std::vector<char*> argv_, envp_;
    os::UniqueFd null_;
    bool silent_;
};

/// Whether the program's start comes back to us before main (start hook), so that executing it again is of use.
bool program_start_hooked();

}  // namespace rankpool::process
