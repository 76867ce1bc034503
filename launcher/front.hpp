// The process that the user sees as rankrun: it passes signals on to the minder and ends as the job did.
//
//     shell ── rankrun (front) ══ socket ══ minder ── rank 0, rank 1, …
//
// Two processes, because either may be killed. When the front goes, by SIGKILL too, the minder sees the socket's end,
// kills the ranks and everything they started, and ends. When the minder goes, the front inherits all of it and does
// the same. Both are subreapers: a descendant whose parents have ended becomes theirs, so none gets away.
#pragma once

#include "bindings.hpp"
#include "options.hpp"

namespace rankrun {

/// Runs the job, whose programs' files have been found; returns its exit code.
int run_job(const Options& options, const Bindings& bindings);

}  // namespace rankrun
