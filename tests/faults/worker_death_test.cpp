// Workers that die in every way, at every moment of their life. Items tell in a log when they are started and when they
// end: without `retry` none is started twice, and none is missing without WorkerLost.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "faults/deaths.hpp"
#include "pool/backends.hpp"
#include "support/descendants.hpp"
#include "support/item_log.hpp"

namespace {

using namespace faults;
using namespace pool_test;
using namespace std::chrono_literals;
using item_log::first_to_ask;
using item_log::ItemLog;
using item_log::Moment;
using item_log::Path;
using rankpool::OnLoss;
using rankpool::Pool;

class WorkerDeath : public OnBackend {};
ON_PROCESSES(WorkerDeath);

std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) all[static_cast<std::size_t>(i)] = i;
    return all;
}

int logged(const Path& log, int x) {
    note(log, static_cast<std::uint64_t>(x), Moment::started);
    note(log, static_cast<std::uint64_t>(x), Moment::ended);
    return x * 3;
}

template <class R>
void expect_lost(rankpool::Outcome<R>& outcome, std::size_t index, Death how) {
    try {
        (void)outcome.value();
        ADD_FAILURE() << how << ": item " << index << " has a value";
    } catch (const rankpool::WorkerLost& lost) {
        EXPECT_EQ(lost.signal(), signal_of(how)) << how;
        EXPECT_EQ(lost.exit_code(), exit_code_of(how)) << how;
        EXPECT_EQ(lost.item(), index) << how;
        EXPECT_GT(lost.worker().pid, 0) << how;
    }
}

// ---- inside a task ----

TEST_P(WorkerDeath, InTasksCostsTheseItemsAndStartsNoneTwice) {
    Pool pool(options());
    for (const Death how : all_deaths)
        for (const std::size_t chunksize : {0u, 1u, 13u}) {
            const ItemLog log;
            const auto lost = [](int x) { return x == 5 || x == 6 || x == 40 || x == 77; };
            auto outcomes = pool.map_outcomes([how, lost, path = log.path()](int x) {
                if (!lost(x)) return logged(path, x);
                note(path, static_cast<std::uint64_t>(x), Moment::started);
                die(how);
            }, numbers(78), {.chunksize = chunksize});
            auto times = log.read();
            for (std::size_t i = 0; i < 78; ++i) {
                EXPECT_EQ(times[i].started, 1) << how << ", item " << i;
                EXPECT_EQ(times[i].ended, lost(static_cast<int>(i)) ? 0 : 1) << how << ", item " << i;
                if (lost(static_cast<int>(i))) {
                    expect_lost(outcomes[i], i, how);
                } else {
                    ASSERT_TRUE(outcomes[i].has_value()) << how << ", item " << i;
                    EXPECT_EQ(outcomes[i].value(), static_cast<int>(i) * 3);
                }
            }
        }
}

