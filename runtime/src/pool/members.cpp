#include "pool/members.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "entry/context.hpp"
#include "process/child.hpp"
#include <rankpool/cpus.hpp>
#include <rankpool/error.hpp>

namespace rankpool::pool {
namespace {

int count(const std::vector<std::uint64_t>& mask) {
    int cpus = 0;
    for (const std::uint64_t word : mask) cpus += std::popcount(word);
    return cpus;
}

template <class Use>
void for_each_cpu(const std::vector<std::uint64_t>& mask, Use&& use) {
    for (std::size_t word = 0; word < mask.size(); ++word)
        for (std::uint64_t left = mask[word]; left != 0; left &= left - 1) use(word * 64 + static_cast<std::size_t>(std::countr_zero(left)));
}

// A quota of a cgroup, or RANKPOOL_CPU_COUNT, counts for all ranks of a machine; an affinity mask is a rank's own.
bool has_quota(const Member& member) { return member.usable_cpus != count(member.affinity); }

}  // namespace

bool every_rank_leads() {
    const char* told = std::getenv("RANKPOOL_LEADERS");
    const std::string_view value(told != nullptr ? told : "");
    if (value.empty() || value == "node") return false;
    if (value == "rank") return true;
    throw LaunchError("RANKPOOL_LEADERS = \"" + std::string(value) + "\"; expected node (one rank of a machine leads the workers of all its ranks) or rank");
}

Member Member::here(int own, int machine) {
    return {entry::own_rank(), machine, every_rank_leads() ? own : machine, process_cpu_count(), process::current_affinity()};
}

void Member::put(os::ByteWriter& out) const {
    out.put(job_rank);
    out.put(machine);
    out.put(leader);
    out.put(usable_cpus);
    out.put(static_cast<std::uint32_t>(affinity.size()));
    for (const std::uint64_t word : affinity) out.put(word);
}

Member Member::get(os::ByteReader& in) {
    Member member;
    member.job_rank = in.get<int>();
    member.machine = in.get<int>();
    member.leader = in.get<int>();
    member.usable_cpus = std::max(1, in.get<int>());
    for (auto words = in.get<std::uint32_t>(); words > 0; --words) member.affinity.push_back(in.get<std::uint64_t>());
    return member;
}

std::vector<int> worker_shares(const std::vector<Member>& members) {
    struct Machine {
        int ranks = 0;
        std::vector<int> ranks_on;  // by CPU
    };
    std::map<int, Machine> machines;
    for (const Member& member : members) {
        Machine& machine = machines[member.machine];
        ++machine.ranks;
        machine.ranks_on.resize(std::max(machine.ranks_on.size(), member.affinity.size() * 64));
        for_each_cpu(member.affinity, [&](std::size_t cpu) { ++machine.ranks_on[cpu]; });
    }
    std::vector<int> shares;
    for (const Member& member : members) {
        const Machine& machine = machines[member.machine];
        double share = 0;
        if (has_quota(member))
            share = static_cast<double>(member.usable_cpus) / machine.ranks;
        else
            for_each_cpu(member.affinity, [&](std::size_t cpu) { share += 1.0 / machine.ranks_on[cpu]; });
        shares.push_back(std::max(1, static_cast<int>(share + 1e-6)));
    }
    return shares;
}

int cpus_of(const std::vector<Member>& members, int leader) {
    std::vector<std::uint64_t> all;
    int most = 0;
    for (const Member& member : members) {
        if (member.leader != leader) continue;
        if (has_quota(member)) most = std::max(most, member.usable_cpus);
        all.resize(std::max(all.size(), member.affinity.size()));
        for (std::size_t word = 0; word < member.affinity.size(); ++word) all[word] |= member.affinity[word];
    }
    return std::max(1, most > 0 ? most : count(all));
}

}  // namespace rankpool::pool
