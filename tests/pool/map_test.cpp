// Pool.map and its kin: what comes back, for every kind of input and result.
#include <atomic>
#include <forward_list>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "pool/backends.hpp"

namespace {

using namespace pool_test;
using rankpool::MapOptions;
using rankpool::Pool;

class Map : public OnBackend {};
ON_ALL_BACKENDS(Map);

std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

int square(int x) { return x * x; }

TEST_P(Map, KeepsTheOrderOfTheInput) {
    Pool pool(options());
    for (const int count : {1, 2, 7, 1000, 65537}) {
        const auto results = pool.map([](int x) { return static_cast<long>(x) * x; }, numbers(count));
        ASSERT_EQ(results.size(), static_cast<std::size_t>(count));
        for (int i = 0; i < count; ++i) ASSERT_EQ(results[static_cast<std::size_t>(i)], static_cast<long>(i) * i);
    }
}

TEST_P(Map, TakesFunctionPointersLambdasAndFunctionObjects) {
    struct Scale {
        std::vector<int> factors;  // not trivially copyable: travels by its members
        int operator()(int x) const { return factors[static_cast<std::size_t>(x) % factors.size()] * x; }
    };
    Pool pool(options());
    int offset = 5;
    EXPECT_EQ(pool.map(square, {1, 2, 3}), (std::vector{1, 4, 9}));
    EXPECT_EQ(pool.map(&square, {1, 2, 3}), (std::vector{1, 4, 9}));
    EXPECT_EQ(pool.map([](int x) { return -x; }, {1, 2}), (std::vector{-1, -2}));
    EXPECT_EQ(pool.map([offset](int x) { return x + offset; }, {1, 2}), (std::vector{6, 7}));
    EXPECT_EQ(pool.map(Scale{{1, 10}}, {1, 2, 3}), (std::vector{10, 2, 30}));
}

TEST_P(Map, TheSameLambdaWithOtherCapturesIsAnotherFunction) {
    Pool pool(options());
    for (int offset = 0; offset < 20; ++offset)
        EXPECT_EQ(pool.map([offset](int x) { return x + offset; }, {1, 2, 3}), (std::vector{1 + offset, 2 + offset, 3 + offset}));
}

TEST_P(Map, ChunksizeNeverShows) {
    Pool pool(options());
    const auto items = numbers(5000);
    const auto expected = pool.map(square, items);
    for (const std::size_t chunksize : {std::size_t{1}, std::size_t{2}, std::size_t{13}, std::size_t{4999}, std::size_t{5000}, std::size_t{1} << 60})
        EXPECT_EQ(pool.map(square, items, {.chunksize = chunksize}), expected) << chunksize;
}

TEST_P(Map, OfNothingIsNothing) {
    Pool pool(options());
    EXPECT_TRUE(pool.map(square, std::vector<int>{}).empty());
    EXPECT_TRUE(pool.map(square, std::list<int>{}).empty());
    EXPECT_TRUE(pool.map_outcomes(square, std::vector<int>{}).empty());
    EXPECT_TRUE(pool.map([](const std::string& s) { return s; }, std::vector<std::string>{}).empty());
    EXPECT_EQ(pool.map_reduce(square, std::vector<int>{}, std::plus<>{}, 17), 17);
    EXPECT_TRUE(pool.map_async(square, std::vector<int>{}).get().empty());
    EXPECT_FALSE(pool.imap(square, std::vector<int>{}).next().has_value());
}

TEST_P(Map, ReadsEveryKindOfRange) {
    Pool pool(options());
    const std::vector expected{1, 4, 9};
    EXPECT_EQ(pool.map(square, std::list{1, 2, 3}), expected);
    EXPECT_EQ(pool.map(square, std::forward_list{1, 2, 3}), expected);
    EXPECT_EQ(pool.map(square, std::array{1, 2, 3}), expected);
    const int array[] = {1, 2, 3};
    EXPECT_EQ(pool.map(square, array), expected);
    struct Numbers {  // can be read once only
        std::istringstream text{"1 2 3"};
        std::istream_iterator<int> begin() { return std::istream_iterator<int>(text); }
        std::istream_iterator<int> end() { return {}; }
    };
    EXPECT_EQ(pool.map(square, Numbers{}), expected);
    const std::vector<bool> bits{true, false, true};
    EXPECT_EQ(pool.map([](bool b) { return b ? 1 : 0; }, bits), (std::vector{1, 0, 1}));
    const std::map<std::string, int> map{{"a", 1}, {"b", 2}};
    EXPECT_EQ(pool.map([](const std::pair<const std::string, int>& e) { return e.first + std::to_string(e.second); }, map), (std::vector<std::string>{"a1", "b2"}));
}

TEST_P(Map, GivesItemsThatBothValueAndReferenceParametersTake) {
    Pool pool(options());
    const std::vector<std::string> words{"a", "bb"};
    EXPECT_EQ(pool.map([](std::string s) { return s.size(); }, words), (std::vector<std::size_t>{1, 2}));
    EXPECT_EQ(pool.map([](const std::string& s) { return s.size(); }, words), (std::vector<std::size_t>{1, 2}));
    EXPECT_EQ(pool.map([](std::string&& s) { return s.size(); }, words), (std::vector<std::size_t>{1, 2}));
    EXPECT_EQ(pool.map([](auto s) { return s.size(); }, words), (std::vector<std::size_t>{1, 2}));
}

struct NoDefault {
    explicit NoDefault(int v) : value(v) {}
    int value;
};
struct Particle {
    double mass;
    std::vector<double> position;
    std::string name;
};

TEST_P(Map, ReturnsEveryKindOfResult) {
    Pool pool(options());
    const auto flags = pool.map([](int x) { return x % 2 == 0; }, numbers(100));
    static_assert(std::is_same_v<decltype(flags), const std::vector<bool>>);
    for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(flags[i], i % 2 == 0);
    const auto moved = pool.map([](int x) { return std::make_unique<int>(x); }, numbers(50));
    for (int i = 0; i < 50; ++i) EXPECT_EQ(*moved[static_cast<std::size_t>(i)], i);
    const auto made = pool.map([](int x) { return NoDefault(x); }, numbers(50));
    for (int i = 0; i < 50; ++i) EXPECT_EQ(made[static_cast<std::size_t>(i)].value, i);
    const auto particles = pool.map([](int x) { return Particle{x * 0.5, std::vector<double>(static_cast<std::size_t>(x)), std::to_string(x)}; }, numbers(20));
    EXPECT_EQ(particles[19].position.size(), 19u);
    EXPECT_EQ(particles[19].name, "19");
    const auto vectors = pool.map([](int x) { return std::vector<bool>(static_cast<std::size_t>(x), true); }, numbers(10));
    EXPECT_EQ(vectors[9], std::vector<bool>(9, true));
    static_assert(std::is_void_v<decltype(pool.map([](int) {}, numbers(3)))>);
    pool.map([](int) {}, numbers(3));
}

TEST_P(Map, OfTenMillionInts) {
    Pool pool(options());
    const auto items = numbers(10'000'000);
    const auto results = pool.map([](int x) { return x ^ 0x5555; }, items);
    ASSERT_EQ(results.size(), items.size());
    for (std::size_t i = 0; i < items.size(); ++i) ASSERT_EQ(results[i], items[i] ^ 0x5555);
}

TEST_P(Map, OfAHundredThousandStrings) {
    Pool pool(options());
    std::vector<std::string> items;
    for (int i = 0; i < 100'000; ++i) items.push_back(std::string(static_cast<std::size_t>(i % 50), 'x') + std::to_string(i));
    const auto results = pool.map([](const std::string& s) { return s + "!"; }, items);
    for (std::size_t i = 0; i < items.size(); ++i) ASSERT_EQ(results[i], items[i] + "!");
}

// A text of so many characters, which tell where they are.
std::string text_of(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (size + i) % 23);
    return text;
}

// Results of any size gather where a worker and its pool share memory: some 64 KiB of them, fewer with many workers.
TEST_P(Map, ResultsOfAnySizeMayFillTheSharedMemoryToTheByte) {
    Pool pool(options());
    for (const std::size_t room : {std::size_t{8} << 10, std::size_t{64} << 10}) {
        std::vector<std::size_t> sizes;
        for (std::size_t size = room - 120; size <= room; ++size) {
            sizes.push_back(size);  // alone
            sizes.push_back(1000);  // behind another
            sizes.push_back(size - 1000);
            sizes.push_back(0);
        }
        for (const std::size_t chunksize : {0u, 1u, 50u}) {
            MapOptions options;
            options.chunksize = chunksize;
            const auto results = pool.map(text_of, sizes, options);
            for (std::size_t i = 0; i < sizes.size(); ++i) ASSERT_EQ(results[i], text_of(sizes[i])) << "item " << i << " of size " << sizes[i];
        }
    }
}

// Small inputs lie right behind what a worker reads of the call; where that ends is to the byte.
struct alignas(64) Aligned {
    int number;
};

TEST_P(Map, SmallInputsOfEverySize) {
    Pool pool(options());
    for (std::size_t size = 0; size < 1100; size += size > 900 && size < 1060 ? 1 : 97) {
        EXPECT_EQ(pool.map([](const std::string& text) { return text + "."; }, std::vector<std::string>{text_of(size), "b"}),
                  (std::vector<std::string>{text_of(size) + ".", "b."}));
        std::vector<char> bytes(size);
        std::iota(bytes.begin(), bytes.end(), '\0');
        EXPECT_EQ(pool.map([](char byte) { return byte; }, bytes), bytes) << size;
    }
    for (int count = 0; count < 20; ++count) {
        std::vector<Aligned> items;
        for (int i = 0; i < count; ++i) items.push_back({i});
        const auto places = pool.map([](const Aligned& item) { return reinterpret_cast<std::uintptr_t>(&item) % 64 == 0 ? item.number : -1; }, items);
        EXPECT_EQ(places, numbers(count));
    }
}

// A value that fails when it is half serialized.
struct HalfSerialized {
    std::string text;
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & text;
        if (text.size() % 3 == 1) throw std::runtime_error("half of it is out");
    }
};

