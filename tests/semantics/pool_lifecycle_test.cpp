// What Python's suites check of a Pool's life. Each test has the number of its behaviour; where this library's contract has
// another, the test says so.
//
// Without a meaning here:
//   B035 an initializer that is not callable    does not compile (compile_fail/task_no_function)
//   B039 entering a pool that is not running    there is no entering; new work throws PoolClosed (B038)
//   B040 a warning when a pool is dropped       its destructor terminates it, always
//   B043 fractions and texts as counts          do not compile
//   B049 a warning for what is not supported    it throws (PoolArguments.AreCheckedWithTheirValueInTheText)
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <thread>

#include "pool/backends.hpp"
#include "semantics/ends_with_a_pool.hpp"
#include "semantics/inputs.hpp"
#include "support/descendants.hpp"
#include "support/door.hpp"
#include "support/item_log.hpp"
#include "support/subprocess.hpp"

namespace {

using namespace pool_test;
using namespace semantics;
using namespace std::chrono_literals;
using item_log::ItemLog;
using item_log::Moment;
using rankpool::Backend;
using rankpool::Pool;

class PoolLifecycle : public OnBackend {};
ON_ALL_BACKENDS(PoolLifecycle);

// A task that only its pool's end ends.
int endless(int x) {
    while (!rankpool::stop_requested()) sched_yield();
    return x;
}

int square(int x) { return x * x; }

// A task that ends once a door is open.
auto square_behind(const item_log::Path& door) {
    return [door](int x) {
        door::pass(door.text);
        return x * x;
    };
}

// In Python no worker at all is an error; here it means one for each usable CPU.
TEST_P(PoolLifecycle, B034_WorkersExistAtOnceAndANegativeNumberIsRefused) {
    EXPECT_THROW(Pool(options(-1)), std::invalid_argument);
    if (GetParam() == Backend::serial) return;
    Pool pool(options(3));
    const auto workers = pool.workers();
    ASSERT_EQ(workers.size(), 3u);
    for (const auto& worker : workers) {
        EXPECT_GT(worker.pid, 0);
        EXPECT_EQ(worker.size, 3);
    }
}

TEST_P(PoolLifecycle, B036_TheInitializerOfOneWorkerRunsExactlyOnce) {
    const ItemLog log;
    auto chosen = options(1);
    chosen.initializer = [path = log.path()] { note(path, 5, Moment::started); };
    Pool pool(chosen);
    EXPECT_EQ(pool.map(square, numbers(5)), (std::vector{0, 1, 4, 9, 16}));
    pool.close();
    pool.join();
    EXPECT_EQ(log.read()[5].started, 1);
    EXPECT_EQ(log.records().size(), 1u);
}

TEST_P(PoolLifecycle, B037_TerminateReturnsThoughThousandsOfTasksNeverEnd) {
    if (GetParam() == Backend::serial) return;  // there the call runs them itself
    Pool pool(options(3));
    std::vector<rankpool::AsyncResult<int>> results;
    for (int i = 0; i < 500; ++i) results.push_back(pool.apply_async(endless, i));
    auto all = pool.map_async(endless, numbers(10'000), {.chunksize = 1});
    pool.terminate();
    pool.join();
    EXPECT_THROW(all.get(), rankpool::CancelledError);
    for (auto& result : results) EXPECT_THROW(result.get(), rankpool::CancelledError);
}

TEST_P(PoolLifecycle, B038_ATerminatedPoolTakesNoWorkAndCanBeJoined) {
    Pool pool(options(3));
    EXPECT_EQ(pool.map_async(square, {2, 3}).get(), (std::vector{4, 9}));
    pool.terminate();
    EXPECT_THROW(pool.map_async(square, {2, 3}), rankpool::PoolClosed);
    EXPECT_THROW(pool.imap_unordered(square, {2, 3}), rankpool::PoolClosed);
    pool.join();
    pool.terminate();  // again is nothing
    pool.close();
    pool.join();
}

std::set<pid_t> pids_of(Pool& pool) {
    std::set<pid_t> all;
    for (const auto& worker : pool.workers()) all.insert(worker.pid);
    return all;
}

TEST_P(PoolLifecycle, B041_WorkersAreReplacedAfterTheirTasks) {
    if (!isolated()) return;
    auto chosen = options(3);
    chosen.max_tasks_per_child = 10;
    Pool pool(chosen);
    const auto before = pids_of(pool);
    std::vector<rankpool::AsyncResult<int>> results;
    for (int i = 0; i < 100; ++i) results.push_back(pool.apply_async(square, i));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), i * i);
    EXPECT_NE(pids_of(pool), before);
    EXPECT_EQ(pids_of(pool).size(), 3u);
}

TEST_P(PoolLifecycle, B042_WorkersAreReplacedAfterCloseToo) {
    if (!isolated()) return;
    auto chosen = options(3);
    chosen.max_tasks_per_child = 1;
    Pool pool(chosen);
    std::vector<rankpool::AsyncResult<int>> results;
    const ItemLog files;
    const auto door = files.name("door");
    for (int i = 0; i < 6; ++i) results.push_back(pool.apply_async(square_behind(door), i));
    pool.close();
    door::open_for_all(door.text);
    pool.join();
    for (int i = 0; i < 6; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), i * i);
}

