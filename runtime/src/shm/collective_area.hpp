// The memory through which the ranks of one communicator do their collective operations (collectives.hpp): for each rank
// a line that says how far it is, and a ring of slots in which it shows what it contributes.
//
//     header | arrivals[8] | for each rank: progress, slot[8] | for each rank: cell[8]
//
// Every line has one writer, the arrivals excepted. All of it is valid when filled with zeros.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "shm/epoch_word.hpp"

namespace rankpool::shm {

/// How many operations a rank may be ahead of the slowest one, at most; four less where that one has not told how far it is.
inline constexpr std::size_t slots_per_rank = 8;

enum class Form : std::uint32_t {
    in_slot = 1,    // the bytes are in the slot itself
    in_cell = 2,    // … in the slot's cell
    elsewhere = 3,  // … in the contributor's own memory, at `address`: readers copy them with the kernel's help
    by_message = 4  // … sent to each reader as a message
};

struct alignas(128) Slot {
    EpochWord word;  // the operation whose contribution this is
    Form form;
    std::uint64_t bytes;
    std::uint64_t address;
    std::byte inside[104];
};
static_assert(sizeof(Slot) == 128);

struct alignas(128) RankState {
    EpochWord done;     // the last operation this rank has left
    std::atomic<std::uint32_t> arrived;  // the last operation at which it was counted
    alignas(128) Slot slots[slots_per_rank];
};

struct alignas(128) AreaHeader {
    std::atomic<std::uint32_t> users;    // how many have come, and (times 2^16) have left for good
    std::atomic<std::uint32_t> counted;  // how ranks hear of each other: 0 not decided yet, 1 one by one, 2 by counting
    struct alignas(128) Arrivals {
        EpochWord count;
    } arrivals[slots_per_rank];
};

class CollectiveArea {
  public:
    CollectiveArea(std::byte* memory, int ranks) : memory_(memory), ranks_(static_cast<std::size_t>(ranks)) {}

    static std::size_t cell_bytes_for(int ranks) {
        constexpr std::size_t all = std::size_t{4} << 20, smallest = std::size_t{4} << 10, largest = std::size_t{32} << 10;
        return std::clamp(std::bit_floor(all / (slots_per_rank * static_cast<std::size_t>(ranks))), smallest, largest);
    }
    static std::size_t control_bytes_for(int ranks) { return sizeof(AreaHeader) + static_cast<std::size_t>(ranks) * sizeof(RankState); }
    static std::size_t bytes_for(int ranks) {
        return control_bytes_for(ranks) + static_cast<std::size_t>(ranks) * slots_per_rank * cell_bytes_for(ranks);
    }

    AreaHeader& header() const { return *reinterpret_cast<AreaHeader*>(memory_); }
    RankState& state(int rank) const {
        return reinterpret_cast<RankState*>(memory_ + sizeof(AreaHeader))[rank];
    }
    std::byte* cell(int rank, std::size_t slot) const {
        const int ranks = static_cast<int>(ranks_);
        return memory_ + control_bytes_for(ranks) + (static_cast<std::size_t>(rank) * slots_per_rank + slot) * cell_bytes();
    }
    std::size_t cell_bytes() const { return cell_bytes_for(static_cast<int>(ranks_)); }

  private:
    std::byte* memory_;
    std::size_t ranks_;
};

}  // namespace rankpool::shm
