// Where the ranks' output goes: where the launcher's goes, into files, or, where its lines get labels, through a
// process that writes them one by one.
//
//     rank 0 ══ pipes ══╗
//     rank 1 ══ pipes ══╬══ rank-output ── standard output, standard error, or files
//     minder ══ pipe  ══╝
//
// The minder's own messages go the same way: they come after what a rank wrote before, and never into a line. A reader
// outside that is slow or stopped holds up rank-output, and through the pipes the ranks, but not the minder.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "options.hpp"
#include "os/unique_fd.hpp"

namespace rankrun {

class Output {
  public:
    /// What a rank gets as standard output and error; -1: the launcher's.
    struct Streams {
        int out = -1, err = -1;
    };

    /// `again`: the job was started before; its files are continued. Throws Error.
    Output(const Options& options, bool again);
    ~Output();
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    Streams of(int rank) const;
    /// All ranks have been started: only they hold their ends now.
    void all_started() { ranks_ends_.clear(); }
    /// Nobody writes any more: the writer ends when it has passed everything on.
    void close();

    /// The process that writes; 0: none, or it has ended.
    pid_t writer() const { return writer_; }
    /// It has ended, by `status` of waitpid. True when it could write everything.
    bool writer_ended(int status);

  private:
    using Pair = std::pair<rankpool::os::UniqueFd, rankpool::os::UniqueFd>;

    void start_writer(const Options& options, std::vector<Pair> files);

    std::vector<Pair> ranks_ends_;      // by rank: files, or the writing ends of pipes
    rankpool::os::UniqueFd own_error_;  // the launcher's standard error, while the minder's is a pipe
    pid_t writer_ = 0;
};

}  // namespace rankrun
