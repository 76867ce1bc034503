// The memory that the ranks of one machine-local job share: who is there, and a ring of bytes for every pair of ranks.
//
// It is one memfd, valid when filled with zeros, so that nobody has to be first. The launcher creates it and hands out
// descriptors; it disappears with the last process that holds one.
//
//     header | presence[n] (a line each) | ring[n * n]     ring (s, d): written by rank s only, read by rank d only
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

enum class Presence : std::uint32_t { absent = 0, present = 1, left = 2, gone = 3 };

/// What one rank tells the others. Written by that rank, except `presence`, which the launcher sets to `gone`.
struct alignas(line) RankLine {
    std::atomic<std::uint32_t> presence;
    std::atomic<std::int32_t> pid;
    WaitWord doorbell;  // signalled by whoever put something where this rank will look
    WaitWord space;     // signalled by whoever took something out of one of this rank's rings
};

/// A single-producer, single-consumer ring of bytes. Positions only grow; `tail - head` bytes are filled.
struct alignas(line) RingHeader {
    alignas(line) std::atomic<std::uint64_t> tail;  // written by the producer, release: pairs with the consumer's acquire
    alignas(line) std::atomic<std::uint64_t> head;  // written by the consumer, release: pairs with the producer's acquire
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

    Presence presence(int rank) const;
    /// Sets a rank's presence and wakes everybody who may wait for that rank.
    void set_presence(int rank, Presence presence) const;
    /// For the launcher: this rank's process has ended. Keeps `left` where the rank said good-bye itself.
    void mark_gone(int rank) const;
    void wake_all() const;

  private:
    JobMemory(os::UniqueFd fd, std::shared_ptr<const os::Mapping> mapping, int ranks);

    os::UniqueFd fd_;
    std::shared_ptr<const os::Mapping> mapping_;
    int ranks_ = 0;
    std::size_t ring_capacity_ = 0;
};

}  // namespace rankpool::shm
