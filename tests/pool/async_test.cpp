// Asynchronous calls, callbacks, and imap.
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <future>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <unistd.h>

#include "pool/backends.hpp"
#include "support/door.hpp"
#include "support/forked_copy.hpp"
#include "support/temporary_directory.hpp"

namespace {

using namespace pool_test;
using namespace std::chrono_literals;
using rankpool::Pool;

class Async : public OnBackend {
  protected:
    TemporaryDirectory directory_;
};
ON_ALL_BACKENDS(Async);

std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

TEST_P(Async, MapAndApplyGiveTheirResultLater) {
    Pool pool(options());
    auto all = pool.map_async([](int x) { return x * 2; }, numbers(1000));
    auto one = pool.apply_async([](int a, const std::string& b) { return b + std::to_string(a); }, 1, std::string("a"));
    auto nothing = pool.map_async([](int) {}, numbers(10));
    static_assert(std::is_same_v<decltype(nothing), rankpool::AsyncResult<void>>);
    EXPECT_EQ(all.get().back(), 1998);
    EXPECT_EQ(all.get().front(), 0) << "a copyable result can be had again";
    EXPECT_EQ(all.peek().size(), 1000u);
    EXPECT_EQ(one.get(), "a1");
    nothing.get();
    EXPECT_TRUE(all.ready());
    EXPECT_TRUE(all.successful());
}

TEST_P(Async, InputIsCopiedBeforeTheCallReturns) {
    Pool pool(options());
    auto items = numbers(100'000);
    auto result = pool.map_async([](int x) { return x; }, items);
    std::fill(items.begin(), items.end(), -1);
    EXPECT_EQ(result.get(), numbers(100'000));
}

TEST_P(Async, MoveOnlyResultsComeOutOnce) {
    Pool pool(options());
    auto result = pool.apply_async([] { return std::make_unique<int>(5); });
    EXPECT_EQ(*result.peek(), 5);
    EXPECT_EQ(*result.get(), 5);
    EXPECT_THROW(result.get(), std::logic_error);
    auto all = pool.map_async([](int x) { return std::make_unique<int>(x); }, numbers(3));
    EXPECT_EQ(*all.get()[2], 2);
    EXPECT_THROW(all.get(), std::logic_error);
}

TEST_P(Async, ErrorsComeFromGet) {
    Pool pool(options());
    auto result = pool.map_async([](int x) { if (x == 3) throw std::out_of_range("three"); return x; }, numbers(10));
    result.wait();
    EXPECT_TRUE(result.ready());
    EXPECT_FALSE(result.successful());
    EXPECT_THROW(result.get(), std::out_of_range);
    EXPECT_THROW(result.get(), std::out_of_range);
}

TEST_P(Async, WaitsEndInTime) {
    if (!isolated()) return;
    Pool pool(options());
    auto endless = pool.apply_async([] { for (;;) if (rankpool::stop_requested()) return 1; });
    EXPECT_FALSE(endless.wait(10ms));
    EXPECT_THROW(endless.get(10ms), rankpool::TimeoutError);
    EXPECT_THROW((void)endless.successful(), std::logic_error);
    EXPECT_FALSE(endless.ready());
    pool.terminate();
    EXPECT_THROW(endless.get(), rankpool::CancelledError);
}

TEST_P(Async, CallbacksAreCalledOnceEachAndMayBeMoveOnly) {
    Pool pool(options());
    std::promise<std::vector<int>> result;
    std::promise<std::exception_ptr> error;
    std::promise<void> done;
    std::atomic<int> wrong{0};
    pool.map_async([](int x) { return x + 1; }, numbers(10))
        .on_result([&, owned = std::make_unique<int>(1)](const std::vector<int>& all) { result.set_value(all); })
        .on_error([&](std::exception_ptr) { ++wrong; });
    pool.map_async([](int x) -> int { throw std::domain_error(std::to_string(x)); }, numbers(3))
        .on_result([&](const std::vector<int>&) { ++wrong; })
        .on_error([&](std::exception_ptr e) { error.set_value(e); });
    pool.map_async([](int) {}, numbers(3)).on_result([&] { done.set_value(); });
    EXPECT_EQ(result.get_future().get().back(), 10);
    EXPECT_THROW(std::rethrow_exception(error.get_future().get()), std::domain_error);
    done.get_future().wait();
    EXPECT_EQ(wrong, 0);
    auto ready = pool.apply_async([] { return 3; });
    ready.wait();
    int at_once = 0;
    ready.on_result([&](int value) { at_once = value; });
    EXPECT_EQ(at_once, 3);
}

TEST_P(Async, ACallbackThatThrowsHarmsNothingAndOneThatBlocksIsTold) {
    Pool pool(options());
    testing::internal::CaptureStderr();
    std::promise<std::string> told;
    std::promise<void> thrown;
    pool.apply_async([] { return 1; }).on_result([](int) { throw std::runtime_error("from a callback"); }).on_result([&](int) { thrown.set_value(); });
    std::promise<void> submitted;
    auto second = pool.apply_async([](int x) { return x; }, 2);
    second.on_result([&](int) {
        try {
            pool.map([](int x) { return x; }, {1, 2, 3});
            told.set_value("nothing");
        } catch (const std::logic_error& error) {
            told.set_value(error.what());
        }
        pool.apply_async([] {}).on_result([&] { submitted.set_value(); });
    });
    EXPECT_NE(told.get_future().get(), "nothing");
    submitted.get_future().wait();
    thrown.get_future().wait();
    EXPECT_EQ(pool.apply([] { return 5; }), 5);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("from a callback"), std::string::npos);
}

// The blocking calls of a pool that are refused at this moment.
int refused(Pool& pool, rankpool::AsyncResult<int> unfinished) {
    int count = 0;
    const auto expect_refusal = [&](auto&& call) {
        try {
            call();
        } catch (const std::logic_error&) {
            ++count;
        } catch (const std::exception& error) {
            ADD_FAILURE() << error.what();
        }
    };
    const auto same = [](int x) { return x; };
    std::vector<int> out(1);
    expect_refusal([&] { pool.map(same, {1}); });
    expect_refusal([&] { pool.map(same, std::vector<int>()); });
    expect_refusal([&] { pool.map_into(same, {1}, out); });
    expect_refusal([&] { pool.map_outcomes(same, {1}); });
    expect_refusal([&] { pool.map_reduce(same, {1}, [](int a, int b) { return a + b; }, 0); });
    expect_refusal([&] { pool.apply(same, 1); });
    expect_refusal([&] { pool.imap(same, {1}).next(); });
    expect_refusal([&] { unfinished.get(); });
    expect_refusal([&] { unfinished.get(1s); });
    expect_refusal([&] { (void)unfinished.peek(); });
    expect_refusal([&] { unfinished.wait(); });
    expect_refusal([&] { unfinished.wait(1s); });
    return count;
}
constexpr int refusals = 12;

// A result that is not there before the pool ends.
rankpool::AsyncResult<int> endless(Pool& pool) {
    return pool.apply_async([] { while (!rankpool::stop_requested()) sched_yield(); return 1; });
}

TEST_P(Async, BlockingCallsAreRefusedInACallbackWhereverItRuns) {
    if (GetParam() == rankpool::Backend::serial) return;  // nothing is unfinished there
    Pool pool(options(2 * std::max(1, ranks())));  // two on each rank: a single task goes to the first one
    auto unfinished = endless(pool);
    auto ready = pool.apply_async([] { return 3; });
    ready.wait();
    int at_once = 0, of_an_error = 0;
    ready.on_result([&](int) { at_once = refused(pool, unfinished); });
    EXPECT_EQ(at_once, refusals) << "on this thread";
    auto failed = pool.apply_async([]() -> int { throw std::domain_error("failed"); });
    failed.wait();
    failed.on_error([&](std::exception_ptr) { of_an_error = refused(pool, unfinished); });
    EXPECT_EQ(of_an_error, refusals);
    std::promise<int> later;
    const std::string door = directory_.path() / "door";
    pool.apply_async([](const std::string& at) { door::pass(at); }, door).on_result([&] { later.set_value(refused(pool, unfinished)); });
    door::open_for_all(door);
    EXPECT_EQ(later.get_future().get(), refusals) << "on the service thread";
    EXPECT_EQ(pool.apply([] { return 5; }), 5) << "and after a callback it may wait";
}

TEST_P(Async, ACallbackMayAskForWhatIsThereAndUseOtherPools) {
    Pool pool(options(2)), other(options(1));
    auto ready = pool.apply_async([] { return 3; });
    ready.wait();
    std::promise<int> later;
    int asked = 0;
    ready.on_result([&](int) {
        asked = ready.get() + ready.peek() + other.apply([] { return 10; });
        ready.wait();
        pool.apply_async([] { return 7; }).on_result([&](int value) { later.set_value(value); });
        (void)pool.stats();
    });
    EXPECT_EQ(asked, 16);
    EXPECT_EQ(later.get_future().get(), 7);
}

TEST_P(Async, ACallbackInACallbackIsOneOfBothPools) {
    Pool outer(options(1)), inner(options(1));
    auto first = outer.apply_async([] { return 1; }), second = inner.apply_async([] { return 2; });
    first.wait();
    second.wait();
    testing::internal::CaptureStderr();
    std::string seen;
    const auto see = [&](Pool& pool) {
        try {
            pool.apply([] {});
            seen += "+";
        } catch (const std::logic_error&) {
            seen += "-";
        }
    };
    first.on_result([&](int) {
        see(outer), see(inner);
        second.on_result([&](int) {
            see(outer), see(inner);
            throw std::runtime_error("thrown on purpose");
        });
        see(outer), see(inner);
        first.on_result([&](int) { see(outer), see(inner); });
        see(outer), see(inner);
    });
    see(outer), see(inner);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("thrown on purpose"), std::string::npos);
    EXPECT_EQ(seen, "-+" "--" "-+" "-+" "-+" "++");
}

TEST_P(Async, ACallbackThatRunsAtOnceMayDestroyThePool) {
    for (int round = 0; round < 10; ++round) {
        auto pool = std::make_unique<Pool>(options(2));
        auto ready = pool->apply_async([] { return 1; });
        auto never = GetParam() == rankpool::Backend::serial ? ready : endless(*pool);
        ready.wait();
        ready.on_result([&](int) { pool.reset(); });
        EXPECT_EQ(pool, nullptr);
        EXPECT_TRUE(never.ready());
        int later = 0;
        ready.on_result([&](int value) { later = value; });
        EXPECT_EQ(later, 1) << "results outlive their pool";
    }
}

TEST_P(Async, CallbacksRunWhenThePoolIsDestroyed) {
    if (!isolated()) return;
    std::atomic<int> cancelled{0};
    {
        Pool pool(options());
        for (int i = 0; i < 5; ++i)
            pool.apply_async([] { for (;;) if (rankpool::stop_requested()) std::abort(); }).on_error([&](std::exception_ptr error) {
                try {
                    std::rethrow_exception(error);
                } catch (const rankpool::CancelledError&) {
                    ++cancelled;
                }
            });
    }
    EXPECT_EQ(cancelled, 5);
}

TEST_P(Async, ManyCallsAtOnce) {
    Pool pool(options());
    std::vector<rankpool::AsyncResult<int>> results;
    for (int i = 0; i < 2000; ++i) results.push_back(pool.apply_async([](int x) { return x * x; }, i));
    for (int i = 0; i < 2000; ++i) ASSERT_EQ(results[static_cast<std::size_t>(i)].get(), i * i);
}

// An endless single-pass input that counts what was read of it.
struct Endless {
    std::shared_ptr<int> read = std::make_shared<int>(0);
    struct iterator {
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        Endless* range;
        int at = 0;
        int operator*() const { *range->read = at + 1; return at; }
        iterator& operator++() { ++at; return *this; }
        void operator++(int) { ++at; }
        bool operator==(std::default_sentinel_t) const { return false; }
    };
    iterator begin() { return {this}; }
    std::default_sentinel_t end() { return {}; }
};

// Each with a function of its own, which goes with its call, on whichever thread that ends.
TEST_P(Async, ManyShortCallsWithTheirOwnFunctions) {
    Pool pool(options());
    const int rounds = GetParam() == rankpool::Backend::ranks ? 100 : 1000;
    for (int round = 0; round < rounds; ++round) {
        const auto add = [round](int x) { return x + round; };
        std::vector<rankpool::AsyncResult<int>> pending;
        for (int x = 0; x < 8; ++x) pending.push_back(pool.apply_async(add, x));
        for (int x = 0; x < 8; ++x) ASSERT_EQ(pending[static_cast<std::size_t>(x)].get(), x + round);
        auto results = pool.imap_unordered(add, numbers(3));
        ASSERT_TRUE(results.next().has_value());
    }
}

TEST_P(Async, ImapReadsEndlessInputsNoFurtherThanAllowed) {
    Pool pool(options());
    for (const std::size_t buffersize : {1u, 2u, 10u, 100u}) {
        Endless input;
        auto results = pool.imap([](int x) { return x * 2; }, input, {.buffersize = buffersize});
        for (int i = 0; i < 300; ++i) {
            ASSERT_EQ(results.next(), i * 2);
            ASSERT_LE(*input.read, i + 1 + static_cast<int>(buffersize));
        }
    }
}

TEST_P(Async, ImapUnorderedReadsEndlessInputsNoFurtherThanAllowed) {
    Pool pool(options());
    for (const std::size_t buffersize : {1u, 2u, 10u, 100u}) {
        Endless input;
        auto results = pool.imap_unordered([](int x) { return x * 2; }, input, {.buffersize = buffersize});
        std::set<std::size_t> seen;
        for (int i = 0; i < 300; ++i) {
            const auto result = results.next();
            ASSERT_TRUE(result.has_value());
            ASSERT_EQ(result->second, static_cast<int>(result->first) * 2);
            ASSERT_TRUE(seen.insert(result->first).second) << result->first;
            ASSERT_LE(*input.read, i + 1 + static_cast<int>(buffersize));
        }
    }
}

TEST_P(Async, ImapKeepsOrderAndUnorderedGivesEachIndexOnce) {
    Pool pool(options());
    for (const std::size_t chunksize : {0u, 1u, 7u, 100u}) {
        int next = 0;
        for (const int value : pool.imap([](int x) { return x + 1; }, numbers(1000), {.chunksize = chunksize})) ASSERT_EQ(value, ++next);
        EXPECT_EQ(next, 1000);
        std::set<std::size_t> seen;
        for (const auto& [index, value] : pool.imap_unordered([](int x) { return std::to_string(x); }, numbers(1000), {.chunksize = chunksize})) {
            ASSERT_EQ(value, std::to_string(index));
            ASSERT_TRUE(seen.insert(index).second);
        }
        EXPECT_EQ(seen.size(), 1000u);
    }
}

TEST_P(Async, ImapThrowsAnErrorAtItsPlaceAndGoesOn) {
    Pool pool(options());
    const auto function = [](int x) { if (x == 3) throw std::range_error("three"); return x; };
    auto results = pool.imap(function, numbers(6));
    for (const int expected : {0, 1, 2}) EXPECT_EQ(results.next(), expected);
    EXPECT_THROW(results.next(), std::range_error);
    EXPECT_EQ(results.next(), 4);
    EXPECT_EQ(results.next(), 5);
    EXPECT_FALSE(results.next().has_value());
    EXPECT_FALSE(results.next().has_value());

    auto range = pool.imap(function, numbers(6));
    std::vector<int> seen;
    bool thrown = false;
    for (bool more = true; more;) {
        try {
            more = false;
            for (int value : range) seen.push_back(value);
        } catch (const std::range_error&) {
            thrown = true;
            more = true;
        }
    }
    EXPECT_TRUE(thrown);
    EXPECT_EQ(seen, (std::vector{0, 1, 2, 4, 5}));
}

TEST_P(Async, ImapOfNothingReturnedGivesMonostate) {
    Pool pool(options());
    int count = 0;
    for (std::monostate& nothing : pool.imap([](int) {}, numbers(10))) {
        (void)nothing;
        ++count;
    }
    EXPECT_EQ(count, 10);
}

TEST_P(Async, ImapWaitsEndInTimeAndCanGoOn) {
    if (!isolated()) return;
    Pool pool(options());
    char path[] = "/tmp/rankpool-imap-XXXXXX";
    const int fd = mkstemp(path);
    ASSERT_GE(fd, 0);
    auto results = pool.imap([](const std::string& file) { while (access(file.c_str(), F_OK) == 0) sched_yield(); return 1; }, std::vector<std::string>{path});
    EXPECT_THROW(results.next(20ms), rankpool::TimeoutError);
    unlink(path);
    close(fd);
    EXPECT_EQ(results.next(), 1);
    EXPECT_FALSE(results.next().has_value());
}

TEST_P(Async, DroppingAnImapLeavesThePoolUsable) {
    Pool pool(options());
    for (int round = 0; round < 20; ++round) {
        auto results = pool.imap([](int x) { return x; }, numbers(500));
        EXPECT_EQ(results.next(), 0);
    }
    EXPECT_EQ(pool.map([](int x) { return x; }, numbers(50)), numbers(50));
}

TEST_P(Async, StatsCountItemsAndErrors) {
    Pool pool(options(2));
    (void)pool.map_outcomes([](int x) { if (x == 1) throw 1; return x; }, numbers(10));
    const auto stats = pool.stats();
    EXPECT_EQ(stats.items, 10u);
    EXPECT_EQ(stats.errors, 1u);
    std::uint64_t run = 0;
    for (const auto& worker : stats.workers) run += worker.items;
    EXPECT_EQ(stats.workers.size(), static_cast<std::size_t>(pool.size()));
    EXPECT_EQ(run, 10u);
}

TEST_P(Async, StatsCountTheTimeOfARunningItem) {
    if (!isolated()) return;
    Pool pool(options(1));
    char path[] = "/tmp/rankpool-runs-XXXXXX";
    const int fd = mkstemp(path);
    ASSERT_GE(fd, 0);
    close(fd);
    auto endless = pool.apply_async([](const std::string& file) {
        unlink(file.c_str());
        while (!rankpool::stop_requested()) sched_yield();
    }, std::string(path));
    while (access(path, F_OK) == 0) sched_yield();
    const auto first = pool.stats().workers[0];
    EXPECT_EQ(first.items, 0u);
    EXPECT_GT(first.busy, 0ns);
    EXPECT_GT(pool.stats().workers[0].busy, first.busy);
}

TEST_P(Async, StatsKnowOfACallThatHasReturned) {
    Pool pool(options(1));
    EXPECT_EQ(pool.stats().workers[0].busy, 0ns);
    std::chrono::nanoseconds before{0};
    for (std::uint64_t round = 1; round <= 200; ++round) {
        EXPECT_EQ(pool.apply([] { return std::string("a result without a fixed size"); }).front(), 'a');
        const auto stats = pool.stats();
        ASSERT_EQ(stats.workers[0].items, round);
        ASSERT_GT(stats.workers[0].busy, before);
        ASSERT_EQ(stats.imbalance, 0) << "there is one worker only";
        before = stats.workers[0].busy;
    }
}

class AsyncOfProcesses : public Async {};
ON_PROCESSES(AsyncOfProcesses);

// Each ends only when all have begun.
TEST_P(AsyncOfProcesses, SingleCallsFindTheIdleWorkerWhereverItIs) {
    Pool pool(options(3));
    for (int round = 0; round < 3; ++round) {
        std::array<std::string, 3> begun;
        for (int i = 0; i < 3; ++i) begun[static_cast<std::size_t>(i)] = (directory_.path() / (std::to_string(round) + "." + std::to_string(i))).string();
        const auto meet = [](std::array<std::string, 3> names, int own) {
            std::ofstream(names[static_cast<std::size_t>(own)]).close();
            const auto until = std::chrono::steady_clock::now() + 20s;
            const auto all_begun = [&] { return std::all_of(names.begin(), names.end(), [](const auto& name) { return access(name.c_str(), F_OK) == 0; }); };
            while (!all_begun() && std::chrono::steady_clock::now() < until) sched_yield();
            return all_begun();
        };
        std::vector<rankpool::AsyncResult<bool>> results;
        for (int i = 0; i < 3; ++i) results.push_back(pool.apply_async(meet, begun, i));
        for (auto& result : results) EXPECT_TRUE(result.get()) << "round " << round;
    }
}

TEST_P(Async, APoolCannotBeUsedInACopyThatTheProgramForked) {
    if (ranks() > 0) return;
    Pool pool(options());
    const auto same = [](int x) { return x; };
    EXPECT_EQ(refused_in_a_copy({[&] { pool.map(same, {1, 2}); }, [&] { pool.map_async(same, {1, 2}); }, [&] { pool.imap(same, {1, 2}); },
                                 [&] { pool.stats(); }, [&] { pool.close(); }, [&] { pool.terminate(); }}),
              6);
    EXPECT_EQ(pool.map([](int x) { return x + 1; }, {1, 2}), std::vector<int>({2, 3}));
}

TEST_P(Async, InputMayBeAnArray) {
    Pool pool(options());
    const int numbers[] = {1, 2, 3};
    const auto twice = [](int x) { return 2 * x; };
    const std::vector<int> expected = {2, 4, 6};
    EXPECT_EQ(pool.map(twice, numbers), expected);
    EXPECT_EQ(pool.map_async(twice, numbers).get(), expected);
    std::vector<int> all;
    for (const int x : pool.imap(twice, numbers)) all.push_back(x);
    EXPECT_EQ(all, expected);
}

}  // namespace
