// Who runs the job: rankrun itself, on this machine, or the launcher of an MPI or of Slurm.
//
// Such an engine is started as the only process of the job, with its own options in place of ours. So --timeout,
// --grace and --restarts are still rankrun's, and whatever ends rankrun ends the engine.
#pragma once

#include "options.hpp"

namespace rankrun {

/// `options` as they are to be run: for this machine with the number of ranks settled; for an engine with its command
/// line as the only program. Throws Refusal for what the engine cannot do.
Options settle_engine(const Options& options);

}  // namespace rankrun
