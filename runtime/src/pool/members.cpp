#include "pool/members.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "entry/context.hpp"
#include "os/cgroup.hpp"
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

}  // namespace

bool every_rank_leads() {
    const char* told = std::getenv("RANKPOOL_LEADERS");
    const std::string_view value(told != nullptr ? told : "");
    if (value.empty() || value == "node") return false;
    if (value == "rank") return true;
    throw LaunchError("RANKPOOL_LEADERS = \"" + std::string(value) + "\"; expected node (one rank of a machine leads the workers of all its ranks) or rank");
}

Member Member::here(const comm::Neighbours& neighbours) {
    const auto quota = os::cpu_quota();
    return {.job_rank = entry::own_rank(),
            .machine = neighbours.first,
            .leader = neighbours.leader,
            .told_cpus = std::getenv("RANKPOOL_CPU_COUNT") != nullptr ? process_cpu_count() : 0,
            .quota = quota ? std::max(1, static_cast<int>(std::ceil(std::min(quota->cpus, 1e6)))) : 0,
            .quota_of = quota ? quota->set_by : "",
            .affinity = process::current_affinity(),
            .confines = process::confines()};
}

void Member::put(os::ByteWriter& out) const {
    out.put(job_rank);
    out.put(machine);
    out.put(leader);
    out.put(told_cpus);
    out.put(quota);
    out.put(quota_of);
    out.put(static_cast<std::uint32_t>(affinity.size()));
    for (const std::uint64_t word : affinity) out.put(word);
    out.put(confines);
}

Member Member::get(os::ByteReader& in) {
    Member member;
    member.job_rank = in.get<int>();
    member.machine = in.get<int>();
    member.leader = in.get<int>();
    member.told_cpus = std::max(0, in.get<int>());
    member.quota = std::max(0, in.get<int>());
    member.quota_of = in.get_string();
    for (auto words = in.get<std::uint32_t>(); words > 0; --words) member.affinity.push_back(in.get<std::uint64_t>());
    member.confines = in.get_string();
    return member;
}

std::vector<int> leaders(const std::vector<Member>& members, bool apart) {
    std::map<std::tuple<int, std::string, std::string>, int> first;
    std::vector<int> leaders;
    for (int rank = 0; rank < static_cast<int>(members.size()); ++rank) {
        const Member& member = members[static_cast<std::size_t>(rank)];
        leaders.push_back(apart ? rank : first.try_emplace({member.leader, member.confines, member.quota_of}, rank).first->second);
    }
    return leaders;
}

std::vector<int> worker_shares(const std::vector<Member>& members) {
    struct Machine {
        int ranks = 0, told_cpus = 0;
        std::vector<int> ranks_on;  // by CPU
    };
    struct Group {
        int quota = 0;
        double share = 0;  // of its ranks together
    };
    std::map<int, Machine> machines;
    std::map<std::pair<int, std::string>, Group> groups;  // of a machine's ranks those that have a quota together
    const auto group_of = [&](const Member& member) -> Group& { return groups[{member.machine, member.quota_of}]; };
    for (const Member& member : members) {
        Machine& machine = machines[member.machine];
        ++machine.ranks;
        machine.told_cpus = std::max(machine.told_cpus, member.told_cpus);
        group_of(member).quota = std::max(group_of(member).quota, member.quota);
        machine.ranks_on.resize(std::max(machine.ranks_on.size(), member.affinity.size() * 64));
        for_each_cpu(member.affinity, [&](std::size_t cpu) { ++machine.ranks_on[cpu]; });
    }
    std::vector<double> shares;
    for (const Member& member : members) {
        double& share = shares.emplace_back(0);
        const Machine& machine = machines[member.machine];
        for_each_cpu(member.affinity, [&](std::size_t cpu) { share += 1.0 / machine.ranks_on[cpu]; });
        group_of(member).share += share;
    }
    std::vector<int> workers;
    for (std::size_t rank = 0; rank < members.size(); ++rank) {
        const Machine& machine = machines[members[rank].machine];
        const Group& group = group_of(members[rank]);
        double share = shares[rank];
        if (machine.told_cpus > 0)
            share = static_cast<double>(machine.told_cpus) / machine.ranks;
        else if (group.quota > 0 && group.quota < group.share)
            share *= group.quota / group.share;
        workers.push_back(std::max(1, static_cast<int>(share + 1e-6)));
    }
    return workers;
}

int cpus_of(const std::vector<Member>& members, const std::vector<int>& leaders, int leader) {
    std::vector<std::uint64_t> all;
    int told = 0, quota = 0;
    for (std::size_t rank = 0; rank < members.size(); ++rank) {
        const Member& member = members[rank];
        if (leaders[rank] != leader) continue;
        told = std::max(told, member.told_cpus);
        quota = std::max(quota, member.quota);
        all.resize(std::max(all.size(), member.affinity.size()));
        for (std::size_t word = 0; word < member.affinity.size(); ++word) all[word] |= member.affinity[word];
    }
    if (told > 0) return told;
    return std::max(1, quota > 0 ? std::min(quota, count(all)) : count(all));
}

}  // namespace rankpool::pool