TEST_P(Map, ResultsBesideOnesThatFailWhileTheyAreSerialized) {
    Pool pool(options());
    for (const std::size_t longest : {100u, 3'000u, 200'000u}) {
        std::vector<std::size_t> sizes(200);
        for (std::size_t i = 0; i < sizes.size(); ++i) sizes[i] = i * 7919 % longest;
        MapOptions options;
        options.chunksize = 40;
        const auto outcomes = pool.map_outcomes([](std::size_t size) { return HalfSerialized{text_of(size)}; }, sizes, options);
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            ASSERT_EQ(outcomes[i].has_value(), sizes[i] % 3 != 1) << "item " << i;
            if (!outcomes[i].has_value()) continue;
            ASSERT_EQ(outcomes[i].value().text, text_of(sizes[i])) << "item " << i;
        }
    }
}

TEST_P(Map, StarmapSpreadsTuplesAndPairs) {
    Pool pool(options());
    const std::vector<std::pair<int, std::string>> pairs{{1, "a"}, {2, "b"}};
    EXPECT_EQ(pool.starmap([](int n, const std::string& s) { return s + std::to_string(n); }, pairs), (std::vector<std::string>{"a1", "b2"}));
    EXPECT_EQ(pool.starmap([](int a, int b, int c) { return a * b + c; }, std::vector<std::tuple<int, int, int>>{{1, 2, 3}, {4, 5, 6}}), (std::vector{5, 26}));
    EXPECT_EQ(pool.starmap_async([](int a, int b) { return a - b; }, std::vector<std::pair<int, int>>{{5, 3}}).get(), std::vector{2});
}

