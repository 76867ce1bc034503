// What Python's suites check of a Pool's results. Each test has the number of its behaviour; where C++ or this library's
// contract has another, the test says so.
//
// Without a meaning here:
//   B001 keyword arguments         C++ has none; the rest of it is tested
//   B032 istarmap                  no such function; imap over tuples is imap
#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <set>
#include <thread>

#include <unistd.h>

#include "pool/backends.hpp"
#include "semantics/inputs.hpp"
#include "support/item_log.hpp"

namespace {

using namespace pool_test;
using namespace semantics;
using namespace std::chrono_literals;
using item_log::ItemLog;
using rankpool::Pool;

class PoolResults : public OnBackend {};
ON_ALL_BACKENDS(PoolResults);

int square(int x) { return x * x; }
int multiply(int a, int b) { return a * b; }

std::vector<int> squares(int count) {
    auto all = numbers(count);
    for (int& each : all) each *= each;
    return all;
}

std::vector<std::pair<int, int>> pairs(int count) {
    std::vector<std::pair<int, int>> all;
    for (int i = 0; i < count; ++i) all.emplace_back(i, i + 3);
    return all;
}
std::vector<int> products(int count) {
    std::vector<int> all;
    for (const auto& [a, b] : pairs(count)) all.push_back(a * b);
    return all;
}

// A task that goes on until the file is gone, or its pool ends.
void until_gone(const item_log::Path& file) {
    while (access(file.text, F_OK) == 0 && !rankpool::stop_requested()) sched_yield();
}

TEST_P(PoolResults, B001_ApplyEqualsALocalCall) {
    Pool pool(options(4));
    EXPECT_EQ(pool.apply(square, 5), square(5));
    EXPECT_EQ(pool.apply(multiply, 6, 7), 42);
    EXPECT_EQ(pool.apply([] { return std::string("none"); }), "none");
}

TEST_P(PoolResults, B002_MapEqualsALocalMap) {
    Pool pool(options(4));
    EXPECT_EQ(pool.map(square, numbers(10)), squares(10));
}

TEST_P(PoolResults, B003_MapWithChunksEqualsALocalMap) {
    Pool pool(options(4));
    EXPECT_EQ(pool.map(square, numbers(100), {.chunksize = 20}), squares(100));
}

TEST_P(PoolResults, B004_StarmapEqualsALocalStarmap) {
    Pool pool(options(4));
    EXPECT_EQ(pool.starmap(multiply, pairs(10)), products(10));
    EXPECT_EQ(pool.starmap(multiply, pairs(100), {.chunksize = 20}), products(100));
}

TEST_P(PoolResults, B005_StarmapAsyncEqualsALocalStarmap) {
    Pool pool(options(4));
    EXPECT_EQ(pool.starmap_async(multiply, pairs(100)).get(), products(100));
}

TEST_P(PoolResults, B006_MapAsyncEqualsMap) {
    Pool pool(options(4));
    EXPECT_EQ(pool.map_async(square, numbers(10)).get(), pool.map(square, numbers(10)));
}

// Python calls back before wait() returns; here the callback comes after the result is ready, on the service thread.
TEST_P(PoolResults, B007_OnlyTheResultCallbackIsCalledWhenAMapSucceeds) {
    Pool pool(options(4));
    std::promise<std::vector<int>> result;
    std::atomic<int> errors{0};
    auto call = pool.map_async(square, numbers(10));
    call.on_result([&](const std::vector<int>& all) { result.set_value(all); });  // a second value would throw
    call.on_error([&](std::exception_ptr) { ++errors; });
    EXPECT_EQ(result.get_future().get(), squares(10));
    pool.close();
    pool.join();
    EXPECT_EQ(errors, 0);
}

TEST_P(PoolResults, B008_OnlyTheErrorCallbackIsCalledWhenAnItemFails) {
    Pool pool(options(4));
    std::promise<std::exception_ptr> error;
    std::atomic<int> results{0};
    auto call = pool.map_async([](int x) { return x == 7 ? throw std::domain_error("seven") : x; }, numbers(10));
    call.on_result([&](const std::vector<int>&) { ++results; });
    call.on_error([&](std::exception_ptr what) { error.set_value(what); });
    EXPECT_THROW(std::rethrow_exception(error.get_future().get()), std::domain_error);
    pool.close();
    pool.join();
    EXPECT_EQ(results, 0);
}

std::vector<Stubborn> stubborn_from(int first, int count) {
    std::vector<Stubborn> all;
    for (int i = 0; i < count; ++i) all.push_back({first + i});
    return all;
}
int value_of(const Stubborn& item) { return item.value; }

// Python loses the whole call; here it is an item's error like any other.
TEST_P(PoolResults, B009_AnItemThatCannotTravelFailsAloneAndNothingHangs) {
    Pool pool(options());
    EXPECT_THROW(pool.map(value_of, std::vector<Stubborn>(10, {13})), std::domain_error);
    auto outcomes = pool.map_outcomes(value_of, stubborn_from(10, 10));
    ASSERT_EQ(outcomes.size(), 10u);
    for (int i = 0; i < 10; ++i) {
        auto& outcome = outcomes[static_cast<std::size_t>(i)];
        ASSERT_EQ(outcome.has_value(), i != 3 && i != 4) << i;
        if (outcome.has_value()) {
            EXPECT_EQ(outcome.value(), 10 + i);
        } else {
            EXPECT_THROW(outcome.value(), std::domain_error);
        }
    }
    try {  // the smallest index, whoever finds out
        pool.map_async(value_of, stubborn_from(0, 20)).get();
        ADD_FAILURE();
    } catch (const std::domain_error& error) {
        EXPECT_STREQ(error.what(), "13 cannot be written");
    }
    std::vector<int> into(20, -1);
    EXPECT_THROW(pool.map_into(value_of, stubborn_from(0, 20), into), std::domain_error);

    auto results = pool.imap(value_of, stubborn_from(11, 5));
    EXPECT_EQ(results.next(), 11);
    EXPECT_EQ(results.next(), 12);
    EXPECT_THROW(results.next(), std::domain_error);
    EXPECT_THROW(results.next(), std::domain_error);
    EXPECT_EQ(results.next(), 15);
    EXPECT_FALSE(results.next().has_value());
}

TEST_P(PoolResults, B010_MapAsyncOfNothingIsReadyAtOnce) {
    Pool pool(options());
    EXPECT_TRUE(pool.map_async(square, std::vector<int>{}, {.chunksize = 1}).get(20s).empty());
}

TEST_P(PoolResults, B011_NothingGivesNothingAndThePoolCloses) {
    Pool pool(options());
    EXPECT_TRUE(pool.map(square, std::vector<int>{}).empty());
    EXPECT_FALSE(pool.imap(square, std::vector<int>{}).next().has_value());
    EXPECT_FALSE(pool.imap_unordered(square, std::vector<int>{}).next().has_value());
    EXPECT_TRUE(pool.map_async(square, std::vector<int>{}).get().empty());
    EXPECT_TRUE(pool.starmap(multiply, std::vector<std::pair<int, int>>{}).empty());
    pool.close();
    pool.join();
}

TEST_P(PoolResults, B012_AnInputThatBreaksAtItsFirstItemLeavesThePoolUsable) {
    Pool pool(options());
    for (int round = 0; round < 2; ++round) EXPECT_THROW(pool.map(square, Generator{10, 0}, {.chunksize = 1}), InputBroken);
    EXPECT_EQ(pool.map(square, numbers(10)), squares(10));
}

TEST_P(PoolResults, B013_AnInputThatBreaksInTheMiddleIsThrown) {
    Pool pool(options());
    EXPECT_THROW(pool.map(square, Generator{10, 3}), InputBroken);
    EXPECT_THROW(pool.map_async(square, Generator{10, 3}).get(), InputBroken);
}

TEST_P(PoolResults, B014_AnInputThatIsShorterThanItSaysIsThrown) {
    Pool pool(options());
    for (int round = 0; round < 2; ++round) EXPECT_THROW(pool.map(square, SizedGenerator{{1, 0}}), InputBroken);
}

TEST_P(PoolResults, B015_GetWaitsForASlowTask) {
    Pool pool(options());
    const auto begin = std::chrono::steady_clock::now();
    auto result = pool.apply_async([](int x) {
        std::this_thread::sleep_for(100ms);  // the task's time, no synchronisation
        return x;
    }, 7);
    EXPECT_EQ(result.get(), 7);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 100ms);
}

