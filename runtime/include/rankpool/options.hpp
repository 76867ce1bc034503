// What can be chosen about a pool and about one call of it.
//
//     rankpool::Pool pool(rankpool::PoolOptions{.processes = 4, .initializer = [] { load_tables(); }});
//     auto results = pool.map(f, items, {.chunksize = 16, .on_error = rankpool::OnError::fail_fast});
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace rankpool {

/// Where a pool's workers live. `automatic`: on the job's ranks inside run() under any launcher, else `processes`.
enum class Backend {
    automatic,
    ranks,      ///< child processes of the job's ranks, on every node of the job
    processes,  ///< child processes of this process
    threads,    ///< threads of this process: for debugging and for work that waits on I/O; no isolation from crashes
    serial,     ///< the calling thread, which is the only worker: for debugging; no isolation
};

/// What an item's exception does to the rest of its call.
enum class OnError {
    finish_all,  ///< every other item still runs; then the error of the smallest index is thrown
    fail_fast,   ///< items that were not started are dropped; the smallest index seen is thrown
};

/// What happens when a worker dies while it runs an item.
enum class OnLoss {
    fail_item,   ///< the item fails with WorkerLost, everything else goes on
    retry,       ///< the item is run again, up to `max_retries` times, then it fails
    break_pool,  ///< everything unfinished fails with BrokenProcessPool, and further calls too
};

/// Choices for one call.
struct MapOptions {
    /// Items that a worker takes at a time; 0: chosen from measured item time. Never changes results or errors.
    std::size_t chunksize = 0;
    /// Of calls with one result for all items; imap throws each error at its place, map_outcomes gives each.
    OnError on_error = OnError::finish_all;
    /// Shows on stderr how far the call is, while somebody waits for it: a bar with rate and time left on a terminal, a line
    /// now and then elsewhere. Not for imap, whose consumer counts the results it takes.
    bool progress = false;
    /// Path of a journal: results are noted there as they arrive, and a call that finds it there runs only the items that it
    /// lacks, so that finished items outlive the whole job. Items that failed are run again. An item is known by its index
    /// and its bytes, results by their type; the function may be another. CheckpointError for a journal that cannot be used:
    /// of other items or another result type, damaged, or in use by another call. Not for imap.
    ///
    /// Under run(), SIGTERM and SIGUSR1 end such a call: no item is started any more, what runs is told so (stop_requested)
    /// and has RANKPOOL_GRACE seconds (4) to finish, the call throws CancelledError, and run() returns 75.
    std::string checkpoint = {};
    /// imap only: items that are read ahead of the consumer; 0: a bound chosen by the pool.
    std::size_t buffersize = 0;
    /// With `checkpoint`: a name for what the function computes. A journal with another tag is refused.
    std::string checkpoint_tag = {};
    /// With `checkpoint`, in a Slurm job: ends the call, as SIGTERM does, this long before SLURM_JOB_END_TIME; 0: not.
    std::chrono::seconds stop_before_end{0};
};

}  // namespace rankpool