// Items that took no time at all in an earlier call: it must not be believed of these.
TEST_P(WorkerDeath, InAFunctionThatWasQuickBeforeStartsNoItemTwice) {
    struct Item {
        int number;
        bool quick;
        Path log;
    };
    const auto function = [](const Item& item) {
        if (item.quick) return item.number;
        if (item.number % 20 == 7) {
            note(item.log, static_cast<std::uint64_t>(item.number), Moment::started);
            die(Death::sigkill);
        }
        return logged(item.log, item.number) / 3;
    };
    Pool pool(options());
    for (int round = 0; round < 3; ++round) {
        const ItemLog log;
        std::vector<Item> items;
        for (int i = 0; i < 100'000; ++i) items.push_back({i, true, log.path()});
        (void)pool.map(function, items);
        items.resize(100);
        for (Item& item : items) item.quick = false;
        auto outcomes = pool.map_outcomes(function, items);
        auto times = log.read();
        for (std::size_t i = 0; i < 100; ++i) {
            EXPECT_EQ(outcomes[i].has_value(), i % 20 != 7) << i;
            EXPECT_EQ(times[i].started, 1) << i;
        }
    }
}

TEST_P(WorkerDeath, OfAllWorkersAtOnceCostsWhatTheyRan) {
    Pool pool(options());
    for (const Death how : {Death::sigkill, Death::std_exit_3}) {
        const ItemLog log;
        // The first items end their workers together, when all of them are in the log. The limit only ends a test that
        // has failed: a rank may have been given one that waits behind another.
        auto outcomes = pool.map_outcomes([how, path = log.path()](int x) {
            if (x >= 3) return logged(path, x);
            note(path, static_cast<std::uint64_t>(x), Moment::started);
            const auto limit = std::chrono::steady_clock::now() + 2s;
            for (std::uintmax_t all = 0; all < 3 * sizeof(item_log::Record) && std::chrono::steady_clock::now() < limit; sched_yield()) all = std::filesystem::file_size(path.text);
            die(how);
        }, numbers(50), {.chunksize = 1});
        auto times = log.read();
        for (std::size_t i = 0; i < 50; ++i) {
            EXPECT_EQ(times[i].started, 1) << how << ", item " << i;
            if (i < 3) {
                expect_lost(outcomes[i], i, how);
            } else {
                EXPECT_TRUE(outcomes[i].has_value()) << how << ", item " << i;
            }
        }
    }
}

// ---- on the way to a task and back ----

// Something that ends the worker that writes or reads it.
struct Deadly {
    enum Kind : int { harmless, in_writing, in_reading } kind = harmless;
    Death how = Death::sigkill;
    int value = 0;
    std::string text = {};  // or it would travel as its bytes

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if (Archive::is_saving::value && kind == in_writing && rankpool::current_worker()) die(how);
        int k = kind, h = static_cast<int>(how);
        archive & k & h & value;
        kind = static_cast<Kind>(k);
        how = static_cast<Death>(h);
        if (Archive::is_loading::value && kind == in_reading && rankpool::current_worker()) die(how);
    }
};

TEST_P(WorkerDeath, WhileReadingAnItemCostsThisItem) {
    Pool pool(options());
    for (const Death how : all_deaths) {
        std::vector<Deadly> items;
        for (int i = 0; i < 40; ++i) items.push_back({i == 21 ? Deadly::in_reading : Deadly::harmless, how, i});
        auto outcomes = pool.map_outcomes([](const Deadly& item) { return item.value; }, items);
        for (std::size_t i = 0; i < 40; ++i) {
            if (i == 21) {
                expect_lost(outcomes[i], i, how);
            } else {
                EXPECT_EQ(outcomes[i].value(), static_cast<int>(i));
            }
        }
    }
}

TEST_P(WorkerDeath, WhileWritingAResultCostsThisItem) {
    Pool pool(options());
    for (const Death how : all_deaths) {
        const ItemLog log;
        auto outcomes = pool.map_outcomes([how, path = log.path()](int x) {
            return Deadly{x == 21 ? Deadly::in_writing : Deadly::harmless, how, logged(path, x)};
        }, numbers(40));
        auto times = log.read();
        for (std::size_t i = 0; i < 40; ++i) {
            EXPECT_EQ(times[i].started, 1) << how << ", item " << i;
            if (i == 21) {
                expect_lost(outcomes[i], i, how);
            } else {
                EXPECT_EQ(outcomes[i].value().value, static_cast<int>(i) * 3);
            }
        }
    }
}

// A result that is larger than the way it takes: its worker is killed while it waits for room.
TEST_P(WorkerDeath, WhileALargeResultIsOnItsWayCostsThisItemOrNothing) {
    for (int round = 0; round < 5; ++round) {
        const ItemLog log;
        Pool pool(options(2));
        auto results = pool.imap([path = log.path()](int x) {
            note(path, static_cast<std::uint64_t>(x), Moment::started);
            std::string large(std::size_t{8} << 20, static_cast<char>('a' + x));
            note(path, static_cast<std::uint64_t>(x), Moment::ended);
            return large;
        }, numbers(6), {.chunksize = 1});
        ASSERT_TRUE(descendants::comes_true([&] { return log.read().size() >= 2; }));
        const auto victim = pool.workers()[static_cast<std::size_t>(round % 2)].pid;
        kill(victim, SIGKILL);
        for (int i = 0; i < 6; ++i) {
            try {
                const auto result = results.next();
                ASSERT_TRUE(result.has_value());
                EXPECT_EQ(*result, std::string(std::size_t{8} << 20, static_cast<char>('a' + i)));
            } catch (const rankpool::WorkerLost& lost) {
                EXPECT_EQ(lost.item(), static_cast<std::size_t>(i));
            }
        }
        for (const auto& [item, times] : log.read()) EXPECT_EQ(times.started, 1) << item;
    }
}