TEST_P(PoolResults, B016_GetGivesUpInTimeAndThePoolCanBeTerminated) {
    if (GetParam() == rankpool::Backend::serial) return;  // there the task runs in apply_async
    const ItemLog log;
    Pool pool(options());
    auto result = pool.apply_async(until_gone, log.path());
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THROW(result.get(50ms), rankpool::TimeoutError);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
    pool.terminate();
    pool.join();
}

TEST_P(PoolResults, B017_ImapGivesTheValuesInOrderThenItsEnd) {
    Pool pool(options());
    auto results = pool.imap(square, numbers(10));
    for (const int expected : squares(10)) EXPECT_EQ(results.next(), expected);
    for (int again = 0; again < 2; ++again) EXPECT_FALSE(results.next().has_value());
}

TEST_P(PoolResults, B018_ImapWithChunksGivesTheValuesInOrderThenItsEnd) {
    Pool pool(options());
    auto results = pool.imap(square, numbers(1000), {.chunksize = 100});
    for (const int expected : squares(1000)) ASSERT_EQ(results.next(), expected);
    EXPECT_FALSE(results.next().has_value());
}

TEST_P(PoolResults, B019_ImapOfAnInputThatBreaksAtItsFirstItemThrowsIt) {
    Pool pool(options());
    for (int round = 0; round < 2; ++round) {
        auto results = pool.imap(square, Generator{10, 0});
        EXPECT_THROW(results.next(), InputBroken);
        EXPECT_FALSE(results.next().has_value());
    }
}

