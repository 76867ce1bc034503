// Executors: the basics that Python's suite checks (84 to 111), with their meaning here.
//
// Not here: 92 (a buffersize has a type, and 0 means all), 98 (no unordered map of executors), 105 (workers start at once,
// not on demand), 109 (tests/executor/queue_test.cpp).
#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

#include "semantics/executor_semantics.hpp"

namespace {

using namespace executor_test;
using namespace std::chrono_literals;

EXECUTORS_ON_ALL_BACKENDS(Semantics);
EXECUTORS_ON_PROCESSES(ProcessSemantics);

int power(int base, int exponent) {
    int result = 1;
    while (exponent-- > 0) result *= base;
    return result;
}

TEST_P(Semantics, B084_SubmitGivesTheResult) {
    ProcessPoolExecutor executor(options());
    EXPECT_EQ(executor.submit(power, 2, 8).result(), 256);
    EXPECT_EQ(executor.submit([](const std::string& a, int b) { return a + std::to_string(b); }, std::string("x"), 1).result(), "x1");
    Future<void> nothing = executor.submit([] {});
    nothing.result();
    EXPECT_TRUE(nothing.done());
}

TEST_P(Semantics, B085_MapEqualsALoopWhateverTheChunks) {
    ProcessPoolExecutor executor(options(3));
    std::vector<int> expected;
    for (const int x : numbers(40)) expected.push_back(power(2, x % 20));
    for (const std::size_t chunksize : {1u, 3u, 6u, 40u, 50u})
        EXPECT_EQ(all_of(executor.map([](int x) { return power(2, x % 20); }, numbers(40), {.chunksize = chunksize})), expected);
    EXPECT_THROW(executor.map([](int x) { return x; }, numbers(4), {.chunksize = 0}), std::invalid_argument);
}

TEST_P(Semantics, B086_MapWithATimeoutGivesWhatIsThereThenTimeoutErrorThenTheEnd) {
    if (!concurrent()) return;
    ProcessPoolExecutor executor(options());
    const std::string open = path("open"), closed = path("closed");
    open_door(open);
    auto results = executor.map([](const std::string& door) { return pass(door, 1); }, std::vector{open, open, closed}, {.timeout = 300ms});
    int seen = 0;
    EXPECT_THROW(while (results.next()) ++seen, rankpool::TimeoutError);
    EXPECT_LE(seen, 2);
    EXPECT_FALSE(results.next().has_value());
    EXPECT_FALSE(results.next().has_value());
    open_door(closed);
}

TEST_P(Semantics, B087_AnErrorIsThrownAtItsPlaceAndIterationGoesOn) {
    ProcessPoolExecutor executor(options());
    const auto divide = [](int divisor) {
        if (divisor == 0) throw std::domain_error("division by zero");
        return 6 / divisor;
    };
    for (const std::size_t chunksize : {1u, 3u, 10u}) {
        auto results = executor.map(divide, std::vector{1, 2, 0, 3}, {.chunksize = chunksize});
        EXPECT_EQ(results.next(), 6);
        EXPECT_EQ(results.next(), 3);
        EXPECT_THROW(results.next(), std::domain_error);
        EXPECT_EQ(results.next(), 2);
        EXPECT_FALSE(results.next().has_value());
    }
}

TEST_P(Semantics, B088_ATimeoutErrorOfTheFunctionIsAnErrorLikeAnyOther) {
    ProcessPoolExecutor executor(options());
    const auto function = [](int x) {
        if (x == 1) throw rankpool::TimeoutError("of the function");
        return x;
    };
    for (const auto& timeout : {std::optional<std::chrono::nanoseconds>(), std::optional<std::chrono::nanoseconds>(1h)}) {
        auto results = executor.map(function, numbers(3), {.timeout = timeout});
        EXPECT_EQ(results.next(), 0);
        try {
            results.next();
            FAIL();
        } catch (const rankpool::TimeoutError& error) {
            EXPECT_STREQ(error.what(), "of the function");
        }
        EXPECT_EQ(results.next(), 2);
        EXPECT_FALSE(results.next().has_value());
    }
}

TEST_P(Semantics, B089_DroppingARangeCancelsWhatHasNotBegun) {
    if (!concurrent()) return;
    const std::string door = path("door"), ran = path("ran");
    {
        ProcessPoolExecutor executor(options(1));
        {
            const auto results = executor.map([](const std::pair<std::string, std::string>& names) { return pass_and_mark(names.first, names.second, 1); },
                                              std::vector<std::pair<std::string, std::string>>(5, {door, ran}));
        }
        open_door(door);
    }
    EXPECT_EQ(marks(ran), 1);
}

TEST_P(Semantics, B090_AMapThatNobodyReadsIsRunAllTheSame) {
    const std::string ran = path("ran");
    ProcessPoolExecutor executor(options());
    const auto results = executor.map([](const std::string& file) { return mark(file, 1); }, std::vector(20, ran));
    executor.shutdown(true);
    EXPECT_EQ(marks(ran), 20);
}

TEST_P(Semantics, B091_AMapWithoutTimeLeavesNothingBehindThatRunsLater) {
    if (!concurrent()) return;
    const std::string door = path("door"), ran = path("ran");
    {
        ProcessPoolExecutor executor(options(1));
        const auto holding = executor.submit(pass, door, 1);
        auto results = executor.map([](const std::string& file) { return mark(file, 1); }, std::vector(5, ran), {.timeout = 0ns});
        EXPECT_THROW(results.next(), rankpool::TimeoutError);
        open_door(door);
        EXPECT_FALSE(results.next().has_value());
    }
    EXPECT_EQ(marks(ran), 0);
}

TEST_P(Semantics, B093_ABoundedMapGivesTheSameResults) {
    ProcessPoolExecutor executor(options());
    for (const std::size_t buffersize : {1u, 2u, 4u, 8u})
        EXPECT_EQ(all_of(executor.map([](int x) { return x * x; }, numbers(4), {.buffersize = buffersize})), (std::vector{0, 1, 4, 9}));
}

// An endless single-pass input that counts what was read of it.
struct Endless {
    std::shared_ptr<int> read = std::make_shared<int>(0);
    struct iterator {
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        std::shared_ptr<int> read;
        int at = 0;
        int operator*() const { *read = at + 1; return at; }
        iterator& operator++() { ++at; return *this; }
        void operator++(int) { ++at; }
        bool operator==(std::default_sentinel_t) const { return false; }
    };
    iterator begin() { return {read}; }
    std::default_sentinel_t end() { return {}; }
};

TEST_P(Semantics, B094_ABoundedMapReadsAnEndlessInput) {
    ProcessPoolExecutor executor(options());
    Endless input;
    auto results = executor.map([](int x) { return x + 1; }, input, {.buffersize = 2});
    for (int i = 0; i < 100; ++i) {
        ASSERT_EQ(results.next(), i + 1);
        ASSERT_LE(*input.read, i + 3);
    }
}

TEST_P(Semantics, B095_ABoundedMapOfNothingIsEmpty) {
    ProcessPoolExecutor executor(options());
    EXPECT_TRUE(all_of(executor.map([](int x) { return x; }, std::vector<int>(), {.buffersize = 2})).empty());
    EXPECT_TRUE(all_of(executor.map([](int x) { return x; }, std::vector<int>())).empty());
}

TEST_P(Semantics, B096_ABoundedMapReadsNoMoreThanItsBufferAtTheCall) {
    ProcessPoolExecutor executor(options());
    Endless input;
    auto results = executor.map([](int x) { return x; }, input, {.buffersize = 2});
    executor.shutdown(true);
    EXPECT_EQ(*input.read, 2);
    EXPECT_EQ(results.next(), 0);
    EXPECT_EQ(results.next(), 1);
    EXPECT_THROW(results.next(), rankpool::ExecutorShutdown) << "it never just ends early";
    EXPECT_FALSE(results.next().has_value());
}

TEST_P(Semantics, B097_EveryPairOfBufferAndChunkGivesTheSameResults) {
    ProcessPoolExecutor executor(options());
    for (const std::size_t buffersize : {1u, 2u, 9u, 10u, 11u})
        for (const std::size_t chunksize : {1u, 2u, 9u, 10u, 11u})
            EXPECT_EQ(all_of(executor.map([](int x) { return x; }, numbers(10), {.chunksize = chunksize, .buffersize = buffersize})), numbers(10));
}

TEST_P(Semantics, B099_AMapOfPairsEqualsACallWithTheirElements) {
    ProcessPoolExecutor executor(options());
    const std::vector<std::pair<int, int>> pairs{{2, 3}, {3, 2}, {10, 0}};
    EXPECT_EQ(all_of(executor.map([](const std::pair<int, int>& each) { return power(each.first, each.second); }, pairs)), (std::vector{8, 9, 1}));
}

TEST_P(Semantics, B100_NegativeNumbersAreRefused) {
    EXPECT_THROW(ProcessPoolExecutor(options(-1)), std::invalid_argument);
    auto chosen = options();
    chosen.max_tasks_per_child = -1;
    EXPECT_THROW(ProcessPoolExecutor{chosen}, std::invalid_argument);
    chosen = options();
    chosen.max_retries = -1;
    EXPECT_THROW(ProcessPoolExecutor{chosen}, std::invalid_argument);
    chosen = options();
    chosen.task_timeout = -1ns;
    EXPECT_THROW(ProcessPoolExecutor{chosen}, std::invalid_argument);
    if (isolated()) return;
    chosen.task_timeout = 1s;
    EXPECT_THROW(ProcessPoolExecutor{chosen}, std::invalid_argument);
    chosen = options();
    chosen.max_tasks_per_child = 1;
    EXPECT_THROW(ProcessPoolExecutor{chosen}, std::invalid_argument);
}

std::atomic<int> alive{0};
struct Counted {
    int value = 0;
    Counted() { ++alive; }
    explicit Counted(int v) : value(v) { ++alive; }
    Counted(const Counted& other) : value(other.value) { ++alive; }
    ~Counted() { --alive; }
    Counted& operator=(const Counted&) = default;
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & value;
    }
};

