// A pool over a communicator: rank 0 maps, the others serve until it is closed.
#include <algorithm>
#include <csignal>
#include <numeric>
#include <set>

#include <unistd.h>

#include "comm/values.hpp"

namespace {

using namespace comm_test;
using rankpool::Communicator;
using rankpool::Pool;
using rankpool::PoolOptions;

class PoolOverSeveralThreads : public WithMessages {};  // the manager of a pool is a thread of rank 0

std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

TEST_F(PoolOverSeveralThreads, RankZeroMapsAndTheOthersServe) {
    {
        Pool pool(world(), PoolOptions{.processes = ranks() + 1});
        if (rank() == 0) {
            EXPECT_EQ(pool.size(), ranks() + 1);
            const auto squares = pool.map([](int x) { return x * x; }, numbers(1000));
            for (int i = 0; i < 1000; ++i) ASSERT_EQ(squares[index_of(i)], i * i);
            std::set<int> seen;
            for (const auto& worker : pool.workers()) seen.insert(worker.rank);
            std::vector<int> all(seen.begin(), seen.end());
            if (ranks() > 1) {
                EXPECT_EQ(all, numbers(ranks()));
            }
            EXPECT_EQ(pool.apply([](const std::string& text) { return text + "!"; }, std::string("hello")), "hello!");
            EXPECT_THROW(pool.map([](int x) { return x == 3 ? raise(SIGKILL) : x; }, {1, 2, 3}), rankpool::WorkerLost);
        } else {
            EXPECT_EQ(pool.size(), 0);
            EXPECT_THROW(pool.map([](int x) { return x; }, {1}), rankpool::PoolClosed);
        }
    }
    expect_works(world());
}

TEST_F(PoolOverSeveralThreads, TheOthersGoOnWhenItIsClosedAndItsWorkIsDone) {
    Pool pool(world());
    if (rank() == 0) {
        auto later = pool.map_async([](int x) { return x + 1; }, numbers(100));
        pool.close();
        EXPECT_EQ(later.get().back(), 100);
        pool.join();
        EXPECT_EQ(pool.stats().items, 100u);
        EXPECT_EQ(static_cast<int>(pool.workers().size()), pool.size());
    }
    expect_works(world());
    if (rank() == 0) {
        EXPECT_THROW(pool.map([](int x) { return x; }, {1}), rankpool::PoolClosed);
    }
}

TEST_F(PoolOverSeveralThreads, TheOthersGoOnWhenItIsTerminated) {
    Pool pool(world());
    if (rank() == 0) pool.terminate();
    expect_works(world());
}

TEST_F(PoolOverSeveralThreads, MayBeOverPartOfTheRanks) {
    auto part = world().split(rank() % 2);
    {
        Pool pool(*part, PoolOptions{.processes = 2});
        if (part->rank() == 0) {
            EXPECT_EQ(pool.map([](int x) { return -x; }, {1, 2, 3}), (std::vector{-1, -2, -3}));
        }
    }
    expect_works(*part);
    expect_works(world());
}

TEST_F(PoolOverSeveralThreads, WithAnInitializerThatFailsTellsRankZero) {
    const PoolOptions options{.processes = ranks(), .initializer = [] { throw std::runtime_error("no data"); }};
    bool told = false;
    try {
        Pool pool(world(), options);
        if (rank() == 0) (void)pool.map([](int x) { return x; }, {1, 2, 3});
    } catch (const rankpool::BrokenProcessPool& error) {
        told = std::string(error.what()).find("no data") != std::string::npos;
    }
    EXPECT_EQ(told, rank() == 0);
    expect_works(world());
}

TEST_F(PoolOverSeveralThreads, OptionsThatCannotBeAreRefusedOnEveryRank) {
    EXPECT_THROW(Pool(world(), PoolOptions{.processes = -1}), std::invalid_argument);
    EXPECT_THROW(Pool(world(), PoolOptions{.backend = rankpool::Backend::threads}), std::invalid_argument);
    expect_works(world());
}

}  // namespace
