// The queue under load: order, memory, large arguments, cancellation raced by workers, chunks that lose a worker.
#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "executor/executors.hpp"

namespace {

using namespace executor_test;
using namespace std::chrono_literals;

class Queue : public OnExecutor {};
EXECUTORS_ON_ALL_BACKENDS(Queue);
class ProcessQueue : public OnExecutor {};
EXECUTORS_ON_PROCESSES(ProcessQueue);

int work(int x) { return x; }

TEST_P(Queue, TasksBeginInTheOrderOfTheirSubmission) {
    const std::string file = path("counts");
    SharedCounts counts(file, 1);
    ProcessPoolExecutor executor(options(1));
    std::vector<Future<std::uint64_t>> futures;
    for (int i = 0; i < 300; ++i)
        futures.push_back(executor.submit([](const std::string& shared) { return SharedCounts(shared, 1)[0]++; }, file));
    for (std::size_t i = 0; i < futures.size(); ++i) ASSERT_EQ(futures[i].result(), i);
}

TEST_P(Queue, AChunkKeepsItsItemsApart) {
    ProcessPoolExecutor executor(options());
    for (const std::size_t chunksize : {1u, 4u, 7u, 100u}) {
        auto results = executor.map([](int x) { if (x % 3 == 1) throw std::domain_error(std::to_string(x)); return std::to_string(x); },
                                    numbers(20), {.chunksize = chunksize});
        for (int i = 0; i < 20; ++i) {
            if (i % 3 == 1)
                EXPECT_THROW(results.next(), std::domain_error);
            else
                EXPECT_EQ(results.next(), std::to_string(i));
        }
        EXPECT_FALSE(results.next().has_value());
    }
}

// Tasks that were given to workers which cannot take them yet.
TEST_P(ProcessQueue, NothingRunsBeforeTheInitializerIsThrough) {
    const std::string door = path("door"), file = path("mark");
    ExecutorOptions chosen = options(2);
    chosen.initializer = rankpool::bind_shared([](const std::string& shut) { door::pass(shut); }, door);
    ProcessPoolExecutor executor(chosen);
    std::vector<Future<int>> futures;
    for (int i = 0; i < 4; ++i) futures.push_back(executor.submit(mark, file, i));
    for (Future<int>& future : futures) EXPECT_FALSE(future.running());
    EXPECT_TRUE(futures[0].cancel());
    EXPECT_TRUE(futures[0].cancel());
    EXPECT_TRUE(futures[3].cancel());
    EXPECT_TRUE(futures[0].cancelled());
    EXPECT_THROW(futures[0].result(), rankpool::CancelledError);
    EXPECT_FALSE(futures[1].running());
    open_door(door);
    EXPECT_EQ(futures[1].result(), 1);
    EXPECT_EQ(futures[2].result(), 2);
    EXPECT_FALSE(futures[1].cancel());
    EXPECT_EQ(marks(file), 2);
}

TEST_P(ProcessQueue, ShutdownCancelsWhatWaitsForTheInitializer) {
    const std::string door = path("door");
    ExecutorOptions chosen = options(2);
    chosen.initializer = rankpool::bind_shared([](const std::string& shut) { door::pass(shut); }, door);
    ProcessPoolExecutor executor(chosen);
    std::vector<Future<int>> futures;
    for (int i = 0; i < 4; ++i) futures.push_back(executor.submit(work, i));
    executor.shutdown(false, true);
    for (Future<int>& future : futures) EXPECT_TRUE(future.cancelled());
    open_door(door);
}

// The processes that the launcher started beside this one: the job's other ranks.
std::vector<pid_t> other_ranks() {
    const std::string launcher = std::to_string(getppid());
    std::ifstream children("/proc/" + launcher + "/task/" + launcher + "/children");
    std::vector<pid_t> found;
    for (pid_t pid; ranks() > 0 && children >> pid;) {
        std::error_code gone;
        const auto program = std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe", gone);
        if (pid != getpid() && program == std::filesystem::read_symlink("/proc/self/exe")) found.push_back(pid);
    }
    return found;
}

// It cannot say whether its workers have taken what they were given: that may come late, but nothing is lost or done twice.
TEST_P(ProcessQueue, ARankThatIsStoppedWhenItIsAskedAnswersLater) {
    const std::vector<pid_t> others = other_ranks();
    const std::string door = path("door"), file = path("mark");
    ExecutorOptions chosen = options(2 * std::max(1, ranks()));
    chosen.initializer = rankpool::bind_shared([](const std::string& shut) { door::pass(shut); }, door);
    ProcessPoolExecutor executor(chosen);
    std::vector<Future<int>> futures;
    for (int i = 0; i < 2 * chosen.max_workers; ++i) futures.push_back(executor.submit(mark, file, i));
    for (const pid_t rank : others) kill(rank, SIGSTOP);
    (void)futures.front().cancel();
    (void)futures[1].running();
    (void)futures[1].cancel();
    for (const pid_t rank : others) kill(rank, SIGCONT);
    open_door(door);
    int cancelled = 0;
    for (std::size_t i = 0; i < futures.size(); ++i) {
        try {
            EXPECT_EQ(futures[i].result(), static_cast<int>(i));
        } catch (const rankpool::CancelledError&) {
            EXPECT_LE(i, 1u);
            EXPECT_TRUE(futures[i].cancelled());
            ++cancelled;
        }
    }
    executor.shutdown();
    EXPECT_EQ(marks(file) + cancelled, static_cast<int>(futures.size()));
}

// Of the same task by many threads: one of the two happens, and all are told the same.
TEST_P(ProcessQueue, CancelledOnceByManyThreadsWhileWorkersStart) {
    const std::string file = path("mark");
    int cancelled = 0, run = 0;
    for (int round = 0; round < 20; ++round) {
        ExecutorOptions chosen = options(2);
        chosen.initializer = [] { sched_yield(); };
        ProcessPoolExecutor executor(chosen);
        std::vector<Future<int>> futures;
        for (int i = 0; i < 6; ++i) futures.push_back(executor.submit(mark, file, i));
        std::atomic<int> told_so = 0;
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; ++t)
            threads.emplace_back([&] {
                for (Future<int>& future : futures) {
                    (void)future.running();
                    if (future.cancel()) ++told_so;
                }
            });
        for (std::thread& thread : threads) thread.join();
        int here = 0;
        for (Future<int>& future : futures) {
            if (future.cancelled()) {
                ++here;
            } else {
                EXPECT_NO_THROW(future.result());
                ++run;
            }
        }
        EXPECT_GE(told_so, here);
        EXPECT_LE(told_so, 3 * here);
        cancelled += here;
    }
    EXPECT_EQ(run, marks(file));
    EXPECT_EQ(run + cancelled, 120);
}

