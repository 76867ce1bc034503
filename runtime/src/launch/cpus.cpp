#include <rankpool/cpus.hpp>

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "os/cgroup.hpp"

namespace rankpool {
namespace {

int affinity_count() {
    // The kernel refuses a mask smaller than its own: grow until it fits (machines with more than 1024 CPUs).
    for (std::size_t cpus = 1024; cpus <= (1u << 20); cpus *= 2) {
        std::vector<cpu_set_t> mask(cpus / (8 * sizeof(cpu_set_t)));
        const std::size_t bytes = mask.size() * sizeof(cpu_set_t);
        if (sched_getaffinity(0, bytes, mask.data()) == 0) return CPU_COUNT_S(bytes, mask.data());
    }
    return cpu_count();
}

}  // namespace

int cpu_count() { return std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN))); }

int process_cpu_count() {
    if (const char* text = std::getenv("RANKPOOL_CPU_COUNT")) {
        const std::string_view wanted(text);
        int count = 0;
        const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), count);
        if (error != std::errc() || end != wanted.data() + wanted.size() || count < 1)
            throw std::invalid_argument("RANKPOOL_CPU_COUNT=\"" + std::string(wanted) +
                                        "\": expected a positive number of CPUs; correct or unset it");
        return count;
    }
    const int mask = affinity_count();
    if (const auto quota = os::cpu_quota())
        return std::clamp(static_cast<int>(std::ceil(quota->cpus)), 1, std::max(1, mask));
    return std::max(1, mask);
}

}  // namespace rankpool
