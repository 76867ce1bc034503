// How far a call is, on stderr: a bar on a terminal, a line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace rankpool::observe {

class Progress {
  public:
    using Clock = std::chrono::steady_clock;

    /// `before`: of `total`, what was done before this began; it does not count for the rate.
    Progress(bool wanted, std::uint64_t total, std::uint64_t before);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    /// Shows it if it is time; says when to look again. Empty when nothing is to be shown.
    std::optional<Clock::time_point> show(std::uint64_t done);
    /// The last look.
    void finish(std::uint64_t done);

  private:
    void draw(std::uint64_t done);

    bool wanted_, terminal_;
    bool drawn_ = false;
    std::uint64_t total_, before_;
    Clock::time_point begin_, next_;
};

}  // namespace rankpool::observe
