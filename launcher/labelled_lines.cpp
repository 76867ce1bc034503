#include "labelled_lines.hpp"

#include <sys/time.h>

#include <cstdio>
#include <ctime>

namespace rankrun {
namespace {

std::string local_time() {
    timeval now{};
    gettimeofday(&now, nullptr);
    tm parts{};
    localtime_r(&now.tv_sec, &parts);
    char seconds[32], text[48];
    std::strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text, sizeof text, "%s.%03d ", seconds, static_cast<int>(now.tv_usec / 1000));
    return text;
}

}  // namespace

LabelledLines::LabelledLines(int rank, bool timestamp)
    : label_("[" + std::to_string(rank) + "] "), timestamp_(timestamp) {}

void LabelledLines::begin_line(std::string& line) const {
    line += label_;
    if (timestamp_) line += local_time();
}

void LabelledLines::take(std::string_view text, std::string& out) {
    while (!text.empty()) {
        const std::size_t newline = text.find('\n');
        if (newline == std::string_view::npos) {
            if (held_.empty()) begin_line(held_);
            held_ += text;
            return;
        }
        if (held_.empty()) begin_line(out);
        out += held_;
        held_.clear();
        out += text.substr(0, newline + 1);
        text.remove_prefix(newline + 1);
    }
}

void LabelledLines::end_line(std::string& out) {
    if (held_.empty()) return;
    out += held_;
    out += '\n';
    held_.clear();
    held_.shrink_to_fit();
}

}  // namespace rankrun
