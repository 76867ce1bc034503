// What a task throws, what a call refuses, and what a pool says when it is no longer open.
#include <unistd.h>

#include <numeric>
#include <sched.h>

#include "pool/backends.hpp"
#include "support/item_log.hpp"

namespace {

using namespace pool_test;
using rankpool::OnError;
using rankpool::Pool;

class Errors : public OnBackend {};
ON_ALL_BACKENDS(Errors);

std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

TEST_P(Errors, TheSmallestIndexWinsWhateverTheChunks) {
    Pool pool(options());
    for (const std::size_t chunksize : {0u, 1u, 7u, 1000u}) {
        try {
            pool.map([](int x) {
                if (x >= 300 && x % 100 == 77) throw std::out_of_range("item " + std::to_string(x));
                return x;
            }, numbers(1000), {.chunksize = chunksize});
            FAIL();
        } catch (const std::out_of_range& error) {
            EXPECT_STREQ(error.what(), "item 377");
            const auto* info = rankpool::remote_info(error);
            ASSERT_NE(info, nullptr);
            EXPECT_EQ(info->item, 377u);
            EXPECT_EQ(info->type_name, "std::out_of_range");
            EXPECT_FALSE(info->worker.host.empty());
        }
    }
}

TEST_P(Errors, FailFastThrowsTheSmallestSeenAndThePoolGoesOn) {
    Pool pool(options());
    for (int round = 0; round < 50; ++round) {
        try {
            pool.map([](int x) -> int { throw std::length_error(std::to_string(x)); }, numbers(2000), {.chunksize = 3, .on_error = OnError::fail_fast});
            FAIL();
        } catch (const std::length_error& error) {
            EXPECT_EQ(std::to_string(*rankpool::remote_info(error)->item), error.what());
        }
        ASSERT_EQ(pool.map([](int x) { return x; }, numbers(50)), numbers(50));
    }
}

TEST_P(Errors, FailFastStartsNoFurtherItems) {
    const item_log::ItemLog log;
    Pool pool(options(1));
    const auto fails_first = [path = log.path()](int x) {
        note(path, static_cast<std::uint64_t>(x), item_log::Moment::started);
        return x == 0 ? throw std::range_error("the first one") : x;
    };
    EXPECT_THROW(pool.map(fails_first, numbers(5000), {.chunksize = 1, .on_error = OnError::fail_fast}), std::range_error);
    const auto started = log.records().size();
    EXPECT_LT(started, 5000u);
    if (GetParam() == rankpool::Backend::serial) {
        EXPECT_EQ(started, 1u);
    }
    EXPECT_THROW(pool.map(fails_first, numbers(300), {.chunksize = 1}), std::range_error);
    EXPECT_GE(log.read().at(299).started, 1) << "finish_all runs every other item";
}

TEST_P(Errors, ItemsLeftOutByFailFastHaveAnErrorAndNoValue) {
    Pool pool(options(1));
    const auto fails_first = [](int x) {
        (void)access("/", F_OK);  // they must not all be done before the pool has heard of the error
        return x == 0 ? throw std::range_error("the first one") : x;
    };
    constexpr int count = 50'000;
    auto outcomes = pool.map_outcomes(fails_first, numbers(count), {.chunksize = 1, .on_error = OnError::fail_fast});
    int left_out = 0;
    for (int i = 1; i < count; ++i) {
        auto& outcome = outcomes[static_cast<std::size_t>(i)];
        if (outcome.has_value()) {
            ASSERT_EQ(outcome.value(), i);
        } else {
            ASSERT_THROW(outcome.value(), rankpool::CancelledError);
            ++left_out;
        }
    }
    EXPECT_GT(left_out, 0);
}

struct Singular : std::runtime_error {
    int row = 0;
    Singular() : std::runtime_error("singular") {}
    explicit Singular(int r) : std::runtime_error("singular in row " + std::to_string(r)), row(r) {}
    template <class Archive>
    void serialize(Archive& archive, unsigned) { archive & row; }
};
struct Unregistered : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};
struct Foreign {
    int code;
};

