#include "os/cgroup.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "os/files.hpp"

namespace rankpool::os {
namespace {

struct Mount {
    std::string root;   // the directory of the hierarchy that is mounted
    std::string point;  // where
};

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
    return parts;
}

bool contains(const std::vector<std::string_view>& parts, std::string_view wanted) {
    return std::find(parts.begin(), parts.end(), wanted) != parts.end();
}

// The mount of the unified hierarchy (empty controller) or of the version 1 hierarchy that carries the controller.
std::optional<Mount> find_mount(std::string_view mount_info, std::string_view controller) {
    for (const std::string_view line : split(mount_info, '\n')) {
        const auto dash = line.find(" - ");
        if (dash == line.npos) continue;
        const auto left = split(line.substr(0, dash), ' ');
        const auto right = split(line.substr(dash + 3), ' ');
        if (left.size() < 5 || right.size() < 3) continue;
        const bool fits = controller.empty() ? right[0] == "cgroup2"
                                             : right[0] == "cgroup" && contains(split(right[2], ','), controller);
        if (fits) return Mount{std::string(left[3]), std::string(left[4])};
    }
    return std::nullopt;
}

void add_ancestors(std::vector<CgroupDirectory>& found, const Mount& mount, std::string path, int version) {
    // Inside a container the path may be given from the host's root, of which only a part is mounted.
    if (mount.root != "/") {
        const std::size_t length = mount.root.size();
        const bool inside = path.compare(0, length, mount.root) == 0 && (path.size() == length || path[length] == '/');
        path = inside ? path.substr(length) : "";
    }
    if (path.find("/..") != std::string::npos) path.clear();
    for (;;) {
        while (!path.empty() && path.back() == '/') path.pop_back();
        found.push_back({mount.point + path, version});
        if (path.empty()) return;
        path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
}

std::optional<double> number(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return end != text.c_str() ? std::optional(value) : std::nullopt;
}

std::optional<double> read_number(const std::string& path) { return number(read_file(path)); }

// The number behind `name` in a file of names and numbers.
std::optional<std::uint64_t> read_named(const std::string& path, std::string_view name) {
    const std::string text = read_file(path);
    for (const std::string_view line : split(text, '\n')) {
        const auto words = split(line, ' ');
        if (words.size() == 2 && words[0] == name) return std::strtoull(std::string(words[1]).c_str(), nullptr, 10);
    }
    return std::nullopt;
}

constexpr double no_memory_limit = 4e18;  // version 1 says "unlimited" with a number near 2^63

}  // namespace

std::vector<CgroupDirectory> cgroup_directories(const std::string& controller, const CgroupRoots& roots) {
    std::vector<CgroupDirectory> found;
    const std::string membership = read_file(roots.process_cgroup), mounts = read_file(roots.mount_info);
    for (const std::string_view line : split(membership, '\n')) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == line.npos || second == line.npos) continue;
        const auto controllers = line.substr(first + 1, second - first - 1);
        const std::string path(line.substr(second + 1));
        const bool unified = controllers.empty();
        if (!unified && !contains(split(controllers, ','), controller)) continue;
        if (const auto mount = find_mount(mounts, unified ? "" : controller))
            add_ancestors(found, *mount, path, unified ? 2 : 1);
    }
    return found;
}

std::optional<CpuQuota> cpu_quota(const CgroupRoots& roots) {
    std::optional<CpuQuota> tightest;
    for (const auto& [path, version] : cgroup_directories("cpu", roots)) {
        std::optional<double> quota;
        std::optional<double> period;
        if (version == 2) {
            const std::string text = read_file(path + "/cpu.max");  // "QUOTA PERIOD" or "max PERIOD"
            const auto words = split(text, ' ');
            if (words.size() == 2 && words[0] != "max") {
                quota = number(std::string(words[0]));
                period = number(std::string(words[1]));
            }
        } else {
            quota = read_number(path + "/cpu.cfs_quota_us");
            period = read_number(path + "/cpu.cfs_period_us");
        }
        if (!quota || !period || *quota <= 0 || *period <= 0 || !std::isfinite(*quota / *period)) continue;
        const double cpus = *quota / *period;
        if (!tightest || cpus <= tightest->cpus) tightest = {cpus, path};
    }
    return tightest;
}

std::optional<std::size_t> memory_room(const CgroupRoots& roots) {
    std::optional<std::size_t> tightest;
    for (const auto& [path, version] : cgroup_directories("memory", roots)) {
        const auto limit = read_number(path + (version == 2 ? "/memory.max" : "/memory.limit_in_bytes"));
        const auto used = read_number(path + (version == 2 ? "/memory.current" : "/memory.usage_in_bytes"));
        if (!limit || !used || *limit > no_memory_limit) continue;
        const auto room = static_cast<std::size_t>(std::max(0.0, *limit - *used));
        tightest = std::min(tightest.value_or(room), room);
    }
    return tightest;
}

MemoryPressure memory_pressure(const CgroupRoots& roots) {
    MemoryPressure pressure;
    std::optional<std::uint64_t> kills;
    for (const auto& [path, version] : cgroup_directories("memory", roots)) {
        // The innermost group that counts: others' counts have other jobs' processes in them.
        if (!kills) kills = read_named(path + (version == 2 ? "/memory.events" : "/memory.oom_control"), "oom_kill");
        const auto limit = read_number(path + (version == 2 ? "/memory.max" : "/memory.limit_in_bytes"));
        if (!limit || *limit > no_memory_limit || (pressure.limit && *pressure.limit <= static_cast<std::size_t>(*limit))) continue;
        pressure.limit = static_cast<std::size_t>(*limit);
        pressure.limited_by = path;
        const auto peak = read_number(path + (version == 2 ? "/memory.peak" : "/memory.max_usage_in_bytes"));
        pressure.peak = peak ? std::optional(static_cast<std::size_t>(*peak)) : std::nullopt;
    }
    if (!kills) kills = read_named(roots.machine_events, "oom_kill");
    pressure.kills = kills.value_or(0);
    return pressure;
}

}  // namespace rankpool::os