std::string text_of(const std::function<void()>& throws) {
    try {
        throws();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "nothing was thrown";
}

TEST_P(ProcessQueue, ErrorsSpeakOfTasksAndOfItemsOfMaps) {
    const auto die = [](int x) { return x == 2 ? (die_by(SIGKILL), 0) : x; };
    const std::vector<int> items{0, 1, 2};
    {
        ProcessPoolExecutor executor(options(1));
        auto lost = executor.submit(die, 2);
        EXPECT_EQ(text_of([&] { lost.result(); }).find("a task was lost: worker 0 (pid "), 0u) << text_of([&] { lost.result(); });
        const std::string of_map = text_of([&] { all_of(executor.map(die, items)); });
        EXPECT_EQ(of_map.find("item 2 was lost: worker 0 (pid "), 0u) << of_map;
    }
    ExecutorOptions chosen = options(1);
    chosen.on_loss = rankpool::OnLoss::break_pool;
    ProcessPoolExecutor executor(chosen);
    auto lost = executor.submit(die, 2), innocent = executor.submit(die, 1);
    const std::string text = text_of([&] { innocent.result(); });
    EXPECT_EQ(text.find("the pool is broken, as OnLoss::break_pool asks: a task was lost: worker 0 (pid "), 0u) << text;
    EXPECT_EQ(text_of([&] { lost.result(); }), text);
}

struct Refuses {
    int number = 0;
    std::string text;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        if (number % 3 == 1) throw std::domain_error("cannot be serialized");
        archive& number& text;
    }
};

