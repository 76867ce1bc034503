// The process that writes labelled lines: see output.hpp for its place.
//
// It reads whatever has come, from every pipe in turn, and writes whole lines only, one target after the other: nothing
// else writes there while it does. Where a target's reader is gone it closes the pipes that lead there, so that the
// ranks see the same as without labels: SIGPIPE, or EPIPE.
#pragma once

#include <vector>

#include "os/unique_fd.hpp"

namespace rankrun {

/// The reading end of a rank's pipe, without waiting, and the descriptor where its lines go.
struct WriterSource {
    rankpool::os::UniqueFd pipe;
    int rank;
    int target;
};

/// Writes until all pipes have ended. `messages` carries the launcher's own lines, for standard error, without labels.
/// Returns the process's exit code: not 0 when something could not be written, which has been said then.
int write_output(std::vector<WriterSource> sources, rankpool::os::UniqueFd messages, bool timestamp);

}  // namespace rankrun