TEST_P(Semantics, B101_ArgumentsAndResultsAreNotKeptAlive) {
    ProcessPoolExecutor executor(options());
    alive = 0;
    {
        Future<Counted> future = executor.submit([](Counted argument) { return Counted(argument.value + 1); }, Counted(1));
        EXPECT_EQ(future.result().value, 2);
        if (isolated()) {
            EXPECT_EQ(alive, 1) << "the future's";
        } else {
            until([] { return alive == 1; });  // the worker lets go of its own in its time
        }
    }
    EXPECT_EQ(executor.submit([] { return 0; }).result(), 0);
    until([] { return alive == 0; });
    auto results = executor.map([](const Counted& argument) { return argument; }, std::vector<Counted>(10));
    while (auto next = results.next()) {
    }
    until([] { return alive == 0; });
}

TEST_P(Semantics, B102_AnErrorWithoutTextIsAnError) {
    ProcessPoolExecutor executor(options());
    Future<int> future = executor.submit([]() -> int { throw std::runtime_error(""); });
    EXPECT_THROW(future.result(), std::runtime_error);
    EXPECT_NE(future.exception(), nullptr);
}

TEST_P(Semantics, B103_AnErrorKeepsTypeAndTextAndTellsWhereItWasThrown) {
    ProcessPoolExecutor executor(options());
    try {
        executor.submit([]() -> int { throw std::out_of_range("index 7"); }).result();
        FAIL();
    } catch (const std::out_of_range& error) {
        EXPECT_STREQ(error.what(), "index 7");
        const rankpool::RemoteInfo* origin = rankpool::remote_info(error);
        ASSERT_NE(origin, nullptr);
        EXPECT_EQ(origin->type_name, "std::out_of_range");
        EXPECT_EQ(origin->worker.size, executor.size());
    }
    auto results = executor.map([](int x) -> int { throw x; }, numbers(2), {.chunksize = 2});
    for (const std::size_t item : {0u, 1u}) {
        try {
            results.next();
            FAIL();
        } catch (const rankpool::RemoteError& error) {
            EXPECT_EQ(rankpool::remote_info(error)->item, item);
        }
    }
}

