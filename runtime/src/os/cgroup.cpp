#include "os/cgroup.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace rankpool::os {
namespace {

struct Mount {
    std::string root;   // the directory of the hierarchy that is mounted
    std::string point;  // where
};

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
    return parts;
}

bool contains(const std::vector<std::string>& parts, const std::string& wanted) {
    return std::find(parts.begin(), parts.end(), wanted) != parts.end();
}

// The mount of the unified hierarchy (empty controller) or of the version 1 hierarchy that carries the controller.
std::optional<Mount> find_mount(const std::string& mount_info, const std::string& controller) {
    std::ifstream in(mount_info);
    for (std::string line; std::getline(in, line);) {
        const auto dash = line.find(" - ");
        if (dash == std::string::npos) continue;
        const auto left = split(line.substr(0, dash), ' ');
        const auto right = split(line.substr(dash + 3), ' ');
        if (left.size() < 5 || right.size() < 3) continue;
        const bool fits = controller.empty() ? right[0] == "cgroup2"
                                             : right[0] == "cgroup" && contains(split(right[2], ','), controller);
        if (fits) return Mount{left[3], left[4]};
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

std::optional<double> read_number(const std::string& path) {
    std::ifstream in(path);
    double value = 0;
    if (in >> value) return value;
    return std::nullopt;
}

// The number behind `name` in a file of names and numbers.
std::optional<std::uint64_t> read_named(const std::string& path, const std::string& name) {
    std::ifstream in(path);
    std::string key;
    std::uint64_t value = 0;
    while (in >> key >> value)
        if (key == name) return value;
    return std::nullopt;
}

constexpr double no_memory_limit = 4e18;  // version 1 says "unlimited" with a number near 2^63

}  // namespace

std::vector<CgroupDirectory> cgroup_directories(const std::string& controller, const CgroupRoots& roots) {
    std::vector<CgroupDirectory> found;
    std::ifstream in(roots.process_cgroup);
    for (std::string line; std::getline(in, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string path = line.substr(second + 1);
        const bool unified = controllers.empty();
        if (!unified && !contains(split(controllers, ','), controller)) continue;
        if (const auto mount = find_mount(roots.mount_info, unified ? "" : controller))
            add_ancestors(found, *mount, path, unified ? 2 : 1);
    }
    return found;
}

std::optional<double> cpu_quota(const CgroupRoots& roots) {
    std::optional<double> tightest;
    for (const auto& [path, version] : cgroup_directories("cpu", roots)) {
        std::optional<double> quota;
        std::optional<double> period;
        if (version == 2) {
            std::ifstream in(path + "/cpu.max");
            std::string allowed;
            double every = 0;
            if (in >> allowed >> every && allowed != "max") {
                quota = std::strtod(allowed.c_str(), nullptr);
                period = every;
            }
        } else {
            quota = read_number(path + "/cpu.cfs_quota_us");
            period = read_number(path + "/cpu.cfs_period_us");
        }
        if (quota && period && *quota > 0 && *period > 0 && std::isfinite(*quota / *period))
            tightest = std::min(tightest.value_or(*quota / *period), *quota / *period);
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
