// Bytes between the ranks of a job: the one interface that shared memory and MPI both implement. It knows nothing of
// types and tasks.
//
// One thread at a time uses a transport (wake() excepted).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <rankpool/wire/buffer.hpp>

namespace rankpool::comm {

inline constexpr int any = -1;

/// Tags below this one belong to users; those from it on to the library.
inline constexpr int first_internal_tag = 1 << 20;
enum InternalTag : int { tag_pool = first_internal_tag, tag_barrier, tag_bcast, tag_scatter, tag_gather, tag_end };

struct Message {
    int source = any;
    int tag = any;
    wire::Buffer bytes;
};

class Transport {
  public:
    virtual ~Transport() = default;

    virtual int rank() const = 0;
    virtual int size() const = 0;
    /// Ranks of the job that share this one's machine.
    virtual int local_size() const = 0;

    /// Returns when `bytes` may be reused. Takes in messages that arrive meanwhile, so two ranks may send to each other.
    virtual void send(int destination, int tag, std::span<const std::byte> bytes) = 0;
    /// The next message from `source` with `tag` (`any` for all), in the order sent; empty when there is none yet.
    virtual std::optional<Message> try_receive(int source, int tag) = 0;
    /// Waits for it. Throws Error when `source` has left or died.
    virtual Message receive(int source, int tag) = 0;
    /// Sleeps until something may have arrived, wake() was called, or `limit` has passed.
    virtual void wait(std::chrono::nanoseconds limit) = 0;
    /// Ends a wait() of another thread.
    virtual void wake() = 0;

    /// Collective. Returns when all ranks have called it.
    virtual void barrier() = 0;
    /// Collective. `bytes` of root on every rank.
    virtual void bcast(wire::Buffer& bytes, int root) = 0;
    /// Collective. Part r of root's `parts` (one a rank; empty elsewhere) on rank r.
    virtual wire::Buffer scatter(const std::vector<std::span<const std::byte>>& parts, int root) = 0;
    /// Collective. The parts of all ranks in rank order at root; empty elsewhere.
    virtual std::vector<wire::Buffer> gather(std::span<const std::byte> part, int root) = 0;

    /// Ends the whole job with this exit code, now.
    [[noreturn]] virtual void abort(int exit_code) = 0;
    /// Collective: the orderly end. Nothing may be called after it.
    virtual void finish() = 0;
};

}  // namespace rankpool::comm