// A function that ends its worker while it is read there: nothing was started, so nothing is lost.
struct DeadlyOnce {
    Death how = Death::sigkill;
    std::string mark = {};
    std::string log = {};

    int operator()(int x) const { return logged(Path(log), x); }
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        int h = static_cast<int>(how);
        archive & h & mark & log;
        how = static_cast<Death>(h);
        if (Archive::is_loading::value && rankpool::current_worker() && first_to_ask(Path(mark))) die(how);
    }
};

TEST_P(WorkerDeath, BetweenTakingAChunkAndItsFirstItemCostsNothing) {
    Pool pool(options());
    for (const Death how : all_deaths) {
        const ItemLog log;
        const auto results = pool.map(DeadlyOnce{how, log.name("mark").text, log.path().text}, numbers(60), {.chunksize = 7});
        auto times = log.read();
        for (std::size_t i = 0; i < 60; ++i) {
            EXPECT_EQ(results[i], static_cast<int>(i) * 3) << how;
            EXPECT_EQ(times[i].started, 1) << how << ", item " << i;
        }
    }
}

// A function that ends every worker that reads it: no endless respawn, and the pool works on.
struct DeadlyAlways {
    std::string text = {};  // or it would travel as its bytes
    int operator()(int x) const { return x; }
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & text;
        if (Archive::is_loading::value && rankpool::current_worker()) die(Death::sigsegv);
    }
};

TEST_P(WorkerDeath, OfEveryWorkerThatReadsTheFunctionFailsTheCallInTheEnd) {
    Pool pool(options());
    auto outcomes = pool.map_outcomes(DeadlyAlways{}, numbers(20));
    for (auto& outcome : outcomes) EXPECT_THROW((void)outcome.value(), rankpool::WorkerLost);
    EXPECT_EQ(pool.map([](int x) { return x; }, numbers(100)), numbers(100));
}

struct Unreadable {
    std::string text = {};
    int operator()(int x) const { return x; }
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & text;
        if (Archive::is_loading::value) throw std::length_error("a function that cannot be read");
    }
};

TEST_P(WorkerDeath, IsNotWhatAFunctionThatCannotBeReadCauses) {
    Pool pool(options());
    const auto before = pool.workers();
    auto outcomes = pool.map_outcomes(Unreadable{}, numbers(20));
    for (auto& outcome : outcomes) EXPECT_THROW((void)outcome.value(), std::length_error);
    const auto after = pool.workers();
    for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after[i].pid, before[i].pid);
}

// ---- while nothing runs ----

TEST_P(WorkerDeath, OfIdleWorkersCostsNothing) {
    Pool pool(options());
    for (const int signal : {SIGKILL, SIGSEGV, SIGABRT, SIGBUS})
        for (std::size_t victims = 1; victims <= 3; ++victims) {
            const ItemLog log;
            const auto workers = pool.workers();
            for (std::size_t i = 0; i < victims; ++i) kill(workers[i].pid, signal);
            const auto results = pool.map([path = log.path()](int x) { return logged(path, x); }, numbers(30), {.chunksize = 1});
            auto times = log.read();
            for (std::size_t i = 0; i < 30; ++i) {
                EXPECT_EQ(results[i], static_cast<int>(i) * 3);
                EXPECT_EQ(times[i].started, 1) << "signal " << signal << ", item " << i;
            }
        }
}

