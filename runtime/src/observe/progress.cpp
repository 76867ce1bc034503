#include "observe/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace rankpool::observe {
namespace {

using namespace std::chrono_literals;

constexpr auto terminal_interval = 100ms;  // at most 10 times a second
constexpr auto line_interval = 10s;
constexpr int narrowest_bar = 10;

std::string as_time(double seconds) {
    const auto whole = static_cast<long long>(seconds + 0.5);
    char text[32];
    if (whole >= 3600)
        std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
    return text;
}

std::string as_rate(double per_second) {
    char text[32];
    if (per_second >= 1e6)
        std::snprintf(text, sizeof text, "%.1fM/s", per_second / 1e6);
    else if (per_second >= 1e3)
        std::snprintf(text, sizeof text, "%.1fk/s", per_second / 1e3);
    else
        std::snprintf(text, sizeof text, "%.1f/s", per_second);
    return text;
}

int terminal_width() {
    winsize size{};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(bool wanted, std::uint64_t total, std::uint64_t before)
    : wanted_(wanted && total > 0),
      terminal_(wanted_ && isatty(STDERR_FILENO) == 1),
      total_(total),
      before_(before),
      begin_(Clock::now()),
      next_(begin_ + (terminal_ ? Clock::duration(terminal_interval) : Clock::duration(line_interval))) {}

Progress::~Progress() {
    if (drawn_ && terminal_) std::fputc('\n', stderr);  // left by an error: what comes next begins on a line of its own
}

std::optional<Progress::Clock::time_point> Progress::show(std::uint64_t done) {
    if (!wanted_) return std::nullopt;
    if (const auto now = Clock::now(); now >= next_) {
        draw(done);
        next_ = now + (terminal_ ? Clock::duration(terminal_interval) : Clock::duration(line_interval));
    }
    return next_;
}

void Progress::finish(std::uint64_t done) {
    if (!wanted_ || (!drawn_ && !terminal_)) return;
    draw(done);
    if (terminal_) std::fputc('\n', stderr);
    drawn_ = false;
}

void Progress::draw(std::uint64_t done) {
    const double seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
    const double rate = seconds > 0 ? static_cast<double>(done - before_) / seconds : 0;
    const double part = static_cast<double>(done) / static_cast<double>(total_);
    std::string text = std::to_string(done) + "/" + std::to_string(total_) + " " + as_rate(rate) + " " + as_time(seconds);
    if (done < total_ && rate > 0) text += ", " + as_time(static_cast<double>(total_ - done) / rate) + " left";
    char percent[8];
    std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(part * 100));
    // One write: it stays whole among the program's own lines.
    if (!terminal_) {
        std::fprintf(stderr, "rankpool: %s %s\n", percent, text.c_str());
        drawn_ = true;
        return;
    }
    const int width = terminal_width();
    const int room = width - static_cast<int>(text.size()) - 9;
    std::string line = std::string(percent) + " ";
    if (room >= narrowest_bar) {
        const int full = static_cast<int>(part * room);
        line += "|" + std::string(static_cast<std::size_t>(full), '#') + std::string(static_cast<std::size_t>(room - full), ' ') + "| ";
    }
    line += text;
    if (static_cast<int>(line.size()) >= width) line.resize(static_cast<std::size_t>(std::max(1, width - 1)));
    std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
    std::fflush(stderr);
    drawn_ = true;
}

}  // namespace rankpool::observe
