// Executors: crashes and values that cannot travel, as Python's suite checks them (135 to 159), with their meaning here: a
// lost worker costs its task, and the executor goes on, unless break_pool is asked for.
//
// Not here: 149 (arguments are gone before the result is sent), 153 (faults/parent_death_test.cpp: the workers are a
// pool's), 158 (pool/sees_test.cpp), 159 (nesting has no limit).
#include <csignal>
#include <cstdlib>
#include <future>
#include <set>
#include <thread>

#include <boost/serialization/split_member.hpp>

#include "semantics/executor_semantics.hpp"

namespace {

using namespace executor_test;
using namespace std::chrono_literals;

int work(int x) { return x; }

TEST_P(ProcessSemantics, B135_AKilledWorkerCostsItsFutureOrTheExecutor) {
    const std::string door = path("door");
    {
        ProcessPoolExecutor executor(options());
        Future<int> lost = executor.submit([]() -> int { die_by(SIGKILL); });
        try {
            lost.result();
            FAIL();
        } catch (const rankpool::WorkerLost& error) {
            EXPECT_EQ(error.signal(), SIGKILL);
        }
        EXPECT_EQ(executor.submit(work, 3).result(), 3);
    }
    ProcessPoolExecutor executor(breaking(1));
    Future<int> lost = executor.submit([](const std::string& at) -> int { pass(at, 0); die_by(SIGKILL); }, door);
    Future<int> pending = executor.submit(work, 1);
    open_door(door);
    EXPECT_THROW(lost.result(), rankpool::BrokenProcessPool);
    EXPECT_THROW(pending.result(), rankpool::BrokenProcessPool);
    EXPECT_FALSE(pending.cancelled());
    EXPECT_THROW(executor.submit(work, 1), rankpool::BrokenProcessPool);
    executor.shutdown();
    EXPECT_THROW(executor.submit(work, 1), rankpool::BrokenProcessPool) << "what broke says more than the shutdown";
}

TEST_P(ProcessSemantics, B136_EachFutureHasAnErrorOfItsOwnThatNamesTheExitCode) {
    const std::string door = path("door");
    ProcessPoolExecutor executor(breaking(1));
    std::vector<Future<int>> futures{executor.submit([](const std::string& at) -> int { pass(at, 0); _exit(99); }, door)};
    for (int i = 0; i < 2; ++i) futures.push_back(executor.submit(work, i));
    open_door(door);
    std::set<const void*> objects;
    for (auto& future : futures) {
        try {
            future.result();
            FAIL();
        } catch (const rankpool::BrokenProcessPool& error) {
            EXPECT_NE(std::string(error.what()).find("code 99"), std::string::npos) << error.what();
            objects.insert(&error);
        }
    }
    EXPECT_NE(futures[0].exception(), futures[1].exception());
    EXPECT_NE(futures[1].exception(), futures[2].exception());
}

// A value that misbehaves when it is written or read, here or in a worker.
enum class When { never, writing, reading };
enum class How { error, kill, exit };
struct Bad {
    When when = When::never;
    How how = How::error;
    bool only_in_worker = false, only_here = false;
    std::string text = {};  // else it would travel as its bytes
    template <class Archive>
    void save(Archive& archive, unsigned) const {
        if (when == When::writing) misbehave();
        archive & when & how & only_in_worker & only_here;
    }
    template <class Archive>
    void load(Archive& archive, unsigned) {
        archive & when & how & only_in_worker & only_here;
        if (when == When::reading) misbehave();
    }
    BOOST_SERIALIZATION_SPLIT_MEMBER()