TEST_P(Errors, ArriveAsTheirType) {
    Pool pool(options());
    rankpool::register_exception<Singular>();
    try {
        pool.apply([]() -> int { throw Singular(7); });
        FAIL();
    } catch (const Singular& error) {
        EXPECT_EQ(error.row, 7);
        EXPECT_STREQ(error.what(), "singular in row 7");
    }
    try {
        pool.apply([]() -> int { throw Unregistered("mine"); });
        FAIL();
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(), "mine");
        EXPECT_NE(rankpool::remote_info(error)->type_name.find("Unregistered"), std::string::npos);
    }
    try {
        pool.apply([]() -> int { throw Foreign{3}; });
        FAIL();
    } catch (const rankpool::RemoteError& error) {
        EXPECT_NE(error.type_name().find("Foreign"), std::string::npos);
    }
    EXPECT_THROW(pool.apply([]() -> int { throw 42; }), rankpool::RemoteError);
    EXPECT_THROW(pool.apply([]() -> int { throw std::bad_alloc(); }), std::bad_alloc);
    try {
        pool.apply([]() -> int { throw std::system_error(ENOENT, std::generic_category(), "open"); });
        FAIL();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
    }
    try {
        pool.apply([]() -> int {
            try {
                throw std::out_of_range("inner");
            } catch (...) {
                std::throw_with_nested(std::runtime_error("outer"));
            }
        });
        FAIL();
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "outer");
        EXPECT_THROW(std::rethrow_if_nested(error), std::out_of_range);
    }
    EXPECT_THROW(pool.apply([]() -> int { throw rankpool::CheckpointError("as itself"); }), rankpool::CheckpointError);
}

struct Unsendable {
    int value = 0;
    std::string text = {};  // or it would travel as its bytes
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if (Archive::is_saving::value && value == 13) throw std::domain_error("cannot be written");
        archive & value;
        if (Archive::is_loading::value && value == 14) throw std::domain_error("cannot be read");
    }
};

TEST_P(Errors, AValueThatCannotBeSerializedFailsItsItemOnly) {
    Pool pool(options());
    auto outcomes = pool.map_outcomes([](int x) { return Unsendable{x, ""}; }, numbers(20));
    for (int i = 0; i < 20; ++i) {
        const auto& outcome = outcomes[static_cast<std::size_t>(i)];
        ASSERT_EQ(outcome.has_value(), i != 13 && i != 14) << i;
        if (!outcome.has_value()) {
            EXPECT_THROW(std::rethrow_exception(outcome.error()), std::domain_error);
        }
    }
    EXPECT_EQ(pool.apply([] { return 1; }), 1);
}

TEST_P(Errors, CapturedAddressesAreRefusedBeforeAnythingRuns) {
    Pool pool(options());
    int local = 5;
    try {
        pool.map([&local](int x) { return x + local; }, {1, 2});
        FAIL();
    } catch (const std::invalid_argument& error) {
        EXPECT_NE(std::string(error.what()).find("trusted"), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find("0x"), std::string::npos);
    }
    const auto* pointer = new int(3);
    EXPECT_THROW(pool.apply([pointer] { return pointer != nullptr; }), std::invalid_argument);
    EXPECT_TRUE(pool.apply(rankpool::trusted([pointer] { return pointer != nullptr; })));
    EXPECT_THROW(pool.map_async([&local](int x) { return x + local; }, {1}), std::invalid_argument);
    EXPECT_THROW(pool.map_reduce([](int x) { return x; }, {1, 2}, [&local](int a, int b) { return a + b + local; }, 0), std::invalid_argument);
    EXPECT_THROW(rankpool::TaskFunction<void()>([&local] { ++local; }), std::invalid_argument);
    delete pointer;
}

