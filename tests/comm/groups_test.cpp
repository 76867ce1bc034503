// Parts of a communicator: split, dup and node, on their own, next to each other and from several threads.
#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <thread>

#include "comm/values.hpp"

namespace {

using namespace comm_test;
using rankpool::any_source;
using rankpool::any_tag;
using rankpool::Communicator;

class Groups : public WithMessages {};

/// Collective on `part`, which has these ranks of world, in this order.
void expect_members(Communicator& part, const std::vector<int>& members) {
    EXPECT_EQ(part.size(), static_cast<int>(members.size()));
    EXPECT_EQ(members.at(index_of(part.rank())), rank());
    EXPECT_EQ(part.allgather(rank()), members);
    const int last = part.size() - 1;
    EXPECT_EQ(part.bcast(std::to_string(rank()), last), std::to_string(members.back()));
    std::string in_order;
    for (const int member : members) in_order += std::to_string(member) + " ";
    EXPECT_EQ(part.allreduce(std::to_string(rank()) + " ", std::plus<>{}), in_order);
    const std::vector<int> numbers(members.size() + 2, rank());
    const std::vector<int> mine = part.scatterv(numbers, last);
    const std::vector<int> back = part.gatherv(mine, last);
    EXPECT_EQ(back, part.rank() == last ? numbers : std::vector<int>());
    const int to = (part.rank() + 1) % part.size(), from = (part.rank() + last) % part.size();
    EXPECT_EQ(part.sendrecv(rank(), to, from, 3), members[index_of(from)]);
}

/// The ranks of world with this remainder.
std::vector<int> every(int step, int remainder) {
    std::vector<int> all;
    for (int r = remainder; r < ranks(); r += step) all.push_back(r);
    return all;
}

TEST_F(Groups, SplitByColour) {
    auto part = world().split(rank() % 2);
    EXPECT_TRUE(part.has_value());
    if (part) expect_members(*part, every(2, rank() % 2));
    auto third = world().split(1'000'000 + rank() % 3);
    EXPECT_TRUE(third.has_value());
    if (third) expect_members(*third, every(3, rank() % 3));
    auto all = world().split(0);
    EXPECT_TRUE(all.has_value());
    if (all) expect_members(*all, every(1, 0));
    expect_works(world());
}

TEST_F(Groups, SplitOrdersByKeyThenByRank) {
    auto reversed = world().split(0, -rank());
    std::vector<int> expected = every(1, 0);
    std::reverse(expected.begin(), expected.end());
    EXPECT_TRUE(reversed.has_value());
    if (reversed) expect_members(*reversed, expected);

    // Even keys first; equal keys in rank order.
    auto sorted = world().split(7, rank() % 2 == 0 ? -5 : 1'000'000'000);
    expected = every(2, 0);
    for (const int odd : every(2, 1)) expected.push_back(odd);
    EXPECT_TRUE(sorted.has_value());
    if (sorted) expect_members(*sorted, expected);
}

TEST_F(Groups, WithoutColourIsNoMember) {
    auto part = world().split(rank() % 3 == 0 ? std::optional<int>() : std::optional<int>(4));
    EXPECT_EQ(part.has_value(), rank() % 3 != 0);
    if (part) {
        std::vector<int> members = every(3, 1);
        for (const int r : every(3, 2)) members.push_back(r);
        std::sort(members.begin(), members.end());
        expect_members(*part, members);
    }
    EXPECT_FALSE(world().split(std::nullopt).has_value());
    auto first = world().split(rank() == 0 ? std::optional<int>(0) : std::nullopt);
    EXPECT_EQ(first.has_value(), rank() == 0);
    if (first) expect_members(*first, {0});
    expect_works(world());
}

TEST_F(Groups, Singletons) {
    auto alone = world().split(rank());
    EXPECT_TRUE(alone.has_value());
    if (alone) {
        expect_members(*alone, {rank()});
        EXPECT_EQ(alone->scatter(std::vector{rank() + 1}), rank() + 1);
        EXPECT_EQ(alone->alltoall(std::vector<std::string>{"own"}), std::vector<std::string>{"own"});
        EXPECT_FALSE(alone->exscan(1, std::plus<>{}).has_value());
        alone->barrier();
        expect_works(*alone);
    }
    expect_works(world());
}

TEST_F(Groups, PartsOfParts) {
    auto halves = world().split(rank() < ranks() / 2 ? 0 : 1);
    EXPECT_TRUE(halves.has_value());
    if (!halves) return;
    const int first = rank() < ranks() / 2 ? 0 : ranks() / 2, end = rank() < ranks() / 2 ? ranks() / 2 : ranks();
    auto pairs = halves->split(halves->rank() / 2, -halves->rank());
    EXPECT_TRUE(pairs.has_value());
    if (pairs) {
        const int low = first + halves->rank() / 2 * 2;
        std::vector<int> members{low};
        if (low + 1 < end) members.insert(members.begin(), low + 1);
        expect_members(*pairs, members);
        halves.reset();  // a part does not need the whole
        expect_members(*pairs, members);
        auto copy = pairs->dup();
        pairs.reset();
        expect_members(copy, members);
    }
    expect_works(world());
}

TEST_F(Groups, PartsAndWorldInTurns) {
    auto parity = world().split(rank() % 2);
    auto reversed = world().split(0, -rank());
    EXPECT_TRUE(parity.has_value() && reversed.has_value());
    if (!parity || !reversed) return;
    const int members = static_cast<int>(every(2, rank() % 2).size());
    for (int round = 0; round < 10; ++round) {
        EXPECT_EQ(parity->allreduce(1, std::plus<>{}), members);
        EXPECT_EQ(world().allreduce(round, std::plus<>{}), round * ranks());
        EXPECT_EQ(reversed->bcast(rank() + round, 0), ranks() - 1 + round);
        if (rank() % 2 == 0) parity->barrier();  // a collective of one part only
        EXPECT_EQ(reversed->exscan(1, std::plus<>{}).value_or(0), ranks() - 1 - rank());
        EXPECT_EQ(world().bcast(std::to_string(rank() + round), round % ranks()), std::to_string(round % ranks() + round));
        EXPECT_EQ(parity->allgather(rank()), every(2, rank() % 2));
    }
}

TEST_F(Groups, AllmapAndErrorsOnAPart) {
    auto parity = world().split(rank() % 2);
    EXPECT_TRUE(parity.has_value());
    if (!parity) return;
    // Only the odd part meets the error.
    const bool odd = rank() % 2 == 1;
    bool thrown = false;
    try {
        const std::vector<int> items(index_of(parity->size()), 1);
        parity->allmap([odd](int x) { return odd ? throw std::domain_error("odd") : x; }, items);
    } catch (const std::domain_error& error) {
        thrown = true;
        const rankpool::RemoteInfo* info = rankpool::remote_info(error);
        EXPECT_NE(info, nullptr);
        if (info != nullptr) {
            EXPECT_EQ(info->item, 0u);
        }
    }
    EXPECT_EQ(thrown, odd);
    expect_works(*parity);
    const int size = parity->size();
    expect_refused([&] { return parity->bcast(1, size); }, {std::to_string(size), std::to_string(size - 1)});
    expect_works(*parity);
    expect_works(world());
}

TEST_F(Groups, DupKeepsItsMessagesApart) {
    Communicator twin = world().dup();
    expect_members(twin, every(1, 0));
    auto on_twin = twin.isend("twin " + std::to_string(rank()), right(), 2);
    EXPECT_EQ(twin.probe(left(), 2).source, left());  // it is there
    EXPECT_FALSE(world().iprobe(any_source, any_tag).has_value());
    world().barrier();
    auto on_world = world().isend("world " + std::to_string(rank()), right(), 2);
    EXPECT_EQ(world().recv<std::string>(any_source, any_tag), "world " + std::to_string(left()));
    EXPECT_FALSE(world().iprobe(any_source, any_tag).has_value());
    EXPECT_EQ(twin.recv<std::string>(any_source, any_tag), "twin " + std::to_string(left()));
    EXPECT_FALSE(twin.iprobe().has_value());
    on_twin.wait();
    on_world.wait();
    world().barrier();

    // A receive from anybody that waits on one of them takes nothing from the other.
    auto waiting = twin.irecv<int>();
    auto first = world().isend(1, right());
    EXPECT_EQ(world().recv<int>(), 1);
    EXPECT_FALSE(waiting.test().has_value());
    world().barrier();
    auto second = twin.isend(2, right());
    EXPECT_EQ(waiting.wait(), 2);
    first.wait();
    second.wait();
}

TEST_F(Groups, NodeHasTheRanksOfThisMachine) {
    Communicator node = world().node();
    EXPECT_GE(node.size(), 1);
    EXPECT_LE(node.size(), ranks());
    const std::vector<int> members = node.allgather(rank());
    EXPECT_TRUE(std::is_sorted(members.begin(), members.end()));
    expect_members(node, members);
    // Every rank is in one node: counted at the first rank of each, they are all.
    EXPECT_EQ(world().allreduce(node.rank() == 0 ? node.size() : 0, std::plus<>{}), ranks());
}

TEST_F(Groups, OftenMadeAndDropped) {
    for (int i = 0; i < 200; ++i) {
        auto part = world().split((rank() + i) % 2);
        EXPECT_TRUE(part.has_value());
        if (part && i % 20 == 0) {
            EXPECT_EQ(part->allgather(rank()), every(2, rank() % 2));
        }
    }
    std::vector<Communicator> many;
    for (int i = 0; i < 20; ++i) many.push_back(world().dup());
    for (int i = 19; i >= 0; i -= 6) EXPECT_EQ(many[index_of(i)].allreduce(i, std::plus<>{}), i * ranks());
    expect_works(world());
}

/// Twenty rounds of collectives and messages; the first thing that went wrong, in words. `salt` tells the threads' values
/// apart.
std::string rounds_on(Communicator& own, int salt) {
    const int n = own.size(), me = own.rank();
    const int to = (me + 1) % n, from = (me + n - 1) % n;
    std::string wrong;
    for (int round = 0; round < 20; ++round) {
        const auto check = [&](bool right, const char* what) {
            if (!right && wrong.empty()) wrong = std::string(what) + " in round " + std::to_string(round);
        };
        const int root = (round + salt) % n;
        check(own.allreduce(me + salt, std::plus<>{}) == n * (n - 1) / 2 + n * salt, "allreduce");
        check(own.bcast(std::to_string(1000 * salt + me + round), root) == std::to_string(1000 * salt + root + round), "bcast");
        std::vector<int> all;
        for (int r = 0; r < n && me == root; ++r) all.push_back(r * salt + round);
        check(own.gather(me * salt + round, root) == all, "gather");
        check(own.sendrecv(std::to_string(me * salt), to, from, round) == std::to_string(from * salt), "sendrecv");
        auto receiving = own.irecv<std::vector<int>>(any_source, any_tag);
        auto sending = own.isend(std::vector<int>(index_of(100 * salt), me), to, salt);
        check(receiving.wait() == std::vector<int>(index_of(100 * salt), from), "irecv");
        sending.wait();
        own.barrier();  // the next round's messages must not meet the receive from anybody
    }
    return wrong;
}

TEST_F(Groups, SeveralThreadsEachWithItsOwn) {
    constexpr int count = 3;
    std::vector<Communicator> own;
    for (int i = 0; i < count; ++i) own.push_back(world().dup());
    std::vector<std::string> results(count, "not run");
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) {
        threads.emplace_back([&own, &results, i] {
            const std::size_t at = index_of(i);
            try {
                results[at] = rounds_on(own[at], i + 1);
            } catch (const std::exception& error) {
                results[at] = error.what();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(results, std::vector<std::string>(count));
    expect_works(world());
}

TEST_F(Groups, AReceiveOutlivesItsCommunicator) {
    std::optional<rankpool::RecvRequest<int>> receiving;
    {
        auto own = world().dup();
        receiving = own.irecv<int>(left(), 1);
        own.send(rank() + 5, right(), 1);
    }
    EXPECT_EQ(receiving->wait(), left() + 5);
    world().barrier();
}

}  // namespace
