// One value a rank: bcast, scatter, gather, allgather, alltoall and barrier, for every kind of value and every root.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <thread>

#include "comm/values.hpp"

namespace {

using namespace comm_test;

template <class T>
class Collectives : public testing::Test {};
TYPED_TEST_SUITE(Collectives, Kinds, KindName);

TYPED_TEST(Collectives, BcastGivesRootsValueToAll) {
    using T = TypeParam;
    for (int root = 0; root < ranks(); ++root)
        EXPECT_EQ(world().bcast(sample<T>(rank(), root), root), sample<T>(root, root)) << "root " << root;
    EXPECT_EQ(world().bcast(sample<T>(rank(), 3)), sample<T>(0, 3)) << "root 0 by default";
}

TYPED_TEST(Collectives, ScatterGivesEachRankItsOwn) {
    using T = TypeParam;
    for (int root = 0; root < ranks(); ++root) {
        const std::vector<T> parts = rank() == root ? samples_to_all<T>(root) : std::vector<T>();
        EXPECT_EQ(world().scatter(parts, root), sample<T>(root, rank())) << "root " << root;
    }
    // What the others pass does not count, its length neither.
    const std::vector<T> parts = rank() == 0 ? samples_to_all<T>(0) : samples_of<T>(rank(), ranks() + rank());
    EXPECT_EQ(world().scatter(parts), sample<T>(0, rank()));
}

TYPED_TEST(Collectives, GatherJoinsAtRootOnly) {
    using T = TypeParam;
    for (int root = 0; root < ranks(); ++root) {
        const std::vector<T> expected = rank() == root ? samples_from_all<T>(root) : std::vector<T>();
        EXPECT_EQ(world().gather(sample<T>(rank(), root), root), expected) << "root " << root;
    }
}

TYPED_TEST(Collectives, AllgatherJoinsEverywhere) {
    using T = TypeParam;
    for (int round = 0; round < 3; ++round) EXPECT_EQ(world().allgather(sample<T>(rank(), round)), samples_from_all<T>(round));
}

TYPED_TEST(Collectives, AlltoallGivesEachPairItsOwn) {
    using T = TypeParam;
    EXPECT_EQ(world().alltoall(samples_to_all<T>(rank())), samples_from_all<T>(rank()));
    // Again with other values: what went before has left no trace.
    std::vector<T> parts, expected;
    for (int other = 0; other < ranks(); ++other) {
        parts.push_back(sample<T>(rank() + 1, other + 5));
        expected.push_back(sample<T>(other + 1, rank() + 5));
    }
    EXPECT_EQ(world().alltoall(parts), expected);
}

TEST(Collective, ValuesThatCanOnlyBeMoved) {
    using Number = std::unique_ptr<int>;
    const int root = ranks() - 1;
    const Number sent = world().bcast(std::make_unique<int>(rank() + 5), root);
    EXPECT_EQ(*sent, root + 5);

    std::vector<Number> parts;
    for (int r = 0; r < ranks(); ++r) parts.push_back(r % 3 == 2 ? nullptr : std::make_unique<int>(sample<int>(rank(), r)));
    const Number part = world().scatter(parts, root);
    EXPECT_EQ(part == nullptr, rank() % 3 == 2);
    EXPECT_EQ(part ? *part : 0, rank() % 3 == 2 ? 0 : sample<int>(root, rank()));

    const std::vector<Number> exchanged = world().alltoall(parts);
    EXPECT_EQ(exchanged.size(), index_of(ranks()));
    int sender = 0;
    for (const Number& number : exchanged) {
        EXPECT_EQ(number ? *number : 0, rank() % 3 == 2 ? 0 : sample<int>(sender, rank()));
        ++sender;
    }
    const std::vector<Number> gathered = world().gather(std::make_unique<int>(rank()), root);
    EXPECT_EQ(gathered.size(), index_of(rank() == root ? ranks() : 0));
    int expected = 0;
    for (const Number& number : gathered) EXPECT_EQ(*number, expected++);
}

TEST(Collective, ContainersOfContainers) {
    const int root = ranks() / 2;
    using Maps = std::vector<std::map<int, double>>;
    const auto maps = [](int seed) { return Maps{{}, {{seed, 0.5}, {seed + 1, 0.1 * seed}}, {{-seed, 1e300}}}; };
    EXPECT_EQ(world().bcast(maps(rank() + 1), root), maps(root + 1));

    using Jagged = std::vector<std::vector<std::vector<int>>>;
    const auto jagged = [](int owner) {
        Jagged all(index_of(owner % 4));
        for (std::size_t i = 0; i < all.size(); ++i) all[i].assign(i, std::vector<int>(i + 1, owner));
        return all;
    };
    EXPECT_EQ(world().bcast(jagged(rank() + 3), root), jagged(root + 3));
    std::vector<Jagged> expected;
    for (int r = 0; r < ranks(); ++r) expected.push_back(jagged(r));
    EXPECT_EQ(world().allgather(jagged(rank())), expected);
    EXPECT_EQ(world().gather(jagged(rank()), root), rank() == root ? expected : std::vector<Jagged>());

    // A vector is one value like any other: its length differs from rank to rank.
    std::vector<std::vector<int>> rows;
    for (int r = 0; r < ranks(); ++r) rows.emplace_back(index_of(r), r);
    EXPECT_EQ(world().allgather(std::vector<int>(index_of(rank()), rank())), rows);
}

TEST(Collective, ACopyOfTheHandleIsTheSameCommunicator) {
    rankpool::Communicator copy = world();
    EXPECT_EQ(copy.rank(), rank());
    EXPECT_EQ(copy.size(), ranks());
    // Half of the ranks call it by the one handle, half by the other.
    rankpool::Communicator& mine = rank() % 2 == 0 ? copy : world();
    const std::vector<int> all = mine.allgather(rank());
    EXPECT_EQ(all, world().allgather(rank()));
    auto sending = world().isend(rank(), right(), 3);
    EXPECT_EQ(copy.recv<int>(left(), 3), left());
    sending.wait();
}

TEST(Collective, BarrierManyTimesInARow) {
    for (int i = 0; i < 200; ++i) world().barrier();
    expect_works(world());
}

struct Passage {
    std::chrono::steady_clock::rep entered, left;
};

TEST(Collective, NobodyLeavesABarrierBeforeAllHaveEntered) {
    constexpr int rounds = 20;
    const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };
    std::vector<Passage> own;
    for (int round = 0; round < rounds; ++round) {
        if (round % ranks() == rank())
            for (int i = 0; i < 100; ++i) std::this_thread::yield();  // the last to come is another one each time
        Passage passage{};
        passage.entered = now();
        world().barrier();
        passage.left = now();
        own.push_back(passage);
    }
    const std::vector<Passage> all = world().allgatherv(own);
    const bool one_clock = world().node().size() == ranks();
    EXPECT_EQ(all.size(), index_of(rounds * ranks()));
    if (!one_clock || all.size() != index_of(rounds * ranks())) return;  // the clocks of two machines cannot be compared
    for (std::size_t round = 0; round < rounds; ++round) {
        auto last_entered = all[round].entered, first_left = all[round].left;
        for (std::size_t i = round; i < all.size(); i += rounds) {
            last_entered = std::max(last_entered, all[i].entered);
            first_left = std::min(first_left, all[i].left);
        }
        EXPECT_LE(last_entered, first_left) << "round " << round;
    }
}

}  // namespace