TEST_P(Semantics, B104_ManyTasksAreRunByExactlyTheWorkersThereAre) {
    if (!concurrent()) return;
    constexpr int workers = 3;
    const std::string door = path("door");
    ProcessPoolExecutor executor(options(workers));
    std::vector<Future<int>> futures;
    for (int i = 0; i < 15 * workers; ++i) futures.push_back(executor.submit([](const std::string& at) { return pass(at, static_cast<int>(getpid())); }, door));
    EXPECT_EQ(executor.workers().size(), static_cast<std::size_t>(workers));
    const auto running = std::count_if(futures.begin(), futures.end(), [](const auto& future) { return future.running(); });
    EXPECT_EQ(running, workers) << "only what a worker has is running";
    open_door(door);
    std::set<int> pids;
    for (auto& future : futures) pids.insert(future.result());
    EXPECT_LE(pids.size(), static_cast<std::size_t>(workers));
}

int initialized = 0;

TEST_P(Semantics, B106_TheInitializerRunsInEveryWorker) {
    auto chosen = options();
    int value = 42;
    initialized = 0;
    chosen.initializer = [value] { initialized = value; };
    ProcessPoolExecutor executor(chosen);
    std::vector<Future<int>> futures;
    for (int i = 0; i < 20; ++i) futures.push_back(executor.submit([] { return initialized; }));
    for (auto& future : futures) EXPECT_EQ(future.result(), 42);
}

