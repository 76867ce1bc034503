// A library inside somebody else's program: no run(), and a thread that a static initialiser started before main.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <numeric>
#include <thread>

#include <rankpool/rankpool.hpp>

namespace {

// Holds the heap's and a lock's attention all the time: a fork would copy them in any state.
struct BusyThread {
    std::atomic<bool> stop{false};
    std::mutex mutex;
    std::thread thread{[this] {
        while (!stop) {
            const std::lock_guard lock(mutex);
            const std::string text(1000, 'x');
            if (text.size() != 1000) std::abort();
            std::this_thread::sleep_for(std::chrono::microseconds(200));  // busy now and then, not all of a CPU
        }
    }};
    ~BusyThread() {
        stop = true;
        thread.join();
    }
};
BusyThread busy;

TEST(Foreign, AProgramWithAThreadBeforeMainCanUsePoolsAThousandTimes) {
    rankpool::Pool pool(2);
    std::vector<int> items(50);
    std::iota(items.begin(), items.end(), 0);
    for (int round = 0; round < 1000; ++round) {
        const auto results = pool.map([round](int x) { return x + round; }, items);
        for (std::size_t i = 0; i < items.size(); ++i) ASSERT_EQ(results[i], items[i] + round);
    }
}

TEST(Foreign, WorkersAreReplacedAndPoolsAreMadeAnew) {
    for (int round = 0; round < 10; ++round) {
        rankpool::Pool pool(2);
        EXPECT_THROW(pool.map([](int x) { if (x == 1) raise(SIGKILL); return x; }, {0, 1, 2}), rankpool::WorkerLost);
        EXPECT_EQ(pool.apply([](int x) { return x; }, 7), 7);
    }
}

TEST(Foreign, RanksAreRefusedWithoutALauncher) {
    EXPECT_THROW(rankpool::Pool(rankpool::PoolOptions{.backend = rankpool::Backend::ranks}), std::invalid_argument);
}

}  // namespace
