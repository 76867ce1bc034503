// How many CPUs there are, and how many of them are ours.
//
//     rankpool::Pool pool(rankpool::process_cpu_count());   // what Pool() does by itself
#pragma once

namespace rankpool {

/// Logical CPUs of the machine, as Python's os.cpu_count(). Local.
int cpu_count();

/// CPUs this process may use: the affinity mask and the cgroup quotas (version 1 and 2) of all ancestors, rounded up,
/// at least 1; as Python's os.process_cpu_count(), which does not know quotas. RANKPOOL_CPU_COUNT overrides.
/// Throws std::invalid_argument when that variable is not a positive number. Local.
int process_cpu_count();

}  // namespace rankpool