TEST_P(Queue, AnItemThatCannotBeSerializedFailsAtItsPlace) {
    ProcessPoolExecutor executor(options());
    std::vector<Refuses> items(8);
    for (int i = 0; i < 8; ++i) items[static_cast<std::size_t>(i)].number = i;
    for (const std::size_t chunksize : {1u, 4u, 100u})
        for (const std::size_t buffersize : {0u, 1u, 3u}) {
            auto results = executor.map([](const Refuses& item) { return item.number; }, items, {.chunksize = chunksize, .buffersize = buffersize});
            for (int i = 0; i < 8; ++i) {
                if (i % 3 == 1)
                    EXPECT_THROW(results.next(), std::domain_error);
                else
                    EXPECT_EQ(results.next(), i);
            }
            EXPECT_FALSE(results.next().has_value());
        }
}

TEST_P(Queue, ItemsOfAMapKnowTheirIndex) {
    ProcessPoolExecutor executor(options());
    for (const std::size_t chunksize : {1u, 5u}) {
        std::size_t next = 0;
        for (const std::size_t index : executor.map([](int) { (void)access("/", F_OK); return *rankpool::current_item(); }, numbers(12), {.chunksize = chunksize})) EXPECT_EQ(index, next++);
    }
}

TEST_P(ProcessQueue, ALostWorkerCostsOneItemOfAChunk) {
    ProcessPoolExecutor executor(options());
    for (const std::size_t chunksize : {1u, 4u, 20u}) {
        auto results = executor.map([](int x) { if (x == 6) die_by(SIGKILL); return x; }, numbers(20), {.chunksize = chunksize});
        for (int i = 0; i < 20; ++i) {
            if (i != 6) {
                ASSERT_EQ(results.next(), i);
                continue;
            }
            try {
                results.next();
                FAIL();
            } catch (const rankpool::WorkerLost& error) {
                EXPECT_EQ(error.item(), 6u);
            }
        }
    }
}

TEST_P(ProcessQueue, RetryAndTimeLimit) {
    auto chosen = options();
    chosen.on_loss = rankpool::OnLoss::retry;
    chosen.max_retries = 2;
    chosen.task_timeout = 3s;
    ProcessPoolExecutor executor(chosen);
    const std::string tries = path("tries"), always = path("always");
    const auto dies_until = [](const std::string& file, int enough) {
        if (marks(file) < enough) {
            mark(file, 0);
            die_by(SIGKILL);
        }
        return 5;
    };
    EXPECT_EQ(executor.submit(dies_until, tries, 2).result(), 5);
    EXPECT_THROW(executor.submit(dies_until, always, 100).result(), rankpool::WorkerLost);
    EXPECT_EQ(marks(always), 3);
    Future<int> endless = executor.submit([] { for (;;) pause(); return 0; });
    EXPECT_EQ(executor.submit(work, 1).result(), 1);
    EXPECT_THROW(endless.result(), rankpool::TaskTimeout);
    EXPECT_EQ(executor.submit(work, 1).result(), 1);
}

// Each way to die, at each moment of a task's life.
TEST_P(ProcessQueue, CrashMatrix) {
    enum Moment { alone, beside_others, with_pending, in_a_chunk, while_shutting_down, moments };
    enum Way { by_kill, by_segv, by_abort, by_exit, by_exit_code, ways };
    for (int moment = 0; moment < moments; ++moment)
        for (int way = 0; way < ways; ++way) {
            SCOPED_TRACE("moment " + std::to_string(moment) + ", way " + std::to_string(way));
            const auto die = [way](int x) {
                if (x != 3) return x;
                const int signals[] = {SIGKILL, SIGSEGV, SIGABRT};
                if (way <= by_abort) die_by(signals[way]);
                if (way == by_exit) _exit(0);
                std::exit(7);
            };
            ProcessPoolExecutor executor(options(moment == with_pending ? 1 : 2));
            const auto check = [&](Future<int> future) {
                try {
                    future.result();
                    ADD_FAILURE() << "a result of a task that died";
                } catch (const rankpool::WorkerLost& error) {
                    const int signal[] = {SIGKILL, SIGSEGV, SIGABRT, 0, 0};
                    EXPECT_EQ(error.signal(), signal[way]);
                    EXPECT_EQ(error.exit_code(), way == by_exit_code ? 7 : 0);
                }
            };
            if (moment == in_a_chunk) {
                auto results = executor.map(die, numbers(8), {.chunksize = 8});
                for (int i = 0; i < 8; ++i) {
                    if (i == 3)
                        EXPECT_THROW(results.next(), rankpool::WorkerLost);
                    else
                        EXPECT_EQ(results.next(), i);
                }
                continue;
            }
            std::vector<Future<int>> others;
            if (moment == beside_others)
                for (int i = 10; i < 15; ++i) others.push_back(executor.submit(die, i));
            Future<int> dying = executor.submit(die, 3);
            if (moment != alone)
                for (int i = 20; i < 30; ++i) others.push_back(executor.submit(die, i));
            if (moment == while_shutting_down) executor.shutdown(true);
            check(dying);
            for (auto& other : others) EXPECT_GE(other.result(), 10);
        }
}