TEST_P(Map, ApplyCallsOnce) {
    Pool pool(options());
    EXPECT_EQ(pool.apply([](int a, int b) { return a + b; }, 3, 4), 7);
    static_assert(std::is_same_v<decltype(pool.apply([] { return true; })), bool>);
    EXPECT_TRUE(pool.apply([] { return true; }));
    EXPECT_TRUE(pool.apply_async([] { return true; }).get());
    EXPECT_EQ(pool.apply([] { return std::string("nothing"); }), "nothing");
    EXPECT_EQ(*pool.apply([](std::unique_ptr<int> p) { return std::make_unique<int>(*p + 1); }, std::make_unique<int>(1)), 2);
    pool.apply([](const std::vector<int>&) {}, std::vector{1, 2});
    EXPECT_THROW(pool.apply([]() -> int { throw std::domain_error("no"); }), std::domain_error);
}

TEST_P(Map, IntoWritesWhereItIsTold) {
    Pool pool(options());
    std::vector<int> out(10, -1);
    pool.map_into(square, numbers(7), out);
    EXPECT_EQ(out, (std::vector{0, 1, 4, 9, 16, 25, 36, -1, -1, -1}));
    std::vector<double> wider(3);
    pool.map_into(square, std::vector{1, 2, 3}, wider);
    EXPECT_EQ(wider, (std::vector{1.0, 4.0, 9.0}));
    std::vector<std::string> words(2);
    pool.map_into([](int x) { return std::to_string(x); }, numbers(2), words);
    EXPECT_EQ(words, (std::vector<std::string>{"0", "1"}));
    std::vector<int> small(3);
    EXPECT_THROW(pool.map_into(square, numbers(4), small), std::invalid_argument);
}

