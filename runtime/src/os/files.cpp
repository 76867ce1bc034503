#include "os/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "os/failure.hpp"
#include "os/unique_fd.hpp"

namespace rankpool::os {

std::string read_file(const std::string& path) {
    const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    for (std::size_t length = 0; file;) {
        text.resize(length + 4096);
        const ssize_t got = retry_interrupted([&] { return read(file.get(), text.data() + length, text.size() - length); });
        length += got > 0 ? static_cast<std::size_t>(got) : 0;
        text.resize(length);
        if (got <= 0) break;
    }
    return text;
}

std::optional<ProcessStat> process_stat(pid_t pid) {
    const std::string text = read_file("/proc/" + std::to_string(pid) + "/stat");
    // The name stands in brackets and may hold anything, brackets too.
    const auto open = text.find('('), close = text.rfind(") ");
    if (open == std::string::npos || close == std::string::npos) return std::nullopt;
    ProcessStat stat{pid, 0, 0, 0, text.substr(open + 1, close - open - 1), {}};
    std::string_view rest = std::string_view(text).substr(close + 2);
    if (std::sscanf(rest.data(), "%c %d %d", &stat.state, &stat.parent, &stat.group) != 3) return std::nullopt;
    constexpr int first_field = 3, start_field = 22;
    for (int field = first_field; field < start_field && !rest.empty(); ++field) rest.remove_prefix(std::min(rest.find(' '), rest.size() - 1) + 1);
    stat.start_time = rest.substr(0, rest.find(' '));
    return stat;
}

}  // namespace rankpool::os