TEST_P(WorkerDeath, OfWorkersThatHaveJustTakenThePlaceOfOthersCostsNothing) {
    Pool pool(options());
    std::set<pid_t> killed;
    for (int round = 0; round < 25; ++round) {
        ASSERT_TRUE(descendants::comes_true([&] {
            const auto workers = pool.workers();
            return std::none_of(workers.begin(), workers.end(), [&](const auto& worker) { return killed.count(worker.pid) > 0; });
        }));
        for (const auto& worker : pool.workers()) {
            kill(worker.pid, SIGKILL);
            killed.insert(worker.pid);
        }
    }
    EXPECT_EQ(pool.map([](int x) { return x; }, numbers(300)), numbers(300));
    EXPECT_EQ(killed.size(), 75u);
    for (const pid_t pid : killed) EXPECT_TRUE(descendants::ends(pid));
}

TEST_P(WorkerDeath, InTheInitializerOfAReplacementIsForgivenTwice) {
    const ItemLog log;
    auto chosen = options(2);
    // Everybody leaves a mark: the first two are the pool's first workers, the next two die of it.
    chosen.initializer = [path = log.path()] {
        note(path, 0, Moment::started);
        const auto count = std::filesystem::file_size(path.text) / sizeof(item_log::Record);
        if (count == 3 || count == 4) die(Death::abort);
    };
    Pool pool(chosen);
    EXPECT_EQ(pool.map([](int x) { return x; }, numbers(10)), numbers(10));
    ASSERT_TRUE(descendants::comes_true([&] { return log.records().size() == 2; }));
    kill(pool.workers()[0].pid, SIGKILL);
    EXPECT_TRUE(descendants::comes_true([&] {
        (void)pool.workers();  // looks for deaths
        return log.records().size() == 5;
    })) << log.records().size();
    EXPECT_EQ(pool.map([](int x) { return x; }, numbers(100)), numbers(100));
}

// ---- while the pool ends ----

TEST_P(WorkerDeath, DuringCloseLosesNoAcceptedWork) {
    for (const Death how : all_deaths) {
        const ItemLog log;
        Pool pool(options());
        std::vector<rankpool::AsyncResult<int>> results;
        for (int i = 0; i < 60; ++i)
            results.push_back(pool.apply_async([how, path = log.path()](int x) {
                if (x % 10 != 4) return logged(path, x);
                note(path, static_cast<std::uint64_t>(x), Moment::started);
                die(how);
            }, i));
        pool.close();
        pool.join();
        auto times = log.read();
        for (std::size_t i = 0; i < 60; ++i) {
            EXPECT_EQ(times[i].started, 1) << how << ", item " << i;
            ASSERT_TRUE(results[i].ready());
            EXPECT_EQ(results[i].successful(), i % 10 != 4) << how << ", item " << i;
            if (i % 10 == 4) {
                EXPECT_THROW(results[i].get(), rankpool::WorkerLost);
            }
        }
    }
}

TEST_P(WorkerDeath, OfIdleWorkersOfAClosedPoolLosesNoAcceptedWork) {
    for (int round = 0; round < 5; ++round) {
        Pool pool(options());
        auto before = pool.imap([](int x) { return x; }, numbers(1000));
        const auto workers = pool.workers();
        pool.close();
        for (const auto& worker : workers) kill(worker.pid, SIGKILL);
        int lost = 0;
        for (int i = 0; i < 1000; ++i) {
            try {
                EXPECT_EQ(before.next(), i);
            } catch (const rankpool::WorkerLost& error) {
                EXPECT_EQ(error.item(), static_cast<std::size_t>(i));
                ++lost;
            }
        }
        EXPECT_LE(lost, 3);
        EXPECT_FALSE(before.next().has_value());
        pool.join();
    }
}

