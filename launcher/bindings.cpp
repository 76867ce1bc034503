#include "bindings.hpp"

#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <memory>

#include <rankpool/cpus.hpp>
#include "os/failure.hpp"

namespace rankrun {
namespace {

namespace os = rankpool::os;

using Topology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;
using Bitmap = std::unique_ptr<hwloc_bitmap_s, decltype(&hwloc_bitmap_free)>;

Topology cores_of_this_machine() {
    hwloc_topology_t topology = nullptr;
    os::check(hwloc_topology_init(&topology), "hwloc_topology_init");
    Topology owner(topology, hwloc_topology_destroy);
    os::check(hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE),
              "hwloc_topology_set_all_types_filter");
    os::check(hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL),
              "hwloc_topology_set_type_filter");
    os::check(hwloc_topology_load(topology), "hwloc_topology_load");
    return owner;
}

Bitmap new_bitmap() { return {hwloc_bitmap_alloc(), hwloc_bitmap_free}; }

std::vector<int> numbers_in(hwloc_const_bitmap_t set) {
    std::vector<int> numbers;
    for (int cpu = hwloc_bitmap_first(set); cpu >= 0; cpu = hwloc_bitmap_next(set, cpu)) numbers.push_back(cpu);
    return numbers;
}

struct Place {
    std::string name;
    std::vector<int> cpus;
};

// The objects of a type that have CPUs in `allowed`, with these.
std::vector<Place> places(hwloc_topology_t topology, hwloc_obj_type_t type, const char* name,
                          hwloc_const_bitmap_t allowed) {
    std::vector<Place> found;
    const Bitmap usable = new_bitmap();
    for (hwloc_obj_t object = nullptr; (object = hwloc_get_next_obj_by_type(topology, type, object)) != nullptr;) {
        hwloc_bitmap_and(usable.get(), object->cpuset, allowed);
        if (hwloc_bitmap_iszero(usable.get()) == 0)
            found.push_back({name + std::to_string(object->logical_index), numbers_in(usable.get())});
    }
    return found;
}

// "CPU 3", "CPUs 0-3,8".
std::string cpus_text(const std::vector<int>& cpus) {
    std::string text = cpus.size() == 1 ? "CPU " : "CPUs ";
    for (std::size_t i = 0; i < cpus.size();) {
        std::size_t last = i;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
        if (i > 0) text += ",";
        text += std::to_string(cpus[i]);
        if (last > i) text += "-" + std::to_string(cpus[last]);
        i = last + 1;
    }
    return text;
}

std::vector<int> affinity_of(pid_t pid) {
    std::vector<int> cpus;
    for (std::size_t most = CPU_SETSIZE; most <= (1u << 20);
         most *= 2) {  // the kernel refuses a mask smaller than its own
        std::vector<cpu_set_t> mask(most / CPU_SETSIZE);
        const std::size_t bytes = mask.size() * sizeof(cpu_set_t);
        if (sched_getaffinity(pid, bytes, mask.data()) != 0) continue;
        for (std::size_t cpu = 0; cpu < most; ++cpu)
            if (CPU_ISSET_S(cpu, bytes, mask.data())) cpus.push_back(static_cast<int>(cpu));
        break;
    }
    return cpus;
}

}  // namespace

Bindings::Bindings(int ranks, bool bind)
    : of_rank_(static_cast<std::size_t>(ranks)), core_of_rank_(static_cast<std::size_t>(ranks)) {
    if (!bind) return;
    const Topology topology = cores_of_this_machine();
    const Bitmap allowed = new_bitmap();
    os::check(hwloc_get_cpubind(topology.get(), allowed.get(), HWLOC_CPUBIND_PROCESS), "hwloc_get_cpubind");
    const auto wanted = static_cast<std::size_t>(ranks);
    auto found = places(topology.get(), HWLOC_OBJ_CORE, "core ", allowed.get());
    if (found.size() < wanted) found = places(topology.get(), HWLOC_OBJ_PU, "hardware thread ", allowed.get());
    left_out_ = found.size() < wanted || rankpool::process_cpu_count() < ranks;
    if (left_out_) return;
    for (std::size_t rank = 0; rank < wanted; ++rank) {
        core_of_rank_[rank] = std::move(found[rank].name);
        of_rank_[rank] = std::move(found[rank].cpus);
    }
}

std::string Bindings::text(int rank) const {
    if (of(rank).empty()) return "is not bound";
    return "is bound to " + core_of_rank_[static_cast<std::size_t>(rank)] + " (" + cpus_text(of(rank)) + ")";
}

std::string Bindings::report(int rank, pid_t pid) const {
    const std::vector<int> cpus = affinity_of(pid);
    if (cpus.empty()) return text(rank) + " and has ended";
    if (of(rank).empty()) return text(rank) + " (" + cpus_text(cpus) + ")";
    return "is bound to " + core_of_rank_[static_cast<std::size_t>(rank)] + " (" + cpus_text(cpus) + ")";
}

}  // namespace rankrun
