// Who a worker is, and what a task may ask about itself.
//
//     int cube(int x) {
//         if (rankpool::stop_requested()) return 0;   // the pool is being terminated: nobody will read the result
//         return x * x * x;
//     }
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>

namespace rankpool {

/// One worker of a pool. `index` counts from 0 to size-1; `rank` is the job's rank that the worker belongs to, -1 when
/// standalone; `host` and `pid` name the process that runs the tasks.
struct WorkerInfo {
    int index = 0;
    int size = 0;
    pid_t pid = 0;
    std::string host;
    int rank = -1;
};

/// The worker this code runs in: set inside a task (and an initializer), empty elsewhere. Local.
std::optional<WorkerInfo> current_worker();

/// Index, in the input of its call, of the item being run; empty outside a task. Local.
std::optional<std::size_t> current_item();

/// True in a task once its pool is being terminated or drained: a long task may look and return early. Local.
bool stop_requested();

}  // namespace rankpool
