// The processes above this one.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace rankpool::launch {

struct Ancestor {
    pid_t pid;
    std::string name;        // as the kernel knows it, at most 15 characters
    std::string start_time;  // tells it from a later process of the same pid
};

/// From the parent upwards.
std::vector<Ancestor> ancestors();

}  // namespace rankpool::launch
