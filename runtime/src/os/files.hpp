// Files of the kernel's that say something: small, read whole, by a few system calls and no stream.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace rankpool::os {

/// What is in a file; empty where it cannot be read.
std::string read_file(const std::string& path);

/// What /proc says of a process.
struct ProcessStat {
    pid_t pid, parent, group;
    char state;              // 'R', 'S', 'T', 'Z', …
    std::string name;        // at most 15 characters
    std::string start_time;  // tells it from a later process of the same pid
};
/// Nothing where there is no such process.
std::optional<ProcessStat> process_stat(pid_t pid);

}  // namespace rankpool::os