TEST_P(PoolResults, B020_ImapThrowsTheInputsErrorAtItsPlace) {
    Pool pool(options());
    auto results = pool.imap(square, Generator{10, 3}, {.chunksize = 1});
    for (const int expected : squares(3)) EXPECT_EQ(results.next(), expected);
    EXPECT_THROW(results.next(), InputBroken);
    EXPECT_FALSE(results.next().has_value());
}

// Python loses the chunk that was being filled; here chunks never show.
TEST_P(PoolResults, B021_ImapThrowsTheInputsErrorAtItsPlaceWhateverTheChunks) {
    Pool pool(options());
    for (const std::size_t chunksize : {2u, 4u, 20u}) {
        auto results = pool.imap(square, Generator{20, 7}, {.chunksize = chunksize});
        for (const int expected : squares(7)) EXPECT_EQ(results.next(), expected);
        EXPECT_THROW(results.next(), InputBroken);
        EXPECT_FALSE(results.next().has_value());
    }
}

TEST_P(PoolResults, B022_ImapUnorderedGivesEachValueOnce) {
    Pool pool(options());
    for (const std::size_t chunksize : {1u, 100u}) {
        std::vector<int> values;
        for (const auto& [index, value] : pool.imap_unordered(square, numbers(1000), {.chunksize = chunksize})) {
            EXPECT_EQ(value, square(static_cast<int>(index)));
            values.push_back(value);
        }
        std::sort(values.begin(), values.end());
        EXPECT_EQ(values, squares(1000));
    }
}

TEST_P(PoolResults, B023_ImapUnorderedOfAnInputThatBreaksGivesWhatWasReadAndTheError) {
    Pool pool(options());
    auto results = pool.imap_unordered(square, Generator{30, 17});
    std::set<std::size_t> seen;
    int errors = 0;
    for (bool more = true; more;) {
        try {
            const auto result = results.next();
            more = result.has_value();
            if (!result) continue;
            EXPECT_EQ(result->second, square(static_cast<int>(result->first)));
            EXPECT_TRUE(seen.insert(result->first).second) << result->first;
        } catch (const InputBroken&) {
            ++errors;
        }
    }
    EXPECT_EQ(errors, 1);
    EXPECT_EQ(seen.size(), 17u);
}

// An item that counts how many of it there are in this process.
struct Counted {
    static std::atomic<int> alive;
    int value = 0;

    Counted() { ++alive; }
    explicit Counted(int v) : value(v) { ++alive; }
    Counted(const Counted& other) : value(other.value) { ++alive; }
    Counted& operator=(const Counted&) = default;
    ~Counted() { --alive; }
    template <class Archive>
    void serialize(Archive& archive, unsigned) { archive & value; }
};
std::atomic<int> Counted::alive{0};

TEST_P(PoolResults, B024_ThePoolKeepsNoItemAndNoResult) {
    Pool pool(options(1));
    {
        std::vector<Counted> items;
        for (int i = 0; i < 10; ++i) items.emplace_back(i);
        const auto identity = [](Counted item) { return item; };
        auto later = pool.map_async(identity, items);
        EXPECT_EQ(pool.map(identity, items)[7].value, 7);
        EXPECT_EQ(later.get()[7].value, 7);
        int sum = 0;
        for (const Counted& each : pool.imap(identity, items)) sum += each.value;
        EXPECT_EQ(sum, 45);
    }
    pool.apply([] {});  // what came before it is over, in the service thread too
    pool.close();
    pool.join();
    EXPECT_EQ(Counted::alive, 0);
}

TEST_P(PoolResults, B024_AWorkerKeepsNoItemAndNoResult) {
    Pool pool(options(1));
    (void)pool.map([](Counted item) { return item; }, std::vector<Counted>(10));
    EXPECT_EQ(pool.apply([] { return Counted::alive.load(); }), 0);
}

