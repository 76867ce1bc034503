// What is not in tests/semantics: empty futures, results that cannot be copied, callbacks that wait, coroutines.
#include <future>
#include <thread>
#include <unordered_map>
#ifdef __cpp_impl_coroutine
#include <coroutine>
#endif

#include "executor/executors.hpp"
#include "support/forked_copy.hpp"

namespace {

using namespace executor_test;
using namespace std::chrono_literals;

class Futures : public OnExecutor {};
EXECUTORS_ON_ALL_BACKENDS(Futures);

int work(int x) { return x; }

TEST(EmptyFuture, IsNotValidAndSaysSo) {
    Future<int> empty;
    EXPECT_FALSE(empty.valid());
    EXPECT_THROW(empty.result(), std::logic_error);
    EXPECT_THROW(empty.result(1s), std::logic_error);
    EXPECT_THROW(empty.exception(), std::logic_error);
    EXPECT_THROW(empty.exception(1s), std::logic_error);
    EXPECT_THROW(empty.cancel(), std::logic_error);
    EXPECT_THROW((void)empty.cancelled(), std::logic_error);
    EXPECT_THROW((void)empty.running(), std::logic_error);
    EXPECT_THROW((void)empty.done(), std::logic_error);
    EXPECT_THROW(empty.add_done_callback([](Future<int>) {}), std::logic_error);
    EXPECT_THROW(rankpool::wait({empty}), std::logic_error);
    EXPECT_THROW(rankpool::as_completed({empty}), std::logic_error);
}

TEST_P(Futures, CanBeKeys) {
    ProcessPoolExecutor executor(options());
    std::unordered_map<Future<int>, std::string> names;
    const auto one = executor.submit(work, 1), two = executor.submit(work, 2);
    names[one] = "one";
    names[two] = "two";
    EXPECT_EQ(one, Future<int>(one));
    EXPECT_FALSE(one == two);
    EXPECT_EQ(Future<int>(), Future<int>());
    std::string all;
    for (const auto& future : rankpool::as_completed({one, two, one})) all += names.at(future);
    EXPECT_TRUE(all == "onetwo" || all == "twoone") << all;
}

TEST_P(Futures, AndTheirExecutorCannotBeUsedInACopyThatTheProgramForked) {
    if (!concurrent() || ranks() > 0) return;
    const std::string door = path("door");
    ProcessPoolExecutor executor(options(1));
    auto runs = executor.submit(pass, door, 1), waits = executor.submit(pass, door, 2);
    EXPECT_EQ(refused_in_a_copy({[&] { runs.result(); }, [&] { waits.cancel(); }, [&] { rankpool::wait({runs}); }, [&] { executor.submit(work, 3); },
                                 [&] { executor.map(work, {1, 2}); }, [&] { executor.kill_workers(); },
                                 [&] { (void)waits.done(); }, [&] { (void)waits.cancelled(); }, [&] { (void)waits.running(); },
                                 [&] { waits.add_done_callback([](const Future<int>&) {}); }}),
              10);
    open_door(door);
    EXPECT_EQ(runs.result(), 1);
    EXPECT_EQ(waits.result(), 2);
}

TEST_P(Futures, OfAMapComeFromArraysAndFromItemsThatCannotBeCopied) {
    ProcessPoolExecutor executor(options());
    const int numbers[] = {1, 2, 3};
    std::vector<std::unique_ptr<int>> pointers;
    for (const int x : numbers) pointers.push_back(std::make_unique<int>(x));
    for (const std::size_t buffersize : {std::size_t{0}, std::size_t{2}}) {
        std::vector<int> all;
        for (const int x : executor.map(work, numbers, {.buffersize = buffersize})) all.push_back(x);
        for (const int x : executor.map([](const std::unique_ptr<int>& x) { return *x; }, pointers, {.buffersize = buffersize})) all.push_back(x);
        EXPECT_EQ(all, std::vector<int>({1, 2, 3, 1, 2, 3}));
    }
}

TEST_P(Futures, OfResultsThatCannotBeCopiedGiveThemOnce) {
    ProcessPoolExecutor executor(options());
    auto future = executor.submit([](int x) { return std::make_unique<int>(x); }, 5);
    auto copy = future;
    EXPECT_EQ(*copy.result(), 5);
    EXPECT_THROW(future.result(), std::logic_error);
    EXPECT_EQ(future.exception(), nullptr);
    auto list = executor.submit([] { return std::vector<int>{1, 2}; });
    EXPECT_EQ(list.result().size(), 2u);
    EXPECT_EQ(list.result().size(), 2u);
    EXPECT_TRUE(executor.submit([] { return true; }).result());
    EXPECT_FALSE(executor.submit([] { return std::vector<bool>{false}; }).result()[0]);
    auto flags = executor.map([](int x) { return x % 2 == 0; }, numbers(3));
    EXPECT_EQ(flags.next(), true);
    EXPECT_EQ(flags.next(), false);
    auto unique = executor.map([](int x) { return std::make_unique<int>(x); }, {1, 2});
    EXPECT_EQ(**unique.next(), 1);
    int nothing = 0;
    for (std::monostate& each : executor.map([](int) {}, numbers(4))) {
        (void)each;
        ++nothing;
    }
    EXPECT_EQ(nothing, 4);
}

TEST_P(Futures, OutliveTheirExecutor) {
    std::optional<Future<std::string>> future;
    std::optional<rankpool::ResultRange<int>> range, bounded;
    {
        ProcessPoolExecutor executor(options());
        future = executor.submit([] { return std::string(1000, 'x'); });
        range.emplace(executor.map(work, numbers(10)));
        bounded.emplace(executor.map([offset = 1](int x) { return x + offset; }, numbers(10), {.buffersize = 3}));
    }
    EXPECT_EQ(future->result().size(), 1000u);
    EXPECT_EQ(all_of(std::move(*range)), numbers(10));
    for (const int expected : {1, 2, 3}) EXPECT_EQ(bounded->next(), expected);
    EXPECT_THROW(bounded->next(), rankpool::ExecutorShutdown);
    EXPECT_FALSE(bounded->next().has_value());
}

// What would wait for the executor and is refused at this moment; `pending` is not over.
int refused(ProcessPoolExecutor& executor, Future<int> pending, Future<int> done, const std::string& never) {
    int count = 0;
    const auto expect_refusal = [&](auto&& what) {
        try {
            what();
        } catch (const std::logic_error&) {
            ++count;
        }
    };
    expect_refusal([&] { pending.result(); });
    expect_refusal([&] { pending.result(1s); });
    expect_refusal([&] { pending.exception(); });
    expect_refusal([&] { rankpool::wait({pending, done}); });
    expect_refusal([&] { rankpool::as_completed({pending}).next(); });
    expect_refusal([&] { executor.shutdown(true); });
    expect_refusal([&] { executor.map([](const std::string& at) { return pass(at, 0); }, std::vector{never}).next(); });
    return count;
}
constexpr int refusals = 7;

TEST_P(Futures, ACallbackThatWouldWaitForItsOwnExecutorIsTold) {
    if (!concurrent()) return;
    const std::string door = path("door"), never = path("never");
    ProcessPoolExecutor executor(options(2)), other(options(1));
    Future<int> pending = executor.submit(pass, never, 0), first = executor.submit(pass, door, 1);
    const auto look = [&](Future<int> done) {
        EXPECT_EQ(done.result(), 1) << "what is over can be asked";
        EXPECT_EQ(other.submit(work, 4).result(), 4);
        return refused(executor, pending, done, never);
    };
    std::promise<int> later;
    first.add_done_callback([&](Future<int> done) { later.set_value(look(done)); });
    open_door(door);
    EXPECT_EQ(later.get_future().get(), refusals) << "on the service thread";
    int at_once = 0;
    Future<int> submitted;
    first.add_done_callback([&](Future<int> done) {
        at_once = look(done);
        submitted = executor.submit(work, 5);
    });
    EXPECT_EQ(at_once, refusals) << "on this thread";
    open_door(never);
    EXPECT_EQ(submitted.result(), 5);
}

TEST_P(Futures, AnExecutorDestroyedByACallbackAtOnceCompletes) {
    for (int round = 0; round < 10; ++round) {
        auto executor = std::make_unique<ProcessPoolExecutor>(options(1));
        Future<int> first = executor->submit(work, 1);
        EXPECT_EQ(first.result(), 1);
        Future<int> second = executor->submit(work, 2);
        first.add_done_callback([&](Future<int>) { executor.reset(); });
        EXPECT_EQ(executor, nullptr);
        EXPECT_EQ(second.result(), 2);
    }
}

TEST_P(Futures, AnExecutorMayBeDestroyedByItsOwnCallback) {
    if (!concurrent()) return;
    for (int round = 0; round < 20; ++round) {
        const std::string door = path("door" + std::to_string(round));
        auto executor = std::make_unique<ProcessPoolExecutor>(options(1));
        Future<int> first = executor->submit(pass, door, 1), second = executor->submit(work, 2);
        std::promise<void> destroyed;
        first.add_done_callback([&](Future<int>) {
            executor.reset();
            destroyed.set_value();
        });
        open_door(door);
        destroyed.get_future().wait();
        EXPECT_EQ(second.result(), 2) << "what was submitted completes";
    }
}

TEST_P(Futures, ABracedListIsInputOfMap) {
    ProcessPoolExecutor executor(options());
    EXPECT_EQ(all_of(executor.map(work, {1, 2, 3})), (std::vector{1, 2, 3}));
    EXPECT_EQ(all_of(executor.map(work, {1, 2, 3}, {.chunksize = 2, .buffersize = 1})), (std::vector{1, 2, 3}));
}

TEST_P(Futures, CapturedAddressesAreRefusedBeforeAnythingRuns) {
    ProcessPoolExecutor executor(options());
    int here = 0;
    EXPECT_THROW(executor.submit([&here] { return ++here; }), std::invalid_argument);
    EXPECT_THROW(executor.map([&here](int x) { return here + x; }, numbers(3)), std::invalid_argument);
    EXPECT_EQ(here, 0);
}

TEST_P(Futures, OfTaskFunctionsWhoseTypeIsForgotten) {
    using rankpool::TaskFunction;
    auto chosen = options();
    chosen.initializer = rankpool::bind_shared([](const TaskFunction<void()>& f) { f(); }, TaskFunction<void()>([] {}));
    ProcessPoolExecutor executor(chosen);
    const TaskFunction<int(int)> f = work;
    EXPECT_EQ(executor.submit(f, 3).result(), 3);
    EXPECT_EQ(all_of(executor.map(f, numbers(3))), numbers(3));
    EXPECT_EQ(executor.submit(rankpool::bind_shared(TaskFunction<int(int, int)>([](int a, int b) { return a * b; }), 6), 7).result(), 42);
    EXPECT_EQ(executor.submit([](const TaskFunction<int(int)>& g, int x) { return g(x); }, f, 4).result(), 4);
    EXPECT_EQ(executor.submit([] { return TaskFunction<int(int)>([](int x) { return -x; }); }).result()(5), -5);
    EXPECT_THROW(executor.submit(TaskFunction<int()>()), std::invalid_argument);
}

TEST_P(Futures, AnInputThatThrowsLeavesTheExecutorUsable) {
    struct Throwing {
        struct iterator {
            using value_type = int;
            using difference_type = std::ptrdiff_t;
            int at = 0;
            int operator*() const { if (at == 3) throw std::range_error("no more"); return at; }
            iterator& operator++() { ++at; return *this; }
            void operator++(int) { ++at; }
            bool operator==(std::default_sentinel_t) const { return at == 10; }
        };
        iterator begin() const { return {}; }
        std::default_sentinel_t end() const { return {}; }
    };
    ProcessPoolExecutor executor(options());
    EXPECT_THROW(executor.map(work, Throwing()), std::range_error);
    auto results = executor.map(work, Throwing(), {.buffersize = 2});
    for (const int expected : {0, 1, 2}) EXPECT_EQ(results.next(), expected);
    EXPECT_THROW(results.next(), std::range_error);
    EXPECT_FALSE(results.next().has_value());
    EXPECT_EQ(executor.submit(work, 1).result(), 1);
}

TEST_P(Futures, ANextWithoutTimeCanGoOn) {
    if (!concurrent()) return;
    const std::string door = path("door");
    ProcessPoolExecutor executor(options());
    auto results = executor.map([](const std::string& at) { return pass(at, 1); }, std::vector{door});
    EXPECT_THROW(results.next(1ms), rankpool::TimeoutError);
    open_door(door);
    EXPECT_EQ(results.next(), 1);
    EXPECT_FALSE(results.next().has_value());
}

#ifdef __cpp_impl_coroutine
// A coroutine that nobody waits for; it says itself when it is over.
struct Detached {
    struct promise_type {
        Detached get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

Detached add_up(ProcessPoolExecutor& executor, std::string door, std::promise<std::pair<int, std::thread::id>>& result) {
    int sum = co_await executor.submit(pass, door, 1);
    sum += co_await executor.submit(work, 20);
    try {
        co_await executor.submit([] { throw std::domain_error("of the task"); });
    } catch (const std::domain_error&) {
        sum += 300;
    }
    result.set_value({sum, std::this_thread::get_id()});
}

TEST_P(Futures, CanBeAwaitedInACoroutine) {
    const std::string door = path("door");
    ProcessPoolExecutor executor(options());
    std::promise<std::pair<int, std::thread::id>> result;
    if (!concurrent()) open_door(door);
    add_up(executor, door, result);
    open_door(door);
    const auto [sum, thread] = result.get_future().get();
    EXPECT_EQ(sum, 321);
    EXPECT_EQ(thread != std::this_thread::get_id(), concurrent()) << "it goes on where callbacks run";
}

Detached go_on_elsewhere(ProcessPoolExecutor& executor, std::string door, std::promise<std::function<void()>>& posted, std::promise<std::thread::id>& where) {
    co_await executor.submit(pass, door, 1).on([&posted](auto go_on) { posted.set_value(go_on); });
    where.set_value(std::this_thread::get_id());
}

TEST_P(Futures, CanBeAwaitedOnAnExecutorOfTheProgram) {
    if (!concurrent()) return;
    const std::string door = path("door");
    ProcessPoolExecutor executor(options());
    std::promise<std::function<void()>> posted;
    std::promise<std::thread::id> where;
    go_on_elsewhere(executor, door, posted, where);
    open_door(door);
    posted.get_future().get()();
    EXPECT_EQ(where.get_future().get(), std::this_thread::get_id());
}
#endif

}  // namespace
