#include "launch/ancestors.hpp"

#include <unistd.h>

namespace rankpool::launch {

std::optional<os::ProcessStat> find_ancestor(const std::function<bool(const os::ProcessStat&)>& wanted) {
    for (pid_t pid = getppid(); pid > 0;) {
        auto stat = os::process_stat(pid);
        if (!stat || wanted(*stat)) return stat;
        pid = stat->parent;
    }
    return std::nullopt;
}

}  // namespace rankpool::launch
