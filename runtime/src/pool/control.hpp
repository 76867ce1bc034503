// The memory that a pool and its local workers share, and who may write what.
//
//   control block  (memfd, read-write for pool and workers)  what is to be done: ranges of jobs, claimed by workers
//   worker segment (memfd, one a worker)                     what that worker is doing, and a ring of its results
//   arena          (memfd, read-only for workers)            jobs: function, items (arena.hpp)
//   heap           (memfd, one a process)                    what the program shares: items read and results written in
//                                                            place (shared_heap.hpp)
//
// Claiming. A range is a piece [begin, end) of a job's items. Its claim word packs (sequence, next): a worker takes
// [next, next + k) by compare-exchange. The sequence makes a worker that slept over the reuse of a range's place fail
// rather than claim from the wrong job. What a worker takes stands in its own segment before it begins.
//
// A place is given to the next range in three steps: claim = (sequence, everything taken), then the other fields, then
// claim = (sequence, begin). So no worker can claim by fields that belong to different ranges.
//
// Loss. A worker may die at any point. Invariants that let the pool find out exactly what was lost:
//   1. `running` is stored before the item is started, and results are in the ring before `running` moves past them.
//   2. A worker that died between claiming and noting its claim started nothing of it: when every range of a job is
//      taken, no worker is `claiming` or works on the job, and items are missing, they were never started and are
//      given out again. (A worker says `claiming` before it claims, so its claim cannot be overlooked; one whose pid
//      the pool was not told yet, and whose ring it therefore has not read, works on all jobs.)
// So exactly one item (one block of trivial items) is in doubt, and nobody holds a lock that died with the worker.
//
// The pool believes nothing that a worker wrote: every index, size and offset is checked (result_ring.hpp).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/job_memory.hpp"
#include "shm/wait_word.hpp"

namespace rankpool::pool {

using shm::line;

/// A range of a job's items that workers may claim from.
struct alignas(line) Range {
    std::atomic<std::uint64_t> claim;     // sequence << index_bits | next
    std::atomic<std::uint64_t> end;       // one past the last item; 0 when the range is void
    std::atomic<std::uint64_t> job;       // id
    std::atomic<std::uint64_t> block;     // offset of the job block in the arena
    std::atomic<std::uint64_t> function;  // id, for measured times
    std::atomic<std::uint32_t> chunk;     // items a claim; 0: the worker decides by measured time …
    std::atomic<std::uint32_t> largest;   // … but never more than this
    std::atomic<std::uint32_t> one_by_one;  // never more than one item in doubt: finds the culprit of a lost block
};

inline constexpr unsigned index_bits = 40;
inline constexpr std::uint64_t index_mask = (std::uint64_t{1} << index_bits) - 1;
inline constexpr std::uint64_t max_items = index_mask;
inline constexpr std::size_t range_places = 64;

struct ControlBlock {
    alignas(line) shm::WaitWord work;                // signalled when a range is published
    std::atomic<std::uint32_t> stop;                 // stop_requested()
    std::atomic<std::uint64_t> published;            // ranges published so far: sequence s lies at place s % 64
    alignas(line) std::atomic<std::uint64_t> retired;    // ranges below this one have nothing left to claim
    alignas(line) shm::WaitWord doorbell;            // signalled by workers: the pool should look
    Range ranges[range_places];
};

enum class WorkerState : std::uint32_t {
    starting = 0,
    initializing = 1,
    idle = 2,
    claiming = 3,            // may have claimed from any range, has started nothing
    working = 4,             // on the claim that stands in its page
    leaving = 5,             // max_tasks_per_child reached: ends after this
    initializer_failed = 6,  // its error is in the ring
};

/// `since` of a worker whose item has ended: the time until its result has found room is not the item's.
inline constexpr std::int64_t not_timed = INT64_MAX;

/// The first page of a worker's segment.
struct WorkerPage {
    alignas(line) std::atomic<std::uint32_t> state;  // WorkerState
    std::atomic<std::uint32_t> single_copy;          // 1: this worker can read the pool's memory
    std::atomic<std::uint64_t> job;                  // id of the job it works on
    std::atomic<std::uint64_t> claimed_end;          // its claim is [.., claimed_end)
    std::atomic<std::uint64_t> running;              // first item that is not known to be done
    std::atomic<std::uint64_t> block;                // items in doubt from `running` on; 0: nothing is being run
    std::atomic<std::uint64_t> frame_first;          // results from this item on lie behind the ring's tail, or in place, unannounced
    std::atomic<std::int64_t> since;                 // steady clock, ns, when the item (block) was started; not_timed behind its end
    std::atomic<std::int64_t> busy;                  // ns of work so far; while it works, less the steady clock at the claim's start
    std::atomic<std::uint64_t> items;                // items run so far, counted before their results can be seen
    alignas(line) shm::RingHeader ring;              // results: produced by the worker, consumed by the pool
    alignas(line) shm::WaitWord space;               // signalled by the pool when it took results out
};

/// What lies in a result ring, one frame behind the other, each aligned to 16 bytes.
/// `placed`: fixed-size results that were written where the caller wants them; no payload. `values`: results of any size, one
/// behind the other, each with its length (8 bytes) in front and padding to 8 bytes behind it.
enum class FrameKind : std::uint32_t { fixed = 1, value = 2, error = 3, initializer_error = 4, placed = 5, values = 6 };
struct Frame {
    FrameKind kind;
    std::uint32_t reserved;
    std::uint64_t job;
    std::uint64_t first;  // index of the first item
    std::uint64_t count;  // items
    std::uint64_t bytes;  // of payload behind this header
    std::uint64_t unused;
};
static_assert(sizeof(Frame) == 48);
inline constexpr std::size_t frame_alignment = 16;
constexpr std::size_t aligned_frame(std::size_t bytes) {
    return (bytes + frame_alignment - 1) / frame_alignment * frame_alignment;
}

/// What a frame of values takes in a ring of this capacity, at most.
constexpr std::size_t values_room(std::size_t capacity) { return std::min<std::size_t>(capacity / 8, std::size_t{1} << 16); }
/// What one of them takes there.
constexpr std::size_t value_room(std::size_t bytes) { return sizeof(std::uint64_t) + (bytes + 7) / 8 * 8; }

}  // namespace rankpool::pool
