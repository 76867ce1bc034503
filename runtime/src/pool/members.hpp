// What each rank of a job brings to its pools, and who leads it.
//
// Of the ranks of one machine one leads: the workers that are meant for the others, with their rank and on their CPUs, are
// its children too, share its arena, and it alone hears of their work. RANKPOOL_LEADERS=rank has every rank lead its own.
#pragma once

#include <cstdint>
#include <vector>

#include "os/byte_stream.hpp"

namespace rankpool::pool {

/// What RANKPOOL_LEADERS says. Throws LaunchError for anything else.
bool every_rank_leads();

struct Member {
    int job_rank = -1;
    int machine = 0;                      // the smallest rank, of the communicator that the pool spans, of those that share memory with it
    int leader = 0;                       // … whose process has the workers
    int usable_cpus = 1;                  // process_cpu_count() there
    std::vector<std::uint64_t> affinity;  // bit mask of CPUs

    /// This process, `own` of the communicator. Throws as every_rank_leads() does.
    static Member here(int own, int machine);

    void put(os::ByteWriter& out) const;
    static Member get(os::ByteReader& in);
};

/// How many workers each takes by default: its share of the CPUs that its machine's ranks may use, at least one.
std::vector<int> worker_shares(const std::vector<Member>& members);

/// CPUs that the ranks of `leader` may use together.
int cpus_of(const std::vector<Member>& members, int leader);

}  // namespace rankpool::pool