TEST_P(Errors, ClosedAndTerminatedPoolsRefuseNewWork) {
    Pool closed(options());
    auto accepted = closed.map_async([](int x) { return x + 1; }, numbers(100));
    auto begun = closed.imap([](int x) { return x + 1; }, numbers(2000));
    EXPECT_THROW(closed.join(), std::logic_error);
    closed.close();
    EXPECT_THROW(closed.apply([] {}), rankpool::PoolClosed);
    EXPECT_THROW(closed.map([](int x) { return x; }, std::vector<int>{}), rankpool::PoolClosed);
    EXPECT_THROW(closed.map_async([](int x) { return x; }, {1}), rankpool::PoolClosed);
    EXPECT_THROW(closed.imap([](int x) { return x; }, {1}), rankpool::PoolClosed);
    EXPECT_EQ(accepted.get().back(), 100);
    closed.join();
    int next = 1;
    while (const auto value = begun.next()) EXPECT_EQ(*value, next++);
    EXPECT_EQ(next, 2001);

    Pool terminated(options());
    terminated.terminate();
    EXPECT_THROW(terminated.apply([] {}), rankpool::PoolClosed);
    terminated.join();
}

TEST(PoolArguments, AreCheckedWithTheirValueInTheText) {
    const auto refused = [](rankpool::PoolOptions options, const std::string& value) {
        try {
            Pool pool(options);
            ADD_FAILURE() << value;
        } catch (const std::invalid_argument& error) {
            EXPECT_NE(std::string(error.what()).find(value), std::string::npos) << error.what();
        }
    };
    refused({.processes = -3}, "-3");
    refused({.max_tasks_per_child = -4}, "-4");
    refused({.max_retries = -5}, "-5");
    refused({.task_timeout = std::chrono::nanoseconds(-6)}, "-6");
    refused({.backend = rankpool::Backend::threads, .task_timeout = std::chrono::seconds(1)}, "task_timeout = 1000000000 ns");
    refused({.backend = rankpool::Backend::threads, .task_timeout = std::chrono::nanoseconds(-6)}, "-6 ns; expected");
    refused({.backend = rankpool::Backend::serial, .max_tasks_per_child = 3}, "max_tasks_per_child = 3");
    refused({.backend = static_cast<rankpool::Backend>(77)}, "backend = 77");
    refused({.on_loss = static_cast<rankpool::OnLoss>(78)}, "on_loss = 78");
    Pool pool({.backend = rankpool::Backend::serial});
    EXPECT_THROW(pool.map([](int x) { return x; }, {1}, {.on_error = static_cast<OnError>(79)}), std::invalid_argument);
    if (ranks() == 0) refused({.backend = rankpool::Backend::ranks}, "ranks");
}

TEST_P(Errors, AFailingInitializerBreaksThePoolAndSaysWhy) {
    auto chosen = options(2);
    chosen.initializer = [] { throw std::runtime_error("no licence"); };
    try {
        Pool pool(chosen);
        pool.map([](int x) { return x; }, {1, 2, 3});
        FAIL();
    } catch (const rankpool::BrokenProcessPool& error) {
        EXPECT_NE(std::string(error.what()).find("no licence"), std::string::npos) << error.what();
    }
}

TEST_P(Errors, AnInitializerThatFailsInOneWorkerBreaksThePool) {
    if (!isolated()) return;
    auto chosen = options(3);
    chosen.initializer = [] { if (rankpool::current_worker()->index == 2) throw std::runtime_error("no licence"); };
    Pool pool(chosen);
    const auto same = [](int x) { return x; };
    const auto is_broken = [&] {
        try {
            pool.map(same, {1});
            return false;
        } catch (const rankpool::BrokenProcessPool& error) {
            EXPECT_NE(std::string(error.what()).find("no licence"), std::string::npos) << error.what();
            return true;
        }
    };
    while (!is_broken()) sched_yield();  // that worker may be on another rank, which has to say so
    EXPECT_THROW(pool.apply(same, 1), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.map_outcomes(same, numbers(100)), rankpool::BrokenProcessPool);
    EXPECT_THROW(pool.imap(same, numbers(100)).next(), rankpool::BrokenProcessPool);
}

int initialized = 0;

TEST_P(Errors, TheInitializerRunsOnceInEveryWorker) {
    if (!isolated()) return;
    auto chosen = options(2);
    chosen.initializer = [] { ++initialized; };
    Pool pool(chosen);
    for (const int count : pool.map([](int) { return initialized; }, numbers(50))) EXPECT_EQ(count, 1);
    EXPECT_EQ(initialized, 0);
}

}  // namespace
