// Thousands of maps while workers are killed at random moments: every result is right or reported lost, nothing is started
// twice, nobody hangs, nothing is left.
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "faults/deaths.hpp"
#include "pool/backends.hpp"
#include "process/watch.hpp"
#include "support/descendants.hpp"
#include "support/item_log.hpp"

namespace {

using namespace faults;
using namespace pool_test;
using namespace std::chrono_literals;
using item_log::ItemLog;
using item_log::Moment;
using rankpool::Pool;

class Storm : public OnBackend {};
ON_PROCESSES(Storm);

class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t below(std::uint64_t bound) {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return (state_ >> 33) % bound;
    }

  private:
    std::uint64_t state_;
};

// Kills a worker now and then, until it is destroyed.
class Killer {
  public:
    explicit Killer(Pool& pool) : thread_([this, &pool] {
        Random random(7);
        while (!stop_) {
            const auto workers = pool.workers();
            const std::size_t victims = random.below(8) == 0 ? workers.size() : 1;  // sometimes all at once
            for (std::size_t i = 0; i < victims; ++i) {
                const pid_t pid = workers[(random.below(workers.size()) + i) % workers.size()].pid;
                constexpr int signals[] = {SIGKILL, SIGSEGV, SIGABRT, SIGBUS};
                if (pid <= 0) continue;
                kill(pid, signals[random.below(4)]);
                killed_.insert(pid);
            }
            std::this_thread::sleep_for(std::chrono::microseconds(random.below(6000)));  // the rate of deaths, no synchronisation
        }
    }) {}
    ~Killer() { end(); }
    Killer(const Killer&) = delete;
    Killer& operator=(const Killer&) = delete;

    /// Returns whom it killed.
    const std::set<pid_t>& end() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
        return killed_;
    }

  private:
    std::atomic<bool> stop_{false};
    std::set<pid_t> killed_;
    std::thread thread_;
};

#if defined(__SANITIZE_ADDRESS__)
constexpr int most_maps = 200;  // forks are slow there
#else
constexpr int most_maps = 3000;
#endif
constexpr auto longest = 15s;  // how much of the storm a slow machine sees, nothing else

struct Item {
    std::uint64_t number;  // of all maps
    int death;             // -1: none
};

TEST_P(Storm, OfDeathsLosesExactlyWhatRanAndStartsNothingTwice) {
    const ItemLog log;
    std::map<std::uint64_t, bool> has_value;  // by number
    std::set<pid_t> killed;
    Pool(options()).apply([] {});  // what the first pool of a program makes stays
    const auto before = descendants::of_this_process();
    const int open_before = watch::open_descriptors();
    int maps = 0;
    {
        Pool pool(options());
        Killer killer(pool);
        Random random(3);
        const auto end = std::chrono::steady_clock::now() + longest;
        std::uint64_t next = 0;
        for (; maps < most_maps && std::chrono::steady_clock::now() < end; ++maps) {
            std::vector<Item> items;
            for (std::uint64_t count = 1 + random.below(30); count > 0; --count) items.push_back({next++, random.below(100) == 0 ? static_cast<int>(random.below(std::size(all_deaths))) : -1});
            auto outcomes = pool.map_outcomes([path = log.path()](const Item& item) {
                note(path, item.number, Moment::started);
                if (item.death >= 0) die(static_cast<Death>(item.death));
                note(path, item.number, Moment::ended);
                return item.number * 3;
            }, items, {.chunksize = static_cast<std::size_t>(random.below(4))});
            for (std::size_t i = 0; i < items.size(); ++i) {
                const Item& item = items[i];
                has_value[item.number] = outcomes[i].has_value();
                try {
                    ASSERT_EQ(outcomes[i].value(), item.number * 3);
                    ASSERT_LT(item.death, 0) << "a dead item has a value";
                } catch (const rankpool::WorkerLost& lost) {
                    ASSERT_EQ(lost.item(), i);
                }
            }
        }
        killed = killer.end();
        EXPECT_EQ(pool.size(), 3);
        EXPECT_EQ(pool.map([](int x) { return x + 1; }, {1, 2, 3}), (std::vector{2, 3, 4}));
    }
    RecordProperty("maps", maps);
    RecordProperty("killed", static_cast<int>(killed.size()));
    EXPECT_GT(killed.size(), 10u) << "there was no storm in " << maps << " maps";
    auto times = log.read();
    for (const auto& [number, has] : has_value) {
        // A worker may be killed before its item has come to tell of its start, or after it has told of its end.
        ASSERT_LE(times[number].started, 1) << "item " << number;
        ASSERT_LE(times[number].ended, 1) << "item " << number;
        if (has) {
            ASSERT_EQ(times[number].ended, 1) << "item " << number;
        }
    }
    for (const pid_t pid : killed) EXPECT_TRUE(descendants::ends(pid));
    EXPECT_TRUE(descendants::become(before));
    EXPECT_TRUE(descendants::comes_true([&] { return watch::open_descriptors() <= open_before; })) << watch::open_descriptors() << " descriptors, before " << open_before;
}