// In Python 0 is an error; here it means never.
TEST_P(PoolLifecycle, B043_ANegativeNumberOfTasksIsRefusedAndZeroMeansNever) {
    auto chosen = options(2);
    chosen.max_tasks_per_child = -1;
    EXPECT_THROW(Pool{chosen}, std::invalid_argument);
    chosen.max_tasks_per_child = 0;
    Pool pool(chosen);
    const auto before = pids_of(pool);
    (void)pool.map([](int x) { return x; }, numbers(1000), {.chunksize = 1});
    EXPECT_EQ(pids_of(pool), before);
}

// The smallest number of descriptors that leaves this many free.
rlim_t number_with_free_below(int wanted) {
    int number = 0;
    for (int free = 0; free < wanted; ++number) free += fcntl(number, F_GETFD) < 0 ? 1 : 0;
    return static_cast<rlim_t>(number);
}

TEST_P(PoolLifecycle, B044_AWorkerThatCannotBeMadeIsAnErrorAndLeavesNoOther) {
    if (!isolated()) return;
    Pool before_it(options(1));  // so that the service processes exist
    const auto before = descendants::of_this_process();
    rlimit usual;
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
    // Room for the pool's own descriptors and some workers', not for all.
    const rlimit few{number_with_free_below(12), usual.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    EXPECT_THROW(Pool(options(60)), rankpool::Error);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
    EXPECT_TRUE(descendants::become(before)) << "workers of the pool that was never there are left";
    EXPECT_EQ(before_it.apply([](int x) { return x + 1; }, 1), 2);
    EXPECT_EQ(Pool(options(5)).apply([](int x) { return x + 1; }, 1), 2);
}

TEST(PoolAtTheEnd, B045_AProgramThatNeverClosesItsPoolEnds) {
    for (const auto how : {end_without_run, end_inside_run}) {
        const auto result = subprocess::run({"/proc/self/exe", std::string(how)});
        EXPECT_FALSE(result.timed_out) << how;
        EXPECT_EQ(result.exit_code, 0) << how << ": " << result.err;
        EXPECT_EQ(result.err, "") << how;
        EXPECT_TRUE(result.left_behind.empty()) << how << ": " << result.left_behind.front();
    }
}

TEST(PoolAtTheEnd, StdExitPastAPoolOnTheStack) {
    for (const auto how : {exit_without_run, exit_inside_run}) {
        const auto result = subprocess::run({"/proc/self/exe", std::string(how)});
        EXPECT_FALSE(result.timed_out) << how;
        EXPECT_EQ(result.exit_code, 3) << how << ": " << result.err;
        EXPECT_EQ(result.err, "") << how;
        EXPECT_TRUE(result.left_behind.empty()) << how << ": " << result.left_behind.front();
    }
}

// The child process here is a worker: what a task may do, any child may.
TEST_P(PoolLifecycle, B046_APoolInAChildProcessWorks) {
    if (!isolated()) return;
    Pool pool(options(2));
    const auto sums = pool.map([](int x) {
        Pool inner(2);
        auto later = inner.map_async([](int y) { return y * y; }, std::vector{x, x + 1});
        inner.close();
        inner.join();
        return later.get()[0] + later.get()[1];
    }, {1, 2});
    EXPECT_EQ(sums, (std::vector{5, 13}));
}

// mpi4py's result has no error of its own for this and times out; here it is CancelledError.
TEST_P(PoolLifecycle, B047_WorkThatWasNotStartedIsCancelledByTerminate) {
    if (GetParam() == Backend::serial) return;  // there nothing waits
    Pool pool(options(2));
    std::vector<rankpool::AsyncResult<int>> results;
    for (int i = 0; i < 100; ++i) results.push_back(pool.apply_async(endless, i));
    pool.terminate();
    pool.join();
    for (auto& result : results) {
        EXPECT_TRUE(result.ready());
        EXPECT_FALSE(result.successful());
        EXPECT_THROW(result.get(), rankpool::CancelledError);
    }
}

TEST_P(PoolLifecycle, B048_CloseAndJoinBringAllResults) {
    Pool pool(options(2));
    std::vector<rankpool::AsyncResult<int>> results;
    const ItemLog files;
    const auto door = files.name("door");
    if (GetParam() == Backend::serial) door::open_for_all(door.text);  // there apply_async runs them itself
    for (int i = 0; i < 5; ++i) results.push_back(pool.apply_async(square_behind(door), i));
    pool.close();
    door::open_for_all(door.text);
    pool.join();
    for (int i = 0; i < 5; ++i) {
        EXPECT_TRUE(results[static_cast<std::size_t>(i)].ready());
        EXPECT_EQ(results[static_cast<std::size_t>(i)].get(), i * i);
    }
}

}  // namespace