TEST_P(WorkerDeath, DuringTerminateHangsNobodyAndLeavesNobody) {
    for (int round = 0; round < 10; ++round) {
        std::vector<rankpool::WorkerInfo> workers;
        {
            Pool pool(options());
            workers = pool.workers();
            auto endless = pool.map_async([](int x) {
                for (;;) pause();
                return x;
            }, numbers(10), {.chunksize = 1});
            std::thread killer([&] {
                for (const auto& worker : workers) kill(worker.pid, round % 2 == 0 ? SIGKILL : SIGSEGV);
            });
            pool.terminate();
            killer.join();
            try {
                endless.get();
                ADD_FAILURE() << "items that never end have ended";
            } catch (const rankpool::WorkerLost&) {  // the killer was first, with the item of the smallest index
            } catch (const rankpool::CancelledError&) {
            }
            pool.join();
        }
        for (const auto& worker : workers) EXPECT_TRUE(descendants::ends(worker.pid));
    }
}

// ---- stopped workers, with task_timeout ----

TEST_P(WorkerDeath, BySigstopOfIdleWorkersCostsNothing) {
    auto chosen = options();
    chosen.task_timeout = 700ms;
    for (std::size_t victims = 1; victims <= 3; ++victims) {
        const ItemLog log;
        Pool pool(chosen);
        const auto workers = pool.workers();
        for (std::size_t i = 0; i < victims; ++i) kill(workers[i].pid, SIGSTOP);
        const auto results = pool.map([path = log.path()](int x) { return logged(path, x); }, numbers(30), {.chunksize = 1});
        auto times = log.read();
        for (std::size_t i = 0; i < 30; ++i) {
            EXPECT_EQ(results[i], static_cast<int>(i) * 3);
            EXPECT_EQ(times[i].started, 1) << i;
        }
    }
}

struct StopsOnce {
    std::string mark = {};
    std::string log = {};

    int operator()(int x) const { return logged(Path(log), x); }
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & mark & log;
        if (Archive::is_loading::value && rankpool::current_worker() && first_to_ask(Path(mark))) raise(SIGSTOP);
    }
};

TEST_P(WorkerDeath, BySigstopBetweenTakingAChunkAndItsFirstItemCostsNothing) {
    auto chosen = options();
    chosen.task_timeout = 700ms;
    Pool pool(chosen);
    const ItemLog log;
    const auto results = pool.map(StopsOnce{log.name("mark").text, log.path().text}, numbers(30), {.chunksize = 5});
    auto times = log.read();
    for (std::size_t i = 0; i < 30; ++i) {
        EXPECT_EQ(results[i], static_cast<int>(i) * 3);
        EXPECT_EQ(times[i].started, 1) << i;
    }
}

struct StopsInWriting {
    int value = 0;
    std::string text = {};
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & value;
        if (Archive::is_saving::value && value == 7) raise(SIGSTOP);
    }
};

TEST_P(WorkerDeath, BySigstopInATaskOrWhileWritingItsResultIsATimeout) {
    auto chosen = options();
    chosen.task_timeout = 700ms;
    Pool pool(chosen);
    const ItemLog log;
    auto outcomes = pool.map_outcomes([path = log.path()](int x) {
        (void)logged(path, x);
        if (x == 3) raise(SIGSTOP);
        return StopsInWriting{x};
    }, numbers(20), {.chunksize = 4});
    auto times = log.read();
    for (std::size_t i = 0; i < 20; ++i) {
        EXPECT_EQ(times[i].started, 1) << i;
        if (i == 3 || i == 7) {
            EXPECT_THROW(outcomes[i].value(), rankpool::TaskTimeout);
        } else {
            EXPECT_EQ(outcomes[i].value().value, static_cast<int>(i));
        }
    }
}

TEST_P(WorkerDeath, StoppedOrNotTerminateEndsThem) {
    std::vector<rankpool::WorkerInfo> workers;
    {
        Pool pool(options());
        workers = pool.workers();
        auto some = pool.map_async([](int x) {
            raise(SIGSTOP);
            return x;
        }, numbers(2));
        kill(workers[2].pid, SIGSTOP);
        pool.terminate();
        EXPECT_THROW(some.get(), rankpool::CancelledError);
    }
    for (const auto& worker : workers) EXPECT_TRUE(descendants::ends(worker.pid));
}

// ---- time that is not the task's ----

