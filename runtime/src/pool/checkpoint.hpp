// One call and its journal: what earlier jobs had finished comes out of it, what this one finishes goes into it.
//
// Results are noted where they arrive, with the pool locked: that only copies them. A thread of the checkpoint's own
// knows the items by their bytes, writes, and has the disk take it; so the journal is never more than a second behind,
// and no worker waits for a disk. Items, and the call, must stay until finish().
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/options.hpp>
#include <rankpool/wire/buffer.hpp>
#include "journal/journal.hpp"
#include "pool/coverage.hpp"
#include "pool/job.hpp"

namespace rankpool::pool {

class Checkpoint {
  public:
    using Refused = std::map<std::size_t, std::exception_ptr>;

    /// Opens the journal. `rows`: where the results go, null where they have no place yet; the items are copied when
    /// they lie there too, since they are known by their bytes to the end. `refused`: items that could not be serialized, whatever becomes of them; may be null. Throws
    /// CheckpointError.
    Checkpoint(const MapOptions& options, const task::Descriptor& descriptor, const Items& items,
               const std::byte* rows, const Refused* refused);
    ~Checkpoint();
    Checkpoint(const Checkpoint&) = delete;
    Checkpoint& operator=(const Checkpoint&) = delete;

    /// Gives a sink what the journal has, and says on stderr how much that was. Throws CheckpointError, for a journal
    /// of other items too. From then on add() may be called; when the journal cannot be written any more, `on_failure`
    /// is, once.
    void restore(Sink& sink, std::function<void()> on_failure);
    std::uint64_t restored() const { return restored_; }
    /// The stretches of items that the journal did not have.
    struct Stretch {
        std::uint64_t begin, end;
    };
    std::vector<Stretch> missing() const;

    /// Notes results. Quick; on any thread.
    void add(std::uint64_t first, std::uint64_t count, std::span<const std::byte> results);
    /// Everything that was added is on disk when this returns, and the journal is free for others. What went wrong is
    /// thrown, as CheckpointError.
    void finish();
    /// "PATH: N of M items are there", after finish().
    std::string in_words() const;

  private:
    struct Noted {
        std::uint64_t first, count;
        std::size_t bytes;
    };
    void check(const journal::Record& record) const;
    std::uint64_t hash_of(std::uint64_t first, std::uint64_t count) const;
    void write_all();
    void write(const std::vector<Noted>& noted, std::span<const std::byte> results);

    std::string path_;
    std::uint32_t result_size_;
    std::vector<std::byte> copy_;  // of items that are overwritten by results
    Items items_;
    const Refused* refused_;
    std::vector<std::byte> mask_;  // of an item's row, where it has padding
    journal::Journal journal_;
    Coverage there_;  // items in the journal; of the writer, once there is one
    std::uint64_t restored_ = 0;

    std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    std::vector<Noted> noted_;
    wire::Buffer results_;
    bool finishing_ = false;
    std::exception_ptr error_;
    std::function<void()> on_failure_;
    std::thread writer_;
};

}  // namespace rankpool::pool
