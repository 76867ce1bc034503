// What each rank of a job brings to its pools, and who leads it.
//
// Of the ranks of one machine one leads: the workers that are meant for the others, with their rank and on their CPUs, are
// its children too, share its arena, and it alone hears of their work. RANKPOOL_LEADERS=rank of rank 0 has every rank lead its
// own. So does a rank whose children could not live as they should as the leader's: on other CPUs, with memory of other nodes,
// with a quota of their own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "os/byte_stream.hpp"
#include <rankpool/comm/transport.hpp>

namespace rankpool::pool {

/// What RANKPOOL_LEADERS says. Throws LaunchError for anything else.
bool every_rank_leads();

struct Member {
    int job_rank = -1;
    int machine = 0;                      // the smallest rank, of the communicator that the pool spans, on its machine
    int leader = 0;                       // … of those that share memory with it
    int told_cpus = 0;                    // RANKPOOL_CPU_COUNT: of all ranks of the machine together; 0: not set
    int quota = 0;                        // CPUs that its cgroups grant, together with all ranks of the group …
    std::string quota_of = {};            // … that sets this limit; 0 and nothing: no quota
    std::vector<std::uint64_t> affinity = {};  // bit mask of CPUs
    std::string confines = {};                 // process::confines()

    /// This process.
    static Member here(const comm::Neighbours& neighbours);

    void put(os::ByteWriter& out) const;
    static Member get(os::ByteReader& in);
};

/// Whose process has the workers of each. `apart`: everybody has its own.
std::vector<int> leaders(const std::vector<Member>& members, bool apart);

/// How many workers each takes by default: its share of the CPUs that its machine's ranks may use, at least one.
std::vector<int> worker_shares(const std::vector<Member>& members);

/// CPUs that the ranks which `leader` leads may use together.
int cpus_of(const std::vector<Member>& members, const std::vector<int>& leaders, int leader);

}  // namespace rankpool::pool