TEST_P(WorkerDeath, IsNotTheFateOfATaskWhoseResultNobodyFetches) {
    auto chosen = options(2);
    chosen.task_timeout = 600ms;
    Pool pool(chosen);
    auto results = pool.imap([](int x) { return std::string(std::size_t{3} << 20, static_cast<char>('a' + x)); }, numbers(4), {.chunksize = 1});
    for (int i = 0; i < 4; ++i) {
        std::this_thread::sleep_for(900ms);  // a slow consumer, no synchronisation
        EXPECT_EQ(results.next().value().size(), std::size_t{3} << 20) << i;
    }
}

// Items that end at about the moment when their time is up are followed by short ones, which have all the time they need.
TEST_P(WorkerDeath, ByATimeoutNeverHitsTheNextItem) {
    auto chosen = options();
    chosen.task_timeout = 300ms;
    Pool pool(chosen);
    constexpr int limit = 300'000;
    std::vector<int> microseconds;
    for (int i = 0; i < 60; ++i) {
        microseconds.push_back(limit + i * 37 % 12'000);
        for (int s = 0; s < 4; ++s) microseconds.push_back(0);
    }
    auto outcomes = pool.map_outcomes([](int time) {
        if (time > 0) std::this_thread::sleep_for(std::chrono::microseconds(time));  // the item's time, no synchronisation
        return time;
    }, microseconds, {.chunksize = 10});
    int late = 0;
    for (std::size_t i = 0; i < microseconds.size(); ++i) {
        if (outcomes[i].has_value()) continue;
        EXPECT_GE(microseconds[i], limit) << "item " << i;
        EXPECT_THROW((void)outcomes[i].value(), rankpool::TaskTimeout);
        ++late;
    }
    EXPECT_GT(late, 0);
}

// ---- other answers to a loss ----

TEST_P(WorkerDeath, WithRetryRunsOnlyTheLostItemsAgain) {
    for (const Death how : all_deaths) {
        const ItemLog log;
        auto chosen = options();
        chosen.on_loss = OnLoss::retry;
        Pool pool(chosen);
        const auto results = pool.map([how, path = log.path(), mark = log.name("mark")](int x) {
            note(path, static_cast<std::uint64_t>(x), Moment::started);
            if (x == 17 && first_to_ask(mark)) die(how);
            note(path, static_cast<std::uint64_t>(x), Moment::ended);
            return x;
        }, numbers(40));
        EXPECT_EQ(results, numbers(40)) << how;
        auto times = log.read();
        for (std::size_t i = 0; i < 40; ++i) {
            EXPECT_EQ(times[i].started, i == 17 ? 2 : 1) << how << ", item " << i;
            EXPECT_EQ(times[i].ended, 1) << how << ", item " << i;
        }
    }
}

TEST_P(WorkerDeath, WithRetryEndsAfterMaxRetries) {
    const ItemLog log;
    auto chosen = options();
    chosen.on_loss = OnLoss::retry;
    chosen.max_retries = 3;
    Pool pool(chosen);
    auto outcomes = pool.map_outcomes([path = log.path()](int x) {
        note(path, static_cast<std::uint64_t>(x), Moment::started);
        if (x == 2) die(Death::exit_0);
        return x;
    }, numbers(5));
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(outcomes[i].has_value(), i != 2);
    EXPECT_EQ(log.read()[2].started, 4);
}

TEST_P(WorkerDeath, WithBreakPoolStartsNothingAfterwards) {
    const ItemLog log;
    auto chosen = options(1);
    chosen.on_loss = OnLoss::break_pool;
    Pool pool(chosen);
    auto outcomes = pool.map_outcomes([path = log.path()](int x) {
        if (x != 10) return logged(path, x);
        note(path, 10, Moment::started);
        die(Death::sigsegv);
    }, numbers(30), {.chunksize = 1});
    auto times = log.read();
    for (std::size_t i = 0; i < 30; ++i) {
        EXPECT_EQ(times[i].started, i <= 10 ? 1 : 0) << i;
        if (i >= 10) {
            EXPECT_THROW((void)outcomes[i].value(), rankpool::BrokenProcessPool) << i;
        }
    }
}

}  // namespace