TEST_P(Map, ABracedListIsInputOfEveryCall) {
    Pool pool(options());
    const auto next = [](int x) { return x + 1; };
    const auto add = [](int a, int b) { return a + b; };
    const std::vector<int> expected{2, 3, 4};
    EXPECT_EQ(pool.map(next, {1, 2, 3}), expected);
    EXPECT_EQ(pool.map(next, {1, 2, 3}, {.chunksize = 1}), expected);
    std::vector<int> out(4, -1);
    pool.map_into(next, {1, 2, 3}, out);
    EXPECT_EQ(out, (std::vector{2, 3, 4, -1}));
    pool.map_into(next, {5}, std::span(out).last(1), {.chunksize = 1});
    EXPECT_EQ(out, (std::vector{2, 3, 4, 6}));
    EXPECT_THROW(pool.map_into(next, {1, 2, 3, 4, 5}, out), std::invalid_argument);
    std::vector<std::string> texts(2);
    pool.map_into([](const std::string& text) { return text + "!"; }, {std::string("a"), std::string("b")}, texts);
    EXPECT_EQ(texts, (std::vector<std::string>{"a!", "b!"}));
    std::vector<double> wide(2);
    pool.map_into(next, {1, 2}, wide);
    EXPECT_EQ(wide, (std::vector{2.0, 3.0}));
    EXPECT_EQ(pool.map_outcomes(next, {1, 2, 3}, {.chunksize = 1})[2].value(), 4);
    EXPECT_EQ(pool.map_reduce(next, {1, 2, 3}, add, 10, {.chunksize = 1}), 19);
    EXPECT_EQ(pool.map_async(next, {1, 2, 3}, {.chunksize = 1}).get(), expected);
    std::vector<int> in_order, sorted(3);
    for (const int value : pool.imap(next, {1, 2, 3}, {.buffersize = 2})) in_order.push_back(value);
    EXPECT_EQ(in_order, expected);
    for (const auto& [index, value] : pool.imap_unordered(next, {1, 2, 3}, {.buffersize = 2})) sorted[index] = value;
    EXPECT_EQ(sorted, expected);
    EXPECT_EQ(pool.starmap(add, {std::pair(1, 1), std::pair(1, 2), std::pair(1, 3)}, {.chunksize = 1}), expected);
    EXPECT_EQ(pool.starmap_async(add, {std::pair(1, 1), std::pair(1, 2), std::pair(1, 3)}, {.chunksize = 1}).get(), expected);
}

TEST_P(Map, OutcomesHaveEveryValueAndEveryError) {
    Pool pool(options());
    auto outcomes = pool.map_outcomes([](int x) {
        if (x % 10 == 3) throw std::range_error("item " + std::to_string(x));
        return x * 2;
    }, numbers(100));
    ASSERT_EQ(outcomes.size(), 100u);
    for (int i = 0; i < 100; ++i) {
        auto& outcome = outcomes[static_cast<std::size_t>(i)];
        ASSERT_EQ(outcome.has_value(), i % 10 != 3) << i;
        if (outcome.has_value()) {
            EXPECT_EQ(outcome.value(), i * 2);
            EXPECT_EQ(outcome.error(), nullptr);
        } else {
            EXPECT_THROW(outcome.value(), std::range_error);
            EXPECT_EQ(rankpool::remote_info(outcome.error())->item, static_cast<std::size_t>(i));
        }
    }
    auto nothing = pool.map_outcomes([](int x) { if (x == 1) throw 42; }, {0, 1});
    EXPECT_TRUE(nothing[0].has_value());
    EXPECT_THROW(nothing[1].value(), rankpool::RemoteError);
}

