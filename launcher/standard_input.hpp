// Who gets standard input.
//
// One rank: it gets the launcher's own, which the launcher never reads. All ranks: each has a pipe, and a process,
// rank-input, offers to all of them what has come. Standard input is not advanced before a rank has read: what nobody
// read is left for the next program.
#pragma once

#include <sys/types.h>

#include <vector>

#include "options.hpp"
#include "os/unique_fd.hpp"

namespace rankrun {

class StandardInput {
  public:
    /// `front_group`: the process group of the rankrun that the user sees.
    StandardInput(const Options& options, pid_t front_group);

    /// What a rank gets as standard input; -1: the launcher's.
    int of(int rank) const;
    /// The group that a rank must be in, because only a terminal's foreground group may read from it; 0: one of its
    /// own.
    pid_t group_of(int rank) const;
    /// All ranks have been started: only they hold their ends now.
    void all_started() { ranks_ends_.clear(); }
    /// Nobody reads any more.
    void close() { ending_.reset(); }

    /// The process that distributes; 0: none, or it has ended.
    pid_t feeder() const { return feeder_; }
    void feeder_ended() { feeder_ = 0; }

  private:
    Input input_;
    pid_t terminal_group_;
    rankpool::os::UniqueFd nothing_;
    std::vector<rankpool::os::UniqueFd> ranks_ends_;
    rankpool::os::UniqueFd ending_;  // the feeder sees its end
    pid_t feeder_ = 0;
};

}  // namespace rankrun