TEST_P(Storm, OverCallsOfEveryKindHangsNobody) {
    Pool pool(options());
    Killer killer(pool);
    const auto end = std::chrono::steady_clock::now() + longest / 3;
    const auto value_or_lost = [](auto&& get, auto&& check) {
        try {
            check(get());
        } catch (const rankpool::WorkerLost&) {
        }
    };
    std::vector<int> items(300);
    for (int i = 0; i < 300; ++i) items[static_cast<std::size_t>(i)] = i;
    for (int round = 0; round < most_maps / 10 && std::chrono::steady_clock::now() < end; ++round) {
        value_or_lost([&] { return pool.map([](int x) { return std::to_string(x); }, items); }, [](const auto& all) { ASSERT_EQ(all.back(), "299"); });
        value_or_lost([&] { return pool.map([](int x) { return x + 1; }, items, {.on_error = rankpool::OnError::fail_fast}); }, [](const auto& all) { ASSERT_EQ(all.back(), 300); });
        value_or_lost([&] { return pool.map_reduce([](int x) { return x; }, items, std::plus<>{}, 0); }, [](int sum) { ASSERT_EQ(sum, 44850); });
        auto later = pool.map_async([](int x) { return std::array<int, 200>{x}; }, items);
        auto one = pool.apply_async([](int x) { return x; }, round);
        int next = 0;
        auto results = pool.imap([](int x) { return x; }, items, {.chunksize = static_cast<std::size_t>(round % 3)});
        for (bool more = true; more; ++next)
            value_or_lost([&] { return results.next(); }, [&](const auto& value) {
                if ((more = value.has_value())) {
                    ASSERT_EQ(*value, next);
                }
            });
        ASSERT_EQ(next, 301);
        value_or_lost([&] { return later.get(); }, [](const auto& all) { ASSERT_EQ(all.back()[0], 299); });
        value_or_lost([&] { return one.get(); }, [&](int value) { ASSERT_EQ(value, round); });
    }
    EXPECT_GT(killer.end().size(), 0u);
}

TEST_P(Storm, OverPoolsThatEndLeavesNothing) {
    Pool(options()).apply([] {});
    const auto before = descendants::of_this_process();
    const auto end = std::chrono::steady_clock::now() + longest / 3;
    std::size_t killed = 0;
    for (int round = 0; round < most_maps / 10 && std::chrono::steady_clock::now() < end; ++round) {
        Pool pool(options());
        Killer killer(pool);
        auto later = pool.map_async([](int x) { return x; }, std::vector<int>(50, round), {.chunksize = 1});
        if (round % 3 == 0) pool.terminate();
        if (round % 3 == 1) pool.close();
        killed += killer.end().size();
        if (round % 3 != 2) pool.join();
    }
    EXPECT_GT(killed, 0u);
    EXPECT_TRUE(descendants::become(before));
}

}  // namespace