TEST_P(Map, ReduceFoldsInOrderWithInitLeftmostAndOnce) {
    Pool pool(options());
    const auto concatenated = pool.map_reduce([](int x) { return std::to_string(x % 10); }, numbers(5000),
                                              [](std::string a, const std::string& b) { return a + b; }, std::string("init"));
    std::string expected = "init";
    for (int i = 0; i < 5000; ++i) expected += std::to_string(i % 10);
    EXPECT_EQ(concatenated, expected);
    EXPECT_EQ(pool.map_reduce([](int x) { return static_cast<long>(x); }, numbers(100'000), std::plus<>{}, 5L), 4999950005L);
    EXPECT_THROW(pool.map_reduce(square, numbers(10), [](int, int) -> int { throw std::overflow_error("op"); }, 0), std::overflow_error);
}

TEST_P(Map, ReduceGivesTheSameDigitsForAnyNumberOfWorkersAndChunks) {
    const auto term = [](int x) { return 1.0 / (x + 0.3); };
    std::optional<double> first;
    for (const int workers : {1, 2, 5})
        for (const std::size_t chunksize : {0u, 1u, 13u}) {
            Pool pool(options(workers));
            const double sum = pool.map_reduce(term, numbers(20'000), std::plus<>{}, 0.0, {.chunksize = chunksize});
            if (!first) first = sum;
            EXPECT_EQ(sum, *first) << workers << " workers, chunksize " << chunksize;
        }
}

TEST_P(Map, InputRangeThatThrowsIsThrownUnchangedAndThePoolStaysUsable) {
    struct Broken {
        struct iterator {
            using value_type = int;
            using difference_type = std::ptrdiff_t;
            int at = 0;
            int operator*() const {
                if (at == 5) throw std::underflow_error("the input broke");
                return at;
            }
            iterator& operator++() { ++at; return *this; }
            void operator++(int) { ++at; }
            bool operator==(std::default_sentinel_t) const { return at == 10; }
        };
        iterator begin() const { return {}; }
        std::default_sentinel_t end() const { return {}; }
    };
    Pool pool(options());
    EXPECT_THROW(pool.map(square, Broken{}), std::underflow_error);
    EXPECT_EQ(pool.map(square, {3}), std::vector{9});
    auto results = pool.imap(square, Broken{});
    for (int i = 0; i < 5; ++i) EXPECT_EQ(results.next(), i * i);
    EXPECT_THROW(results.next(), std::underflow_error);
    EXPECT_FALSE(results.next().has_value());
}

// What the first items take says nothing about the others: as many of that size would need more memory than there is.
TEST_P(Map, TheFirstItemsMayBeTheLargestByFar) {
    Pool pool(options());
    std::vector<std::string> items(1'000'000);
    for (std::size_t i = 0; i < 1024; ++i) items[i] = std::string(50'000, 'x');
    const auto lengths = pool.map([](const std::string& item) { return item.size(); }, items);
    for (std::size_t i = 0; i < items.size(); ++i) ASSERT_EQ(lengths[i], items[i].size()) << i;
}

TEST_P(Map, TasksRunElsewhereAndKnowWhere) {
    if (!isolated()) {
        Pool pool(options(2));
        EXPECT_EQ(pool.apply([] { return getpid(); }), getpid());
        return;
    }
    Pool pool(options());
    EXPECT_NE(pool.apply([] { return getpid(); }), getpid());
    EXPECT_NE(pool.map([](int) { return getpid(); }, {1}).front(), getpid());
    EXPECT_FALSE(rankpool::current_worker().has_value());
    EXPECT_FALSE(rankpool::current_item().has_value());
    const auto workers = pool.workers();
    ASSERT_EQ(workers.size(), 3u);
    const auto seen = pool.map([](int) {
        const auto self = rankpool::current_worker().value();
        return std::tuple(self.index, self.size, self.pid, self.rank, rankpool::current_item().value());
    }, numbers(100));
    for (std::size_t i = 0; i < seen.size(); ++i) {
        const auto& [index, size, pid, rank, item] = seen[i];
        EXPECT_EQ(item, i);
        EXPECT_EQ(size, 3);
        ASSERT_LT(static_cast<std::size_t>(index), workers.size());
        EXPECT_EQ(pid, workers[static_cast<std::size_t>(index)].pid);
        EXPECT_EQ(rank, workers[static_cast<std::size_t>(index)].rank);
    }
}

TEST_P(Map, NoWorkerIsIdleWhileAnotherHasTwoItems) {
    if (!isolated()) return;
    char path[] = "/tmp/rankpool-meeting-XXXXXX";
    const int meeting = mkstemp(path);
    ASSERT_GE(meeting, 0);
    Pool pool(options(4));
    // Every item waits until all four have begun: that needs four workers. The limit only ends a test that has failed.
    const auto met = pool.map([](const std::string& file) {
        const int fd = open(file.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
        const bool wrote = write(fd, "x", 1) == 1;
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        bool all = false;
        while (wrote && !all && std::chrono::steady_clock::now() < limit) {
            all = lseek(fd, 0, SEEK_END) >= 4;
            sched_yield();
        }
        close(fd);
        return all;
    }, std::vector<std::string>(4, path), {.chunksize = 1});
    EXPECT_EQ(met, std::vector<bool>(4, true));
    close(meeting);
    unlink(path);
}

TEST_P(Map, PoolsHaveTheSizeAskedFor) {
    if (GetParam() == rankpool::Backend::serial) {
        EXPECT_EQ(Pool(options(5)).size(), 1);
        return;
    }
    for (const int workers : {1, 2, 5, 9}) {
        Pool pool(options(workers));
        EXPECT_EQ(pool.size(), workers);
        EXPECT_EQ(pool.workers().size(), static_cast<std::size_t>(workers));
        EXPECT_EQ(pool.map(square, numbers(100)).back(), 99 * 99);
    }
    const int usual = Pool(options(0)).size();
    EXPECT_EQ(usual, GetParam() != rankpool::Backend::processes && ranks() > 1 ? std::max(1, rankpool::process_cpu_count() / ranks()) * ranks()
                                                                             : rankpool::process_cpu_count());
}

TEST_P(Map, PoolOfTwoHundredWorkers) {
    if (GetParam() == rankpool::Backend::serial) return;
    Pool pool(options(200));
    EXPECT_EQ(pool.size(), 200);
    const auto results = pool.map(square, numbers(1000));
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(results[static_cast<std::size_t>(i)], i * i);
}

TEST_P(Map, PoolsAliveTogetherHaveTheirOwnWorkers) {
    Pool first(options(2)), second(options(2));
    auto pending = first.map_async([](int x) { return x + 1; }, numbers(1000));
    EXPECT_EQ(second.map(square, numbers(100)).back(), 99 * 99);
    EXPECT_EQ(pending.get().back(), 1000);
    if (!isolated()) return;
    for (const auto& a : first.workers())
        for (const auto& b : second.workers()) EXPECT_NE(a.pid, b.pid);
}

TEST_P(Map, ServesSeveralThreads) {
    Pool pool(options());
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int t = 0; t < 6; ++t)
        threads.emplace_back([&, t] {
            for (int round = 0; round < 20; ++round) {
                const auto results = pool.map([t](int x) { return x * 10 + t; }, numbers(200));
                for (int i = 0; i < 200; ++i)
                    if (results[static_cast<std::size_t>(i)] != i * 10 + t) return;
            }
            ++right;
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(right, 6);
}

TEST_P(Map, ResultsOfMoreThanTwoGigabytes) {
    if (GetParam() != rankpool::Backend::automatic || std::getenv("RANKPOOL_TEST_LARGE") == nullptr) return;
    Pool pool(options(2));
    constexpr std::size_t each = std::size_t{90} << 20;
    const auto results = pool.map([](int x) { return std::vector<char>(each, static_cast<char>(x)); }, numbers(24));
    for (int i = 0; i < 24; ++i) {
        const auto& one = results[static_cast<std::size_t>(i)];
        ASSERT_EQ(one.size(), each);
        ASSERT_EQ(one.front(), static_cast<char>(i));
        ASSERT_EQ(one.back(), static_cast<char>(i));
    }
    const auto whole = pool.apply([] { return std::vector<char>((std::size_t{2} << 30) + 17, 'w'); });
    EXPECT_EQ(whole.size(), (std::size_t{2} << 30) + 17);
    EXPECT_EQ(whole.back(), 'w');
}

}  // namespace
