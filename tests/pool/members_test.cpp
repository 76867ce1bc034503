// Who takes how many workers, from what the ranks say of themselves.
#include <gtest/gtest.h>

#include "pool/members.hpp"
#include <rankpool/error.hpp>

namespace {

using rankpool::pool::cpus_of;
using rankpool::pool::Member;
using rankpool::pool::worker_shares;
using Shares = std::vector<int>;

Member member(int machine, int usable, std::vector<std::uint64_t> affinity) { return {0, machine, machine, usable, std::move(affinity)}; }

TEST(WorkerShares, OfRanksThatMayRunEverywhereAreEqual) {
    const Member one = member(0, 8, {0xff});
    EXPECT_EQ(worker_shares({one}), Shares({8}));
    EXPECT_EQ(worker_shares({one, one}), Shares({4, 4}));
    EXPECT_EQ(worker_shares({one, one, one}), Shares({2, 2, 2}));
    EXPECT_EQ(cpus_of({one, one, one}, 0), 8);
}

TEST(WorkerShares, OfBoundRanksAreTheirOwnCpus) {
    const std::vector<Member> two = {member(0, 4, {0x0f}), member(0, 2, {0x30})};
    EXPECT_EQ(worker_shares(two), Shares({4, 2}));
    EXPECT_EQ(cpus_of(two, 0), 6);
}

TEST(WorkerShares, OfRanksThatShareSomeCpusCountThoseByHalves) {
    EXPECT_EQ(worker_shares({member(0, 4, {0x0f}), member(0, 4, {0x3c})}), Shares({3, 3}));
}

TEST(WorkerShares, AreAtLeastOne) {
    const Member one = member(0, 1, {0x1});
    EXPECT_EQ(worker_shares({one, one, one}), Shares({1, 1, 1}));
    EXPECT_EQ(cpus_of({one, one, one}, 0), 1);
}

TEST(WorkerShares, OfAQuotaAreSharedByTheMachinesRanks) {
    const Member limited = member(0, 4, {0xff, 0xff});
    EXPECT_EQ(worker_shares({limited, limited}), Shares({2, 2}));
    EXPECT_EQ(cpus_of({limited, limited}, 0), 4);
}

TEST(WorkerShares, OfAnotherMachineDoNotCount) {
    const std::vector<Member> three = {member(0, 8, {0xff}), member(1, 2, {0x3}), member(0, 8, {0xff})};
    EXPECT_EQ(worker_shares(three), Shares({4, 2, 4}));
    EXPECT_EQ(cpus_of(three, 1), 2);
}

TEST(WorkerShares, OfRanksThatLeadThemselvesStillShareTheirMachine) {
    std::vector<Member> two = {member(0, 8, {0xff}), member(0, 8, {0xff})};
    two[1].leader = 1;
    EXPECT_EQ(worker_shares(two), Shares({4, 4}));
}

TEST(Member, SurvivesItsJourney) {
    const Member sent = {7, 2, 3, 5, {1, 2, 3}};
    rankpool::os::ByteWriter out;
    sent.put(out);
    rankpool::os::ByteReader in(out.bytes());
    const Member got = Member::get(in);
    EXPECT_EQ(std::tuple(got.job_rank, got.machine, got.leader, got.usable_cpus, got.affinity), std::tuple(7, 2, 3, 5, sent.affinity));
    EXPECT_TRUE(in.empty());
    rankpool::os::ByteReader cut(std::span(out.bytes()).first(out.bytes().size() - 1));
    EXPECT_THROW(Member::get(cut), rankpool::Error);
}

}  // namespace
