// Executors: workers' lives and shutdown, as Python's suite checks them (112 to 134), with their meaning here.
//
// Not here: 113 (every backend may replace workers), 122 (a destructor waits: 123), 124 to 126 (the end of the program:
// tests/executor/programs/endings.cpp), 132 (no bootup), 133 (no idle timeout), 134 (no limit of memory).
#include <fstream>
#include <thread>

#include "semantics/executor_semantics.hpp"

namespace {

using namespace executor_test;
using namespace std::chrono_literals;

TEST_P(ProcessSemantics, B112_AWorkerIsReplacedAfterItsTasks) {
    auto chosen = options(1);
    chosen.max_tasks_per_child = 3;
    ProcessPoolExecutor executor(chosen);
    std::vector<pid_t> pids;
    for (int i = 0; i < 4; ++i) pids.push_back(executor.submit([] { return getpid(); }).result());
    EXPECT_EQ(pids[0], pids[1]);
    EXPECT_EQ(pids[0], pids[2]);
    EXPECT_NE(pids[0], pids[3]);
    EXPECT_EQ(executor.workers().size(), 1u);
}

TEST_P(ProcessSemantics, B114_ReplacingWorkersNeverStallsABacklog) {
    for (const auto& [workers, tasks, jobs] : {std::tuple{1, 2, 6}, std::tuple{2, 2, 8}}) {
        auto chosen = options(workers);
        chosen.max_tasks_per_child = tasks;
        ProcessPoolExecutor executor(chosen);
        EXPECT_EQ(all_of(executor.map([](int x) { return x; }, numbers(jobs))), numbers(jobs));
        EXPECT_EQ(all_of(executor.map([](int x) { return x; }, numbers(jobs), {.chunksize = 4})), numbers(jobs));
    }
}

TEST_P(ProcessSemantics, B115_ShutdownRightAfterSubmitsWithOneTaskAWorker) {
    auto chosen = options(2);
    chosen.max_tasks_per_child = 1;
    ProcessPoolExecutor executor(chosen);
    std::vector<Future<int>> futures;
    for (int i = 0; i < 6; ++i) futures.push_back(executor.submit([](int x) { return x; }, i));
    executor.shutdown();
    for (int i = 0; i < 6; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].result(), i);
}

TEST_P(ProcessSemantics, B116_WorkersAreReplacedAfterShutdownToo) {
    auto chosen = options(1);
    chosen.max_tasks_per_child = 2;
    ProcessPoolExecutor executor(chosen);
    const std::string door = path("door");
    std::vector<Future<int>> futures;
    for (int i = 0; i < 6; ++i) futures.push_back(executor.submit(pass, door, i));
    executor.shutdown(false);
    open_door(door);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].result(), i);
}

TEST_P(Semantics, B117_NoSubmitAfterShutdown) {
    ProcessPoolExecutor executor(options());
    executor.shutdown();
    EXPECT_THROW(executor.submit([] { return 1; }), rankpool::ExecutorShutdown);
    EXPECT_THROW(executor.map([](int x) { return x; }, numbers(3)), rankpool::ExecutorShutdown);
    EXPECT_THROW(executor.map([](int x) { return x; }, numbers(3), {.buffersize = 1}), rankpool::ExecutorShutdown);
    EXPECT_TRUE(executor.workers().empty());
}

TEST_P(Semantics, B118_ShutdownLetsEverythingComplete) {
    ProcessPoolExecutor executor(options());
    std::vector<Future<int>> futures;
    for (int i = 0; i < 50; ++i) futures.push_back(executor.submit([](int x) { return x; }, i));
    executor.shutdown();
    for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(futures[static_cast<std::size_t>(i)].done());
        EXPECT_EQ(futures[static_cast<std::size_t>(i)].result(), i);
    }
}

