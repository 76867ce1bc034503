#include "launch/ancestors.hpp"

#include <unistd.h>

#include <fstream>
#include <optional>
#include <sstream>

namespace rankpool::launch {
namespace {

struct Stat {
    std::string name, start_time;
    pid_t parent = 0;
};

std::optional<Stat> read_stat(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    if (!std::getline(in, text)) return std::nullopt;
    // The name stands in brackets and may hold anything, brackets too.
    const auto open = text.find('('), close = text.rfind(')');
    if (open == std::string::npos || close == std::string::npos) return std::nullopt;
    Stat stat;
    stat.name = text.substr(open + 1, close - open - 1);
    std::istringstream fields(text.substr(close + 2));
    std::string state, field;
    fields >> state >> stat.parent;
    for (int number = 5; number <= 22 && fields >> field; ++number)
        if (number == 22) stat.start_time = field;
    return stat;
}

}  // namespace

std::vector<Ancestor> ancestors() {
    std::vector<Ancestor> found;
    for (pid_t pid = getppid(); pid > 0;) {
        const auto stat = read_stat(pid);
        if (!stat) break;
        found.push_back({pid, stat->name, stat->start_time});
        pid = stat->parent;
    }
    return found;
}

}  // namespace rankpool::launch