// Of this process; what the C library keeps for later does not count.
std::size_t allocated_bytes() {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

TEST_P(ProcessQueue, SubmittingNeverWaitsAndArgumentsGoWithTheirTasks) {
    if (ranks() > 0 || allocated_bytes() == 0) return;  // what is measured is this process, where its allocations are counted
    constexpr std::size_t each = std::size_t{1} << 20;
    constexpr int tasks = 2000;
    const std::string door = path("door");
    ProcessPoolExecutor executor(options(2));
    std::vector<Future<int>> holding;
    for (int i = 0; i < 2; ++i) holding.push_back(executor.submit(pass, door, i));
    const std::size_t before = allocated_bytes();
    std::vector<Future<std::size_t>> futures;
    for (int i = 0; i < tasks; ++i) futures.push_back(executor.submit([](const std::vector<char>& bytes) { return bytes.size(); }, std::vector<char>(each, 'x')));
    EXPECT_GE(allocated_bytes() - before, tasks * each * 9 / 10) << "they wait here";
    for (int i = tasks / 2; i < tasks; ++i) EXPECT_TRUE(futures[static_cast<std::size_t>(i)].cancel());
    EXPECT_LE(allocated_bytes() - before, tasks * each * 6 / 10) << "a cancelled task's are freed";
    open_door(door);
    for (int i = 0; i < tasks / 2; ++i) ASSERT_EQ(futures[static_cast<std::size_t>(i)].result(), each);
    EXPECT_LE(allocated_bytes() - std::min(before, allocated_bytes()), 20 * each) << "and those of tasks that are over";
}

TEST_P(ProcessQueue, ResultsGoWithTheirFutures) {
    if (ranks() > 0 || allocated_bytes() == 0) return;
    constexpr std::size_t each = std::size_t{1} << 20;
    ProcessPoolExecutor executor(options(2));
    const std::size_t before = allocated_bytes();
    for (int round = 0; round < 300; ++round) executor.submit([] { return std::vector<char>(each, 'r'); });  // nobody wants it
    for (int round = 0; round < 300; ++round) executor.submit([] { return std::vector<char>(each, 'r'); }).result();
    EXPECT_LE(allocated_bytes() - std::min(before, allocated_bytes()), 20 * each);
}

TEST_P(ProcessQueue, ArgumentsAndResultsOfTwoGigabytes) {
    if (std::getenv("RANKPOOL_TEST_LARGE") == nullptr) return;
    ProcessPoolExecutor executor(options(1));
    constexpr std::size_t size = (std::size_t{2} << 30) + (std::size_t{200} << 20);
    Future<std::string> echo = executor.submit([](std::string text) { text.back() = 'e'; return text; }, std::string(size, 'x'));
    const std::string text = echo.result();
    EXPECT_EQ(text.size(), size);
    EXPECT_EQ(text.back(), 'e');
}

// Every task is either run or cancelled: counted here, and by the workers.
TEST_P(ProcessQueue, CancelRacedByWorkers) {
    const int tasks = ranks() > 0 ? 100'000 : 1'000'000;
    const std::string file = path("counts");
    SharedCounts counts(file, 1);
    ProcessPoolExecutor executor(options(2));
    std::vector<Future<int>> futures(static_cast<std::size_t>(tasks));
    std::atomic<int> submitted{0};
    std::atomic<int> cancelled{0};
    std::thread canceller([&] {
        std::uint64_t seed = 7;
        for (int next = 0; next < tasks;) {
            if (next >= submitted.load(std::memory_order_acquire)) {
                std::this_thread::yield();
                continue;
            }
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            auto& future = futures[static_cast<std::size_t>(next++)];
            if (seed >> 61 != 0) cancelled += future.cancel();  // 7 of 8
        }
    });
    for (int i = 0; i < tasks; ++i) {
        futures[static_cast<std::size_t>(i)] = executor.submit([](const std::string& shared, int x) {
            static SharedCounts here(shared, 1);
            ++here[0];
            return x;
        }, file, i);
        submitted.store(i + 1, std::memory_order_release);
    }
    canceller.join();
    int ran = 0, refused = 0;
    for (int i = 0; i < tasks; ++i) {
        auto& future = futures[static_cast<std::size_t>(i)];
        try {
            ASSERT_EQ(future.result(), i);
            ++ran;
            ASSERT_FALSE(future.cancelled());
        } catch (const rankpool::CancelledError&) {
            ++refused;
            ASSERT_TRUE(future.cancelled());
        }
    }
    EXPECT_EQ(refused, cancelled.load());
    EXPECT_EQ(ran + refused, tasks);
    EXPECT_EQ(counts[0].load(), static_cast<std::uint64_t>(ran)) << "what was cancelled was not run";
    EXPECT_GT(ran, 0);
    EXPECT_GT(refused, 0);
}

TEST_P(ProcessQueue, SubmitsWhileWorkersAreKilledAtRandom) {
    const int tasks = ranks() > 0 ? 20'000 : 100'000;
    ProcessPoolExecutor executor(options(3));
    std::atomic<bool> stop{false};
    std::atomic<int> killed{0};
    std::thread killer([&] {
        std::uint64_t seed = 1;
        while (!stop) {
            const auto workers = executor.workers();
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            if (const pid_t victim = workers[(seed >> 33) % workers.size()].pid; victim > 0 && kill(victim, SIGKILL) == 0) ++killed;
            std::this_thread::sleep_for(5ms);  // the rate of deaths, no synchronisation
        }
    });
    std::vector<Future<int>> futures;
    for (int i = 0; i < tasks; ++i) futures.push_back(executor.submit(work, i));
    int lost = 0;
    for (int i = 0; i < tasks; ++i) {
        try {
            ASSERT_EQ(futures[static_cast<std::size_t>(i)].result(), i);
        } catch (const rankpool::WorkerLost&) {
            ++lost;
        }
    }
    stop = true;
    killer.join();
    EXPECT_GT(killed, 0);
    EXPECT_LT(lost, tasks / 10);
    EXPECT_EQ(executor.submit(work, 1).result(), 1);
}

TEST_P(Queue, TenThreadsSubmitCancelAndWait) {
    ProcessPoolExecutor executor(options(3));
    std::atomic<int> wrong{0}, callbacks{0}, expected{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 10; ++thread)
        threads.emplace_back([&, thread] {
            std::uint64_t seed = static_cast<std::uint64_t>(thread) + 1;
            for (int round = 0; round < 30; ++round) {
                std::vector<Future<int>> futures;
                for (int i = 0; i < 20; ++i) {
                    futures.push_back(executor.submit([](int x) { return x + 1; }, i));
                    futures.back().add_done_callback([&](Future<int>) { ++callbacks; });
                    ++expected;
                }
                std::vector<bool> cancelled(futures.size());
                for (std::size_t i = 0; i < futures.size(); ++i) {
                    seed = seed * 6364136223846793005u + 1442695040888963407u;
                    if (seed >> 62 == 0) cancelled[i] = futures[i].cancel();
                }
                if (round % 3 == 0) rankpool::wait(futures, std::nullopt, rankpool::ReturnWhen::first_completed);
                if (round % 3 == 1) rankpool::wait(futures);
                if (round % 3 == 2)
                    for (const auto& future : rankpool::as_completed(futures)) wrong += !future.done();
                for (std::size_t i = 0; i < futures.size(); ++i) {
                    if (cancelled[i] != futures[i].cancelled()) ++wrong;
                    if (!cancelled[i]) wrong += futures[i].result() != static_cast<int>(i) + 1;
                }
            }
        });
    for (auto& thread : threads) thread.join();
    executor.shutdown();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(callbacks, expected);
}

}  // namespace