TEST_P(Semantics, B119_ShutdownThatCancelsSparesWhatRuns) {
    if (!concurrent()) return;
    const std::string door = path("door");
    ProcessPoolExecutor executor(options(5));
    std::vector<Future<int>> futures;
    for (int i = 0; i < 50; ++i) futures.push_back(executor.submit(pass, door, i));
    executor.shutdown(false, true);
    open_door(door);
    executor.shutdown(true);
    for (int i = 0; i < 50; ++i) {
        auto& future = futures[static_cast<std::size_t>(i)];
        EXPECT_EQ(future.cancelled(), i >= 5) << i;
        if (i < 5)
            EXPECT_EQ(future.result(), i);
        else
            EXPECT_THROW(future.result(), rankpool::CancelledError);
    }
}

TEST_P(Semantics, B120_SubmitCancelShutdown) {
    for (int round = 0; round < 20; ++round) {
        ProcessPoolExecutor executor(options(1));
        Future<int> future = executor.submit([] { return 1; });
        future.cancel();
        executor.shutdown(true);
        EXPECT_TRUE(future.done());
    }
}

TEST_P(ProcessSemantics, B121_AfterShutdownWithoutWaitingTheWorkersEndByThemselves) {
    ProcessPoolExecutor executor(options());
    const auto workers = executor.workers();
    const std::string door = path("door");
    Future<int> future = executor.submit(pass, door, 7);
    executor.shutdown(false);
    open_door(door);
    EXPECT_EQ(future.result(), 7);
    for (const auto& worker : workers) until([&] { return process_is_gone(worker.pid); });
}

TEST_P(Semantics, B123_TheEndOfTheScopeWaits) {
    std::vector<Future<int>> futures;
    std::vector<rankpool::WorkerInfo> workers;
    {
        ProcessPoolExecutor executor(options());
        workers = executor.workers();
        for (int i = 0; i < 20; ++i) futures.push_back(executor.submit([](int x) { return x; }, i));
    }
    for (int i = 0; i < 20; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].result(0ns), i);
    if (!isolated()) return;
    for (const auto& worker : workers) EXPECT_TRUE(process_is_gone(worker.pid));
}

TEST_P(Semantics, B127_AfterShutdownWithoutWaitingFuturesCompleteAndSubmitFails) {
    if (!concurrent()) return;
    ProcessPoolExecutor executor(options(1));
    const std::string door = path("door");
    Future<int> running = executor.submit(pass, door, 1), pending = executor.submit(pass, door, 2);
    executor.shutdown(false);
    EXPECT_THROW(executor.submit([] { return 1; }), rankpool::ExecutorShutdown);
    EXPECT_TRUE(running.running());
    EXPECT_FALSE(pending.running() || pending.done());
    open_door(door);
    EXPECT_EQ(running.result(), 1);
    EXPECT_EQ(pending.result(), 2);
}