  private:
    void misbehave() const {
        const bool in_worker = rankpool::current_worker().has_value();
        if ((only_in_worker && !in_worker) || (only_here && in_worker)) return;
        if (how == How::kill) die_by(SIGKILL);
        if (how == How::exit) _exit(42);
        throw std::domain_error("a bad value");
    }
};
Bad bad(When when, How how, bool worker, bool here) {
    Bad made;
    made.when = when;
    made.how = how;
    made.only_in_worker = worker;
    made.only_here = here;
    return made;
}

TEST_P(Semantics, B137_B155_AnArgumentThatCannotBeWrittenIsItsFuturesError) {
    ProcessPoolExecutor executor(options());
    Future<int> future = executor.submit([](const Bad&) { return 1; }, bad(When::writing, How::error, false, false));
    EXPECT_THROW(future.result(), std::domain_error);
    EXPECT_TRUE(future.done());
    EXPECT_FALSE(future.cancelled());
    EXPECT_EQ(executor.submit(work, 2).result(), 2);
    executor.shutdown();
}

TEST_P(ProcessSemantics, B138_ArgumentsThatMisbehaveInTheWorker) {
    ProcessPoolExecutor executor(options());
    EXPECT_THROW(executor.submit([](const Bad&) { return 1; }, bad(When::reading, How::error, true, false)).result(), std::domain_error);
    EXPECT_THROW(executor.submit([](const Bad&) { return 1; }, bad(When::reading, How::kill, true, false)).result(), rankpool::WorkerLost);
    EXPECT_THROW(executor.submit([](const Bad&) { return 1; }, bad(When::reading, How::exit, true, false)).result(), rankpool::WorkerLost);
    EXPECT_EQ(executor.submit(work, 2).result(), 2);
}

TEST_P(ProcessSemantics, B139_B154_TasksThatCrashExitOrThrow) {
    ProcessPoolExecutor executor(options());
    for (const int signal : {SIGSEGV, SIGABRT, SIGKILL}) {
        try {
            executor.submit([](int by) -> int { die_by(by); }, signal).result();
            FAIL();
        } catch (const rankpool::WorkerLost& error) {
            EXPECT_EQ(error.signal(), signal);
        }
    }
    try {
        executor.submit([]() -> int { std::exit(42); }).result();
        FAIL();
    } catch (const rankpool::WorkerLost& error) {
        EXPECT_EQ(error.exit_code(), 42);
        EXPECT_NE(std::string(error.what()).find("42"), std::string::npos) << error.what();
    }
    EXPECT_THROW(executor.submit([]() -> int { throw std::range_error("itself"); }).result(), std::range_error);
}

TEST_P(ProcessSemantics, B140_ResultsThatMisbehaveInTheWorker) {
    ProcessPoolExecutor executor(options());
    EXPECT_THROW(executor.submit([] { return bad(When::writing, How::error, true, false); }).result(), std::domain_error);
    EXPECT_THROW(executor.submit([] { return bad(When::writing, How::kill, true, false); }).result(), rankpool::WorkerLost);
    EXPECT_THROW(executor.submit([] { return bad(When::writing, How::exit, true, false); }).result(), rankpool::WorkerLost);
    EXPECT_EQ(executor.submit(work, 2).result(), 2);
}

TEST_P(Semantics, B141_B156_AResultThatCannotBeReadIsItsFuturesError) {
    ProcessPoolExecutor executor(options());
    Future<Bad> future = executor.submit([] { return bad(When::reading, How::error, false, true); });
    EXPECT_THROW(future.result(), std::domain_error);
    EXPECT_NE(future.exception(), nullptr);
    auto results = executor.map([](int x) { return bad(x == 1 ? When::reading : When::never, How::error, false, true); }, numbers(3));
    EXPECT_TRUE(results.next().has_value());
    EXPECT_THROW(results.next(), std::domain_error);
    EXPECT_TRUE(results.next().has_value());
    EXPECT_FALSE(results.next().has_value());
}

TEST_P(ProcessSemantics, B142_ACrashAfterShutdownWasCalled) {
    const std::string door = path("door");
    for (const auto& chosen : {options(1), breaking(1)}) {
        unlink(door.c_str());
        ProcessPoolExecutor executor(chosen);
        Future<int> future = executor.submit([](const std::string& at) -> int { pass(at, 0); die_by(SIGKILL); }, door);
        executor.shutdown(false);
        open_door(door);
        executor.shutdown(true);
        EXPECT_NE(future.exception(), nullptr);
        EXPECT_FALSE(future.cancelled());
    }
}

TEST_P(Semantics, B143_AResultThatCannotBeWrittenAfterShutdown) {
    ProcessPoolExecutor executor(options(1));
    Future<Bad> future = executor.submit([] { return bad(When::writing, How::error, false, false); });
    executor.shutdown(false);
    EXPECT_THROW(future.result(), std::domain_error);
}

TEST_P(ProcessSemantics, B144_ACrashWhileLargeArgumentsAreQueued) {
    for (const auto& chosen : {options(1), breaking(1)}) {
        const std::string door = path("door");
        unlink(door.c_str());
        ProcessPoolExecutor executor(chosen);
        Future<int> first = executor.submit([](const std::string& at) -> int { pass(at, 0); die_by(SIGKILL); }, door);
        std::vector<Future<std::size_t>> queued;
        for (int i = 0; i < 10; ++i) queued.push_back(executor.submit([](const std::string& text) { return text.size(); }, std::string(4 << 20, 'x')));
        open_door(door);
        EXPECT_THROW(first.result(), rankpool::Error);
        for (auto& future : queued) {
            if (chosen.on_loss == rankpool::OnLoss::break_pool)
                EXPECT_THROW(future.result(), rankpool::BrokenProcessPool);
            else
                EXPECT_EQ(future.result(), std::size_t{4} << 20);
        }
    }
}

TEST_P(Semantics, B145_AHundredSubmitsAtOnce) {
    ProcessPoolExecutor executor(options(1));
    std::vector<Future<int>> futures;
    for (int i = 0; i < 100; ++i) futures.push_back(executor.submit(work, i));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].result(), i);
}

