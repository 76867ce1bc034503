// Workers that die, hang, or are told to end: what it costs and what it does not.
#include <sys/resource.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <set>
#include <thread>

#include "pool/backends.hpp"
#include "support/item_log.hpp"

namespace {

using namespace pool_test;
using namespace std::chrono_literals;
using rankpool::Pool;

class Loss : public OnBackend {};
ON_PROCESSES(Loss);

std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

int overflow_stack(int depth) {
    volatile char block[4096];
    block[0] = static_cast<char>(depth);
    return depth == INT_MAX ? 0 : overflow_stack(depth + 1) + block[0];
}

// Ways to die; 0 lives.
int die(int how) {
    // No core files, and no reports of a sanitizer, of deaths that are meant.
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (const int signal : {SIGSEGV, SIGABRT}) std::signal(signal, SIG_DFL);
    switch (how) {
        case 1: raise(SIGKILL); break;
        case 2: raise(SIGSEGV); break;
        case 3: std::abort();
        case 4: _exit(0);
        case 5: std::exit(3);
        case 6: return overflow_stack(0);
        default: break;
    }
    return how;
}

TEST_P(Loss, OfAWorkerCostsItsItemAndNothingElse) {
    Pool pool(options());
    const int expected_signal[] = {0, SIGKILL, SIGSEGV, SIGABRT, 0, 0, SIGSEGV};
    const int expected_code[] = {0, 0, 0, 0, 0, 3, 0};
    for (int how = 1; how <= 6; ++how) {
        auto outcomes = pool.map_outcomes([how](int x) { return x == 37 ? die(how) : x; }, numbers(200));
        for (int i = 0; i < 200; ++i) {
            auto& outcome = outcomes[static_cast<std::size_t>(i)];
            ASSERT_EQ(outcome.has_value(), i != 37) << "way " << how << ", item " << i;
            if (outcome.has_value()) {
                EXPECT_EQ(outcome.value(), i);
                continue;
            }
            try {
                outcome.value();
            } catch (const rankpool::WorkerLost& lost) {
                EXPECT_EQ(lost.signal(), expected_signal[how]) << how;
                EXPECT_EQ(lost.exit_code(), expected_code[how]) << how;
                EXPECT_EQ(lost.item(), 37u);
                EXPECT_GT(lost.worker().pid, 0);
                EXPECT_FALSE(lost.worker().host.empty());
            }
        }
    }
    EXPECT_EQ(pool.size(), 3);
    EXPECT_EQ(pool.map([](int x) { return x; }, numbers(100)), numbers(100));
}

TEST_P(Loss, OfManyWorkersAtOnce) {
    Pool pool(options());
    auto outcomes = pool.map_outcomes([](int x) { return x % 5 == 2 ? die(1) : x; }, numbers(60));
    for (int i = 0; i < 60; ++i) EXPECT_EQ(outcomes[static_cast<std::size_t>(i)].has_value(), i % 5 != 2) << i;
}

TEST_P(Loss, InABlockOfTrivialItemsFindsTheCulprit) {
    Pool pool(options());
    auto outcomes = pool.map_outcomes([](int x) {
        if (x == 77'777) raise(SIGKILL);
        return x;
    }, numbers(200'000));
    for (int i = 0; i < 200'000; ++i) ASSERT_EQ(outcomes[static_cast<std::size_t>(i)].has_value(), i != 77'777) << i;
}

TEST_P(Loss, OfIdleWorkersIsMendedSilently) {
    Pool pool(options());
    for (int round = 0; round < 5; ++round) {
        for (const auto& worker : pool.workers()) {
            ASSERT_GT(worker.pid, 0);
            kill(worker.pid, SIGKILL);
        }
        EXPECT_EQ(pool.map([](int x) { return x; }, numbers(300)), numbers(300));
    }
}

TEST_P(Loss, RetryRunsTheItemAgain) {
    char path[] = "/tmp/rankpool-retry-XXXXXX";
    const int fd = mkstemp(path);
    ASSERT_GE(fd, 0);
    struct Remove {
        const char* path;
        ~Remove() { unlink(path); }
    } remove{path};
    auto chosen = options();
    chosen.on_loss = rankpool::OnLoss::retry;
    chosen.max_retries = 2;
    Pool pool(chosen);
    // Dies until two marks are in the file.
    const std::string name(path);
    const auto results = pool.starmap([](const std::string& file, int x) {
        if (x != 5) return x;
        FILE* marks = std::fopen(file.c_str(), "a");
        const bool enough = std::ftell(marks) >= 2 || (std::fseek(marks, 0, SEEK_END), std::ftell(marks) >= 2);
        if (!enough) {
            std::fputc('x', marks);
            std::fclose(marks);
            raise(SIGKILL);
        }
        std::fclose(marks);
        return x;
    }, std::vector<std::pair<std::string, int>>{{name, 4}, {name, 5}, {name, 6}});
    EXPECT_EQ(results, (std::vector{4, 5, 6}));
    EXPECT_EQ(lseek(fd, 0, SEEK_END), 2);
    close(fd);
    EXPECT_THROW(pool.map([](int x) { return x == 1 ? die(1) : x; }, numbers(4)), rankpool::WorkerLost);
}

TEST_P(Loss, BreakPoolFailsEverythingUnfinishedAndEverythingAfter) {
    auto chosen = options();
    chosen.on_loss = rankpool::OnLoss::break_pool;
    Pool pool(chosen);
    try {
        pool.map([](int x) { return x == 3 ? die(1) : x; }, numbers(10));
        FAIL();
    } catch (const rankpool::BrokenProcessPool& error) {
        EXPECT_NE(std::string(error.what()).find("item 3"), std::string::npos) << error.what();
    }
    const auto same = [](int x) { return x; };
    EXPECT_THROW(pool.map(same, numbers(10)), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.map_outcomes(same, numbers(10)), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.map_async(same, numbers(10)).get(), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.imap(same, numbers(10)).next(), rankpool::BrokenProcessPool);
    const std::vector<int> none;
    std::vector<int> out;
    EXPECT_THROW(pool.map(same, none), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.map_into(same, none, out), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.map_outcomes(same, none), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.map_reduce(same, none, [](int a, int b) { return a + b; }, 0), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.map_async(same, none), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.imap(same, none), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.imap_unordered(same, none), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.starmap(same, std::vector<std::tuple<int>>()), rankpool::BrokenProcessPool);
}

// Nothing but these calls looks at the pool while it breaks.
TEST_P(Loss, APoolThatBreaksWhenNobodyUsesItTellsCallsWithoutItemsToo) {
    const auto same = [](int x) { return x; };
    const std::vector<int> none;
    std::vector<int> out;
    const std::vector<std::function<void(Pool&)>> calls{
        [&](Pool& pool) { pool.map(same, none); },
        [&](Pool& pool) { pool.map_into(same, none, out); },
        [&](Pool& pool) { pool.map_outcomes(same, none); },
        [&](Pool& pool) { pool.map_reduce(same, none, [](int a, int b) { return a + b; }, 0); },
        [&](Pool& pool) { pool.map_async(same, none).get(); },
    };
    for (std::size_t i = 0; i < calls.size(); ++i) {
        auto chosen = options();
        chosen.initializer = [] { die(1); };
        try {
            Pool pool(chosen);
            for (;;) {
                calls[i](pool);
                sched_yield();
            }
        } catch (const rankpool::BrokenProcessPool& error) {
            EXPECT_NE(std::string(error.what()).find("initializer"), std::string::npos) << error.what();
        }
    }
}

TEST_P(Loss, OutcomesOfAPoolThatBreaksSayWhatBrokeIt) {
    auto chosen = options();
    chosen.on_loss = rankpool::OnLoss::break_pool;
    Pool pool(chosen);
    auto outcomes = pool.map_outcomes([](int x) { return x == 3 ? die(1) : x; }, numbers(1000), {.chunksize = 1});
    EXPECT_FALSE(outcomes[3].has_value());
    for (int i = 0; i < 1000; ++i) {
        auto& outcome = outcomes[static_cast<std::size_t>(i)];
        if (outcome.has_value())
            EXPECT_EQ(outcome.value(), i);
        else
            EXPECT_THROW(outcome.value(), rankpool::BrokenProcessPool);
    }
}

// Results that share a frame with that of the lost item, which is never finished.
TEST_P(Loss, KeepsWhatWasDoneBefore) {
    for (const std::size_t length : {3u, 300u, 30'000u, 300'000u}) {
        const item_log::ItemLog log;
        Pool pool(options(1));
        const auto work = [length, path = log.path()](int x) {
            item_log::note(path, static_cast<std::uint64_t>(x), item_log::Moment::started);
            return std::string(length + static_cast<std::size_t>(x), static_cast<char>(x == 25 ? die(1) : 'a' + x % 20));
        };
        auto outcomes = pool.map_outcomes(work, numbers(40), {.chunksize = 40});
        for (int i = 0; i < 40; ++i) {
            auto& outcome = outcomes[static_cast<std::size_t>(i)];
            ASSERT_EQ(outcome.has_value(), i != 25) << i;
            if (i == 25) continue;
            EXPECT_EQ(outcome.value(), std::string(length + static_cast<std::size_t>(i), static_cast<char>('a' + i % 20)));
        }
        for (const auto& [item, times] : log.read()) EXPECT_EQ(times.started, 1) << item;
    }
}

TEST_P(Loss, TaskTimeoutKillsTheWorkerAndSparesTheOthers) {
    auto chosen = options();
    chosen.task_timeout = 200ms;
    Pool pool(chosen);
    auto outcomes = pool.map_outcomes([](int x) {
        if (x == 5)
            for (;;) pause();
        return x;
    }, numbers(20));
    for (int i = 0; i < 20; ++i) {
        auto& outcome = outcomes[static_cast<std::size_t>(i)];
        ASSERT_EQ(outcome.has_value(), i != 5) << i;
        if (i == 5) {
            EXPECT_THROW(outcome.value(), rankpool::TaskTimeout);
        }
    }
    auto stopped = pool.map_outcomes([](int x) {
        if (x == 1) raise(SIGSTOP);
        return x;
    }, numbers(4));
    EXPECT_THROW(stopped[1].value(), rankpool::TaskTimeout);
    EXPECT_EQ(pool.map([](int x) { return x; }, numbers(50)), numbers(50));
}

TEST_P(Loss, RetryDoesNotRunAnItemAgainThatTookTooLong) {
    const item_log::ItemLog log;
    auto chosen = options();
    chosen.on_loss = rankpool::OnLoss::retry;
    chosen.task_timeout = 200ms;
    Pool pool(chosen);
    auto outcomes = pool.map_outcomes([path = log.path()](int x) {
        if (x != 1) return x;
        item_log::note(path, 1, item_log::Moment::started);
        for (;;) pause();
    }, numbers(3), {.chunksize = 3});
    EXPECT_EQ(outcomes[0].value(), 0);
    EXPECT_THROW(outcomes[1].value(), rankpool::TaskTimeout);
    EXPECT_EQ(outcomes[2].value(), 2);
    EXPECT_EQ(log.records().size(), 1u);
}

TEST_P(Loss, MaxTasksPerChildReplacesWorkers) {
    auto chosen = options(2);
    chosen.max_tasks_per_child = 3;
    Pool pool(chosen);
    const auto pids = pool.map([](int) { return getpid(); }, numbers(30), {.chunksize = 1});
    std::map<pid_t, int> counts;
    for (const pid_t pid : pids) ++counts[pid];
    EXPECT_GE(counts.size(), 10u);
    for (const auto& [pid, count] : counts) EXPECT_LE(count, 3);
    auto last = pool.map_async([](int x) { return x; }, numbers(30));
    pool.close();
    pool.join();
    EXPECT_EQ(last.get(), numbers(30));
}

struct Counts {
    std::uint64_t items = 0, losses = 0, restarts = 0;
    bool operator==(const Counts&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Counts& counts) {
    return out << counts.items << " items, " << counts.losses << " losses, " << counts.restarts << " restarts";
}
Counts counts_of(Pool& pool) {
    Counts all;
    for (const auto& worker : pool.stats().workers) {
        all.items += worker.items;
        all.losses += worker.losses;
        all.restarts += worker.restarts;
    }
    return all;
}

TEST_P(Loss, IsCountedOnce) {
    Pool pool(options(2));
    (void)pool.map_outcomes([](int x) {
        (void)access("/", F_OK);  // items that are no trivial ones: nobody starts them twice
        return x % 10 == 3 ? die(1) : x;
    }, numbers(40), {.chunksize = 5});
    EXPECT_EQ(counts_of(pool), (Counts{36, 4, 4}));
    EXPECT_EQ(pool.stats().errors, 4u);
    // Of workers that run nothing.
    const auto before = pool.workers();
    for (const auto& worker : before) kill(worker.pid, SIGKILL);
    for (std::size_t i = 0; i < before.size(); ++i)
        while (pool.workers()[i].pid == before[i].pid) sched_yield();
    EXPECT_EQ(counts_of(pool), (Counts{36, 6, 6}));
}

TEST_P(Loss, IsNotWhatThePoolDidItself) {
    auto chosen = options(1);
    chosen.task_timeout = 200ms;
    chosen.max_tasks_per_child = 3;
    Pool pool(chosen);
    EXPECT_EQ(pool.map([](int x) { return x; }, numbers(7)), numbers(7));
    EXPECT_EQ(counts_of(pool), (Counts{7, 0, 2}));
    EXPECT_THROW(pool.apply([] { for (;;) pause(); }), rankpool::TaskTimeout);
    EXPECT_EQ(counts_of(pool), (Counts{7, 0, 3}));
}

TEST_P(Loss, LeavesTheTimeThatTheWorkerWasBusy) {
    Pool pool(options(1));
    EXPECT_THROW(pool.apply([] { return die(1); }), rankpool::WorkerLost);
    EXPECT_GT(pool.stats().workers[0].busy, 0ns);
}

TEST_P(Loss, AnInitializerThatDiesIsNotTriedForEver) {
    auto chosen = options(2);
    chosen.initializer = [] { raise(SIGKILL); };
    EXPECT_THROW({
        Pool pool(chosen);
        pool.map([](int x) { return x; }, numbers(10));
    }, rankpool::BrokenProcessPool);
}

TEST_P(Loss, TerminateReturnsWhateverTheTasksDo) {
    Pool pool(options());
    auto endless = pool.map_async([](int x) {
        for (;;) pause();
        return x;
    }, numbers(10));
    auto begun = pool.imap([](int x) {
        for (;;) pause();
        return x;
    }, numbers(10));
    pool.terminate();
    EXPECT_THROW(endless.get(), rankpool::CancelledError);
    EXPECT_THROW(begun.next(), rankpool::CancelledError);
    pool.join();
}

TEST_P(Loss, HandlesOutliveThePool) {
    std::optional<rankpool::AsyncResult<std::vector<int>>> done, lost;
    std::optional<rankpool::ResultRange<int>> range;
    {
        Pool pool(options());
        done = pool.map_async([](int x) { return x; }, numbers(10));
        done->wait();
        lost = pool.map_async([](int x) {
            for (;;) pause();
            return x;
        }, numbers(2));
        range.emplace(pool.imap([](int x) {
            for (;;) pause();
            return x;
        }, numbers(2000)));
    }
    EXPECT_EQ(done->get(), numbers(10));
    EXPECT_THROW(lost->get(), rankpool::CancelledError);
    EXPECT_THROW(range->next(), rankpool::CancelledError);
}

TEST_P(Loss, AStormOfDeathsLosesExactlyTheItemsThatRan) {
    Pool pool(options());
    std::uint64_t seed = 12345;
    for (int round = 0; round < 60; ++round) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const int victim = static_cast<int>(seed >> 40) % 400;
        auto outcomes = pool.map_outcomes([victim](int x) { return x % 400 == victim ? die(1) : x; }, numbers(400), {.chunksize = static_cast<std::size_t>(round % 5)});
        for (int i = 0; i < 400; ++i) ASSERT_EQ(outcomes[static_cast<std::size_t>(i)].has_value(), i != victim) << "round " << round << " item " << i;
    }
}

TEST_P(Loss, WorkersKilledFromOutsideAtAnyMomentLoseNothingSilently) {
    Pool pool(options());
    std::atomic<bool> stop{false};
    std::thread killer([&] {
        std::uint64_t seed = 1;
        while (!stop) {
            const auto workers = pool.workers();
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            if (const pid_t victim = workers[(seed >> 33) % workers.size()].pid; victim > 0) kill(victim, SIGKILL);
            std::this_thread::sleep_for(2ms);  // the rate of deaths, no synchronisation
        }
    });
    for (int round = 0; round < 100; ++round) {
        auto outcomes = pool.map_outcomes([](int x) { return x * 3; }, numbers(500));
        for (int i = 0; i < 500; ++i) {
            auto& outcome = outcomes[static_cast<std::size_t>(i)];
            if (outcome.has_value())
                EXPECT_EQ(outcome.value(), i * 3);
            else
                EXPECT_THROW(outcome.value(), rankpool::WorkerLost);
        }
    }
    stop = true;
    killer.join();
}

}  // namespace