TEST_P(Semantics, B107_TenThreadsShareAnExecutor) {
    ProcessPoolExecutor executor(options(3));
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 10; ++thread)
        threads.emplace_back([&, thread] {
            for (int round = 0; round < 20; ++round) {
                Future<int> future = executor.submit([](int a, int b) { return a * 1000 + b; }, thread, round);
                Future<int> dropped = executor.submit([](int a) { return a; }, round);
                const bool cancelled = dropped.cancel();
                int next = 0;
                for (const int value : executor.map([](int x) { return x; }, numbers(5))) wrong += value != next++;
                wrong += next != 5 || future.result() != thread * 1000 + round || cancelled != dropped.cancelled();
                if (!cancelled) wrong += dropped.result() != round;
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
}

TEST_P(Semantics, B108_CallbacksThatSubmitTheNextTaskRunToTheEndInOrder) {
    ProcessPoolExecutor executor(options());
    constexpr int length = 60;
    std::mutex mutex;
    std::vector<int> order;
    std::atomic<int> ended{0};
    std::function<void(int, int)> begin = [&](int chain, int step) {
        executor.submit([](int x) { return x; }, step).add_done_callback([&, chain, step](Future<int> future) {
            {
                const std::lock_guard lock(mutex);
                if (chain == 0) order.push_back(future.result());
            }
            if (step + 1 < length)
                begin(chain, step + 1);
            else
                ++ended;
        });
    };
    for (int chain = 0; chain < 5; ++chain) begin(chain, 0);
    until([&] { return ended == 5; });
    EXPECT_EQ(order, numbers(length));
}

TEST_P(Semantics, B110_ThreeExecutorsAtOnceDoNotMixTheirResults) {
    ProcessPoolExecutor a(options(1)), b(options(2)), c(options(1));
    ProcessPoolExecutor* executors[] = {&a, &b, &c};
    std::vector<Future<int>> futures;
    for (int i = 0; i < 300; ++i) futures.push_back(executors[i % 3]->submit([](int executor, int x) { return executor * 1000 + x; }, i % 3, i));
    for (int i = 0; i < 300; ++i) ASSERT_EQ(futures[static_cast<std::size_t>(i)].result(), i % 3 * 1000 + i);
}

TEST_P(Semantics, B111_SixteenExecutorsOfTheSameSize) {
    std::vector<std::unique_ptr<ProcessPoolExecutor>> executors;
    for (int i = 0; i < 16; ++i) executors.push_back(std::make_unique<ProcessPoolExecutor>(options(1)));
    std::vector<Future<int>> futures;
    for (int i = 0; i < 2048; ++i) futures.push_back(executors[static_cast<std::size_t>(i % 16)]->submit([](int x) { return 2 * x; }, i));
    for (int i = 0; i < 2048; ++i) ASSERT_EQ(futures[static_cast<std::size_t>(i)].result(), 2 * i);
    for (const auto& executor : executors) EXPECT_EQ(executor->size(), 1);
}

}  // namespace
