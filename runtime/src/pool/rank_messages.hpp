// What the manager (rank 0) and the ranks that serve its pools say to each other.
#pragma once

#include <cstdint>

#include "os/byte_stream.hpp"
#include "pool/engine.hpp"
#include <rankpool/wire/buffer.hpp>

namespace rankpool::pool {

enum class Say : std::uint32_t {
    // to the manager
    hello = 1,     // Member: what this rank brings
    opened,        // pool, error or nothing
    results,       // pool, batch, frames
    over,          // pool, batch
    workers,       // pool, WorkerStats
    watching,      // 0; an answer to watch
    answer,        // pool, question, a byte for each batch: yes or no
    broken,        // pool, error: its workers here are gone for good
    signalled,     // 0, signal: this rank was sent it while it watched
    // to a rank
    open,          // pool, EngineOptions
    function,      // pool, function, bytes
    forget,        // pool, function
    batch,         // pool, function, batch, options, items
    cancel,        // pool, batch
    drain,         // pool, batch
    has_begun,     // pool, question, batches
    take_back,     // pool, question, batches
    who,           // pool
    terminate,     // pool, signal
    close,         // pool; comes back with WorkerStats
    watch,         // 0, whether: SIGTERM and SIGUSR1 are the manager's
    end,           // exit code
};

struct BatchHead {
    std::uint64_t function, batch;
    std::uint64_t first, count;
    std::uint32_t item_size, result_size;
    std::uint64_t chunk, largest_chunk;
    std::uint64_t single;
};

/// A result on its way back; behind it come `bytes` bytes.
enum class ResultKind : std::uint32_t { fixed, value, failure, rest };
struct ResultHead {
    ResultKind kind;
    std::uint32_t reserved;
    std::uint64_t first, count, bytes;
};

void put(os::ByteWriter& out, const WorkerInfo& info);
WorkerInfo get_worker_info(os::ByteReader& in);
void put(os::ByteWriter& out, const WorkerStats& stats);
WorkerStats get_worker_stats(os::ByteReader& in);
void put(os::ByteWriter& out, const EngineOptions& options);
EngineOptions get_engine_options(os::ByteReader& in);

/// A message begins with what it is and the pool it is about.
os::ByteWriter message(Say what, std::uint64_t pool);
wire::Buffer sealed(os::ByteWriter& out);

}  // namespace rankpool::pool