TEST_P(Semantics, B146_B157_AFailingInitializerBreaksTheExecutor) {
    auto chosen = options();
    chosen.initializer = [] { throw std::domain_error("no tables"); };
    std::string told;
    try {
        ProcessPoolExecutor executor(chosen);
        std::vector<Future<int>> futures;
        try {
            for (;;) {
                futures.push_back(executor.submit(work, 1));
                futures.push_back(executor.submit([] { pause(); return 0; }));
            }
        } catch (const rankpool::BrokenProcessPool& error) {
            told = error.what();
        }
        for (auto& future : futures) EXPECT_THROW(future.result(), rankpool::BrokenProcessPool);
        EXPECT_THROW(executor.submit(work, 1), rankpool::BrokenProcessPool);
    } catch (const rankpool::BrokenProcessPool& error) {
        told = error.what();
    }
    EXPECT_NE(told.find("no tables"), std::string::npos) << told;
    if (!isolated()) return;
    for (int round = 0; round < 5; ++round) {
        ProcessPoolExecutor dropped(chosen);
        if (round % 2 == 0) dropped.shutdown(false);
    }
}

TEST_P(Semantics, B147_AHundredBadValuesThenAHundredGoodOnes) {
    ProcessPoolExecutor executor(options());
    std::vector<Future<int>> futures;
    for (int i = 0; i < 200; ++i)
        futures.push_back(executor.submit([](const Bad&, int x) { return x; }, bad(i < 100 ? When::writing : When::never, How::error, false, false), i));
    for (int i = 0; i < 200; ++i) {
        auto& future = futures[static_cast<std::size_t>(i)];
        if (i < 100)
            EXPECT_THROW(future.result(), std::domain_error);
        else
            EXPECT_EQ(future.result(), i);
    }
}

TEST_P(ProcessSemantics, B148_WorkersThatKillEachOther) {
    for (const int workers : {1, 2, 5}) {
        ProcessPoolExecutor executor(options(workers));
        const auto who = executor.workers();
        std::vector<Future<int>> futures;
        for (int i = 0; i < workers; ++i)
            futures.push_back(executor.submit([](pid_t victim) {
                kill(victim, SIGKILL);
                return 0;
            }, who[static_cast<std::size_t>((i + 1) % workers)].pid));
        for (auto& future : futures) {
            try {
                EXPECT_EQ(future.result(), 0);
            } catch (const rankpool::WorkerLost& error) {
                EXPECT_EQ(error.signal(), SIGKILL);
                EXPECT_NE(std::string(error.what()).find("SIGKILL"), std::string::npos);
            }
        }
        EXPECT_EQ(executor.submit(work, 5).result(), 5);
    }
}

TEST_P(ProcessSemantics, B150_ACrashInATaskThatACallbackSubmitted) {
    ProcessPoolExecutor executor(options());
    std::promise<Future<int>> submitted;
    executor.submit(work, 1).add_done_callback([&](Future<int>) { submitted.set_value(executor.submit([]() -> int { die_by(SIGKILL); })); });
    EXPECT_THROW(submitted.get_future().get().result(), rankpool::WorkerLost);
}

TEST_P(Semantics, B151_ACallbackThatThrowsHarmsNothing) {
    ProcessPoolExecutor executor(options());
    testing::internal::CaptureStderr();
    std::promise<void> after;
    Future<int> future = executor.submit(work, 1);
    future.add_done_callback([](Future<int>) { throw std::runtime_error("from a callback"); });
    future.add_done_callback([](Future<int>) { throw 7; });
    future.add_done_callback([&](Future<int>) { after.set_value(); });
    after.get_future().wait();
    EXPECT_EQ(executor.submit(work, 2).result(), 2);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("from a callback"), std::string::npos);
}

TEST_P(ProcessSemantics, B152_ACrashWhileTheExecutorIsDestroyed) {
    const std::string door = path("door");
    std::optional<Future<int>> good, crashing;
    std::thread opener;
    {
        ProcessPoolExecutor executor(options(2));
        good = executor.submit(pass, door, 1);
        crashing = executor.submit([](const std::string& at) -> int { pass(at, 0); die_by(SIGSEGV); }, door);
        opener = std::thread([&] { open_door(door); });
    }
    opener.join();
    EXPECT_EQ(good->result(), 1);
    try {
        crashing->result();
        FAIL();
    } catch (const rankpool::WorkerLost& error) {
        EXPECT_EQ(error.signal(), SIGSEGV);
    }
}

}  // namespace