// Python shows the remote stack as text; here it is said which worker, item and type it was.
TEST_P(PoolResults, B025_AnErrorKeepsItsTypeAndTellsWhereItCameFrom) {
    Pool pool(options());
    try {
        pool.map([](int x) { return x == 123 ? throw std::invalid_argument("item 123") : x; }, numbers(200));
        FAIL();
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(), "item 123");
        const auto* origin = rankpool::remote_info(error);
        ASSERT_NE(origin, nullptr);
        EXPECT_EQ(origin->type_name, "std::invalid_argument");
        EXPECT_EQ(origin->item, 123u);
        EXPECT_EQ(origin->worker.pid == getpid(), !isolated());
    }
}

TEST_P(PoolResults, B026_AnErrorOfTheInputHasNoRemoteOrigin) {
    Pool pool(options());
    try {
        pool.map(square, Generator{10, 3});
        FAIL();
    } catch (const InputBroken& error) {
        EXPECT_EQ(rankpool::remote_info(error), nullptr);
    }
}

TEST_P(PoolResults, B027_AFailedMapWaitsForAllItsItemsAndLargeErrorsBlockNobody) {
    Pool pool(options(2));
    const auto begin = std::chrono::steady_clock::now();
    try {
        pool.map([](int milliseconds) -> int {
            std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));  // the task's time, no synchronisation
            throw std::runtime_error(std::string(std::size_t{1} << 20, milliseconds == 0 ? 'a' : 'b'));
        }, {0, 300}, {.chunksize = 1});
        FAIL();
    } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), std::string(std::size_t{1} << 20, 'a'));
    }
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 300ms);
    pool.close();
    pool.join();
}

TEST_P(PoolResults, B028_TheErrorCallbackGetsWhatGetThrows) {
    Pool pool(options());
    std::promise<std::exception_ptr> told;
    auto call = pool.apply_async([]() -> int { throw std::underflow_error("low"); });
    call.on_error([&](std::exception_ptr error) { told.set_value(error); });
    EXPECT_THROW(call.get(), std::underflow_error);
    EXPECT_THROW(std::rethrow_exception(told.get_future().get()), std::underflow_error);
}

TEST_P(PoolResults, B029_AResultThatCannotTravelCostsNoWorker) {
    Pool pool(options(2));
    const auto pids = [&] {
        std::vector<pid_t> all;
        for (const auto& worker : pool.workers()) all.push_back(worker.pid);
        return all;
    };
    const auto before = pids();
    for (int round = 0; round < 20; ++round) {
        std::promise<std::exception_ptr> told;
        auto call = pool.apply_async([] { return Stubborn{13}; });
        call.on_error([&](std::exception_ptr error) { told.set_value(error); });
        try {
            call.get();
            FAIL();
        } catch (const std::domain_error& error) {
            EXPECT_STREQ(error.what(), "13 cannot be written");
        }
        EXPECT_THROW(std::rethrow_exception(told.get_future().get()), std::domain_error);
    }
    EXPECT_EQ(pids(), before);
    for (const auto& worker : pool.stats().workers) EXPECT_EQ(worker.losses, 0u);
}

// Two hundred workers are tested in Map.PoolOfTwoHundredWorkers; this is about the silence.
TEST_P(PoolResults, B030_AWorkingPoolWritesNothingToStandardError) {
    testing::internal::CaptureStderr();
    {
        Pool pool(options(12));
        int sum = 0;
        for (const int value : pool.map(square, numbers(1000))) sum += value;
        EXPECT_EQ(sum, 332833500);
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_P(PoolResults, B031_AnInputWithoutALengthIsMappedToo) {
    Pool pool(options());
    EXPECT_EQ(pool.map(square, Generator{100}), squares(100));
    EXPECT_EQ(pool.map(square, Generator{100}, {.chunksize = 20}), squares(100));
    EXPECT_EQ(pool.starmap(multiply, pairs(50), {.chunksize = 20}), products(50));
}

TEST_P(PoolResults, B033_ReadyAndSuccessfulFollowTheTask) {
    if (GetParam() == rankpool::Backend::serial) return;  // there every result is ready when the call returns
    const ItemLog log;
    Pool pool(options());
    auto running = pool.apply_async(until_gone, log.path());
    EXPECT_FALSE(running.ready());
    EXPECT_THROW((void)running.successful(), std::logic_error);
    EXPECT_FALSE(running.wait(10ms));
    EXPECT_FALSE(running.ready());
    unlink(log.path().text);
    running.wait();
    EXPECT_TRUE(running.ready());
    EXPECT_TRUE(running.successful());
}

}  // namespace
