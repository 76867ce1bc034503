// The limits that control groups, version 1 and 2, set for this process: those of the group itself and of every
// ancestor, because the tightest of them is the one that bites.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rankpool::os {

/// Where control groups are to be looked up. The default is this machine; tests give a tree of their own.
struct CgroupRoots {
    std::string process_cgroup = "/proc/self/cgroup";
    std::string mount_info = "/proc/self/mountinfo";
    std::string machine_events = "/proc/vmstat";
};

/// Directories of the controller (`cpu`, `memory`) that hold this process, the innermost first. `version` is 1 or 2.
struct CgroupDirectory {
    std::string path;
    int version;
};
std::vector<CgroupDirectory> cgroup_directories(const std::string& controller, const CgroupRoots& roots = {});

/// A limit on CPU time.
struct CpuQuota {
    double cpus;         // CPUs' worth of time, for example 1.5
    std::string set_by;  // the directory of the group that all who share it are in
};
/// The tightest one, of those that are equal the outermost; empty without a quota.
std::optional<CpuQuota> cpu_quota(const CgroupRoots& roots = {});

/// Bytes that can still be allocated before the tightest memory limit; empty without a limit.
std::optional<std::size_t> memory_room(const CgroupRoots& roots = {});

/// What is known of memory that ran out in this process's group.
struct MemoryPressure {
    std::uint64_t kills = 0;             // processes of the group that the kernel killed for want of memory, so far
    std::optional<std::size_t> limit;    // the tightest of the group and its ancestors
    std::string limited_by;              // the directory that sets it
    std::optional<std::size_t> peak;     // the most that was used there
};
/// Without a memory controller that can be read: the kills of the whole machine, and no limit.
MemoryPressure memory_pressure(const CgroupRoots& roots = {});

}  // namespace rankpool::os
