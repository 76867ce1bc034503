// Who takes how many workers, from what the ranks say of themselves.
#include <gtest/gtest.h>

#include "pool/members.hpp"
#include <rankpool/error.hpp>

namespace {

using rankpool::pool::cpus_of;
using rankpool::pool::leaders;
using rankpool::pool::Member;
using rankpool::pool::worker_shares;
using Shares = std::vector<int>;

Member member(int machine, std::vector<std::uint64_t> affinity, int quota = 0) {
    return {.machine = machine, .leader = machine, .quota = quota, .affinity = std::move(affinity)};
}
int cpus_of_machine(const std::vector<Member>& members, int leader) { return cpus_of(members, leaders(members, false), leader); }

TEST(WorkerShares, OfRanksThatMayRunEverywhereAreEqual) {
    const Member one = member(0, {0xff});
    EXPECT_EQ(worker_shares({one}), Shares({8}));
    EXPECT_EQ(worker_shares({one, one}), Shares({4, 4}));
    EXPECT_EQ(worker_shares({one, one, one}), Shares({2, 2, 2}));
    EXPECT_EQ(cpus_of_machine({one, one, one}, 0), 8);
}

TEST(WorkerShares, OfBoundRanksAreTheirOwnCpus) {
    const std::vector<Member> two = {member(0, {0x0f}), member(0, {0x30})};
    EXPECT_EQ(worker_shares(two), Shares({4, 2}));
    EXPECT_EQ(cpus_of_machine(two, 0), 6);
}

TEST(WorkerShares, OfRanksThatShareSomeCpusCountThoseByHalves) {
    EXPECT_EQ(worker_shares({member(0, {0x0f}), member(0, {0x3c})}), Shares({3, 3}));
}

TEST(WorkerShares, AreAtLeastOne) {
    const Member one = member(0, {0x1});
    EXPECT_EQ(worker_shares({one, one, one}), Shares({1, 1, 1}));
    EXPECT_EQ(cpus_of_machine({one, one, one}, 0), 1);
}

TEST(WorkerShares, OfAQuotaAreSharedByTheMachinesRanks) {
    const Member limited = member(0, {0xff, 0xff}, 4);
    EXPECT_EQ(worker_shares({limited, limited}), Shares({2, 2}));
    EXPECT_EQ(cpus_of_machine({limited, limited}, 0), 4);
}

TEST(WorkerShares, OfAnotherMachineDoNotCount) {
    const std::vector<Member> three = {member(0, {0xff}), member(1, {0x3}), member(0, {0xff})};
    EXPECT_EQ(worker_shares(three), Shares({4, 2, 4}));
    EXPECT_EQ(cpus_of_machine(three, 1), 2);
}

TEST(WorkerShares, OfAQuotaThatNoRankReachesAloneAreSharedToo) {
    const std::vector<Member> bound = {member(0, {0x00ff}, 8), member(0, {0xff00}, 8)};
    EXPECT_EQ(worker_shares(bound), Shares({4, 4}));
    EXPECT_EQ(cpus_of_machine(bound, 0), 8);
    EXPECT_EQ(worker_shares({member(0, {0x00ff}, 20), member(0, {0xff00}, 20)}), Shares({8, 8})) << "a quota of more than the CPUs";
}

TEST(WorkerShares, OfRanksThatEachHaveAQuotaAreTheirOwn) {
    std::vector<Member> three = {member(0, {0xff}, 2), member(0, {0xff}, 1), member(0, {0xff}, 2)};
    three[0].quota_of = three[2].quota_of = "/job/a";
    three[1].quota_of = "/job/b";
    EXPECT_EQ(worker_shares(three), Shares({1, 1, 1}));
    EXPECT_EQ(leaders(three, false), Shares({0, 1, 0}));
    EXPECT_EQ(cpus_of_machine(three, 0), 2);
    EXPECT_EQ(cpus_of_machine(three, 1), 1);
    three[0].quota = three[2].quota = 5;
    EXPECT_EQ(worker_shares(three), Shares({2, 1, 2}));
    three[1].quota_of.clear();
    three[1].quota = 0;
    three[0].quota = three[2].quota = 2;
    EXPECT_EQ(worker_shares(three), Shares({1, 2, 1})) << "one without a quota has its share of the CPUs";
}

TEST(WorkerShares, OfANumberThatWasToldAreEqual) {
    std::vector<Member> told = {member(0, {0x1}, 2), member(0, {0x6}, 2)};
    for (Member& each : told) each.told_cpus = 16;
    EXPECT_EQ(worker_shares(told), Shares({8, 8}));
    EXPECT_EQ(cpus_of_machine(told, 0), 16);
}

TEST(WorkerShares, OfRanksThatSeeNoMemoryOfEachOtherStillShareTheirMachine) {
    std::vector<Member> two = {member(0, {0xff}), member(0, {0xff})};
    two[1].leader = 1;
    EXPECT_EQ(worker_shares(two), Shares({4, 4}));
    EXPECT_EQ(leaders(two, false), Shares({0, 1}));
}

TEST(Leaders, AreTheFirstOfThoseThatAreAlike) {
    std::vector<Member> five = {member(0, {0x1}), member(1, {0x1}), member(0, {0x2}), member(1, {0x2}), member(0, {0x4})};
    EXPECT_EQ(leaders(five, false), Shares({0, 1, 0, 1, 0}));
    EXPECT_EQ(leaders(five, true), Shares({0, 1, 2, 3, 4}));
    five[2].confines = five[4].confines = "another cpuset";
    EXPECT_EQ(leaders(five, false), Shares({0, 1, 2, 1, 2}));
    EXPECT_EQ(worker_shares(five), Shares({1, 1, 1, 1, 1}));
}

TEST(Member, SurvivesItsJourney) {
    const Member sent = {7, 2, 3, 5, 9, "/job", {1, 2, 3}, "confines"};
    rankpool::os::ByteWriter out;
    sent.put(out);
    rankpool::os::ByteReader in(out.bytes());
    const Member got = Member::get(in);
    EXPECT_EQ(std::tuple(got.job_rank, got.machine, got.leader, got.told_cpus, got.quota, got.quota_of, got.affinity, got.confines),
              std::tuple(7, 2, 3, 5, 9, sent.quota_of, sent.affinity, sent.confines));
    EXPECT_TRUE(in.empty());
    rankpool::os::ByteReader cut(std::span(out.bytes()).first(out.bytes().size() - 1));
    EXPECT_THROW(Member::get(cut), rankpool::Error);
}

}  // namespace
