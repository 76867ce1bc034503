#include "process/process_state.hpp"

#include "os/files.hpp"

namespace rankpool::process {

bool is_stopped(pid_t pid) {
    const auto stat = os::process_stat(pid);
    return stat && stat->state == 'T';
}

}  // namespace rankpool::process
