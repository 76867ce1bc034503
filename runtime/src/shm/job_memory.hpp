// The memory that the ranks of one machine-local job share: who is there, a ring of bytes for every pair of ranks, and
// the areas of its communicators (collective_area.hpp).
//
// It is one memfd, valid when filled with zeros, so that nobody has to be first. The launcher creates it and hands out
// descriptors; it disappears with the last process that holds one. It grows when communicators are made: everybody maps
// it once, far beyond its present end.
//
//     directory | rank line[n] | ring[n * n] | the world's area | areas of other communicators
//
// ring (s, d): written by rank s only, read by rank d only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "os/memory.hpp"
#include "shm/wait_word.hpp"

namespace rankpool::shm {

/// Neighbouring lines are fetched in pairs: 128 bytes keep two owners apart.
inline constexpr std::size_t line = 128;

/// `returned`: it takes part in nothing any more but the job's end. `gone`: it has died.
enum class Presence : std::uint32_t { absent = 0, present = 1, left = 2, gone = 3, returned = 4 };

/// What one rank tells the others. Written by that rank, except `presence`, which the launcher sets to `gone`.
struct alignas(line) RankLine {
    std::atomic<std::uint32_t> presence;
    std::atomic<std::int32_t> pid;
    WaitWord doorbell;  // signalled by whoever put something where this rank will look, or made room that it waits for
    std::atomic<std::uint64_t> probe;  // address of a word in its memory that holds `probe_value`, to be tried by others
};
inline constexpr std::uint64_t probe_value = 0x626f'7270'6b6e'6172;  // "rankprob"

/// A single-producer, single-consumer ring of bytes. Positions only grow; `tail - head` bytes are filled.
struct alignas(line) RingHeader {
    alignas(line) std::atomic<std::uint64_t> tail;  // written by the producer, release: pairs with the consumer's acquire
    std::atomic<std::uint32_t> starved;             // set by a producer that waits for room, cleared by the consumer
    alignas(line) std::atomic<std::uint64_t> head;  // written by the consumer, release: pairs with the producer's acquire
};

/// Where communicators have their areas. A place keeps its memory when its communicator is gone, for the next one.
inline constexpr std::uint32_t area_places = 1024;
struct AreaPlace {
    std::atomic<std::uint32_t> used;
    std::atomic<std::uint32_t> generation;
    std::atomic<std::uint64_t> offset, bytes;
};
struct alignas(line) Directory {
    std::atomic<std::uint64_t> taken;  // bytes behind the world's area
    std::atomic<std::uint32_t> bound;  // set by the launcher: every rank has CPUs of its own
    AreaPlace places[area_places];
};

class JobMemory {
  public:
    /// Memory for `ranks` ranks, its space reserved. Throws Error.
    static JobMemory create(int ranks);
    /// Maps memory that another process created. Throws Error when it is not a job's memory for `ranks` ranks.
    static JobMemory attach(os::UniqueFd fd, int ranks);

    /// Another handle on the same mapping, for ranks that are threads of one process: a thread sanitizer takes two mappings
    /// of the same memory for two memories and sees nothing.
    JobMemory share() const;

    int fd() const { return fd_.get(); }
    int ranks() const { return ranks_; }

    RankLine& rank_line(int rank) const;
    RingHeader& ring(int source, int destination) const;
    std::byte* ring_bytes(int source, int destination) const;
    std::size_t ring_capacity() const { return ring_capacity_; }

    /// For the launcher, before there are ranks: it binds each of them to CPUs of its own.
    void tell_bound() const { directory().bound.store(1, std::memory_order_relaxed); }
    bool bound() const { return directory().bound.load(std::memory_order_relaxed) != 0; }

    Presence presence(int rank) const;
    /// Sets a rank's presence and wakes everybody who may wait for that rank.
    void set_presence(int rank, Presence presence) const;
    /// For the launcher: this rank's process has ended. Keeps `left` where the rank said good-bye itself.
    void mark_gone(int rank) const;
    void wake_all() const;

    /// Names a communicator in this memory; 0 is the world. Unlike its place, a name is not used again soon.
    using Context = std::uint32_t;
    /// Zeroed memory for a new communicator of `ranks` ranks. Throws Error.
    Context create_area(int ranks) const;
    /// The area of a communicator of `ranks` ranks. Throws Error when there is none of that name.
    std::byte* area(Context context, int ranks) const;
    /// By the last one that used it.
    void release_area(Context context) const;

  private:
    JobMemory(os::UniqueFd fd, std::shared_ptr<const os::Mapping> mapping, int ranks);
    Directory& directory() const { return *reinterpret_cast<Directory*>(mapping_->data()); }

    os::UniqueFd fd_;
    std::shared_ptr<const os::Mapping> mapping_;
    int ranks_ = 0;
    std::size_t ring_capacity_ = 0;
};

}  // namespace rankpool::shm