// A task that makes an executor whose task makes an executor …; the innermost writes its pid and stays.
int nested(int depth, const std::string& file) {
    mark(file, 0);
    if (depth == 0) {
        const std::string text = std::to_string(getpid());
        const int fd = open((file + ".pid").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
        close(fd);
        rename((file + ".pid").c_str(), (file + ".ready").c_str());
        for (;;) pause();
        return written;
    }
    ExecutorOptions chosen;
    chosen.max_workers = 1;
    ProcessPoolExecutor executor(chosen);
    return executor.submit(nested, depth - 1, file).result();
}

TEST_P(ProcessSemantics, B128_KillWorkersEndsNestedExecutorsToo) {
    ProcessPoolExecutor executor(options(1));
    const std::string file = path("nested");
    Future<int> future = executor.submit(nested, 2, file);
    until([&] { return access((file + ".ready").c_str(), F_OK) == 0; });
    std::ifstream in(file + ".ready");
    pid_t innermost = 0;
    in >> innermost;
    ASSERT_GT(innermost, 0);
    executor.kill_workers();
    EXPECT_THROW(future.result(), rankpool::BrokenProcessPool);
    until([&] { return process_is_gone(innermost); });
}

// Waits for ever; SIGTERM writes a mark and ends it.
std::string* told = nullptr;
int until_told(const std::string& begun, const std::string& ended) {
    told = new std::string(ended);
    std::signal(SIGTERM, [](int) {
        mark(*told, 0);
        _exit(0);
    });
    mark(begun, 0);
    for (;;) pause();
}

TEST_P(ProcessSemantics, B129_EndingTheWorkers) {
    for (const bool kill : {false, true}) {
        const std::string begun = path(kill ? "begun.kill" : "begun.terminate"), ended = begun + ".ended", after = begun + ".after";
        {
            ProcessPoolExecutor executor(options(2));
            const auto workers = executor.workers();
            Future<int> running = executor.submit(until_told, begun, ended);
            Future<int> other = executor.submit([](const std::string& file) { return pass(file + ".never", 0); }, begun);
            Future<int> pending = executor.submit(mark, after, 1);
            until([&] { return marks(begun) == 1; });
            kill ? executor.kill_workers() : executor.terminate_workers();
            EXPECT_THROW(running.result(), rankpool::BrokenProcessPool);
            EXPECT_THROW(other.result(), rankpool::BrokenProcessPool);
            EXPECT_THROW(pending.result(), rankpool::CancelledError);
            EXPECT_TRUE(pending.cancelled());
            EXPECT_FALSE(running.cancelled());
            EXPECT_THROW(executor.submit([] { return 1; }), rankpool::ExecutorShutdown);
            for (const auto& worker : workers) until([&] { return process_is_gone(worker.pid); });
            kill ? executor.terminate_workers() : executor.kill_workers();  // once more is nothing
        }
        EXPECT_EQ(marks(ended), kill ? 0 : 1) << "SIGTERM can be handled, SIGKILL cannot";
        EXPECT_EQ(marks(after), 0);
    }
    ProcessPoolExecutor idle(options(2));
    const auto workers = idle.workers();
    idle.terminate_workers();
    for (const auto& worker : workers) until([&] { return process_is_gone(worker.pid); });
    idle.kill_workers();
    idle.shutdown();
    idle.kill_workers();
}

TEST_P(ProcessSemantics, B129_AWorkerThatIgnoresSigtermIsKilledAtTheEnd) {
    pid_t stubborn = 0;
    {
        ProcessPoolExecutor executor(options(1));
        const std::string begun = path("begun");
        stubborn = executor.workers().front().pid;
        Future<void> future = executor.submit([](const std::string& file) {
            std::signal(SIGTERM, SIG_IGN);
            mark(file, 0);
            for (;;) pause();
        }, begun);
        until([&] { return marks(begun) == 1; });
        executor.terminate_workers();
        EXPECT_THROW(future.result(), rankpool::BrokenProcessPool);
        EXPECT_FALSE(process_is_gone(stubborn));
    }
    EXPECT_TRUE(process_is_gone(stubborn));
}

TEST_P(Semantics, B130_ShutdownMayBeCalledAgainInAnyMix) {
    if (!concurrent()) return;
    const std::string door = path("door");
    ProcessPoolExecutor executor(options(1));
    Future<int> running = executor.submit(pass, door, 1), pending = executor.submit(pass, door, 2);
    executor.shutdown(false);
    executor.shutdown(false, false);
    EXPECT_FALSE(pending.done());
    executor.shutdown(false, true);
    EXPECT_TRUE(pending.cancelled()) << "a later call cancels too";
    open_door(door);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&, i] { executor.shutdown(true, i % 2 == 0); });
    for (auto& thread : threads) thread.join();
    executor.shutdown();
    EXPECT_EQ(running.result(), 1);
}

TEST_P(Semantics, B131_AWaiterHearsOfFuturesThatShutdownCancels) {
    if (!concurrent()) return;
    const std::string door = path("door");
    ProcessPoolExecutor executor(options(1));
    std::vector<Future<int>> futures{executor.submit(pass, door, 0)};
    for (int i = 1; i <= 100; ++i) futures.push_back(executor.submit(pass, door, i));
    std::thread other([&] {
        executor.shutdown(false, true);
        open_door(door);
    });
    const auto result = rankpool::wait(futures);
    other.join();
    EXPECT_EQ(result.done.size(), 101u);
    EXPECT_TRUE(result.not_done.empty());
    EXPECT_FALSE(futures[0].cancelled());
    EXPECT_EQ(futures[0].result(), 0);
}

}  // namespace
