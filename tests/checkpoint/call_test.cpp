// MapOptions::checkpoint in calls: what is reused, what is run, what is refused; on all backends, in every launch.
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "pool/backends.hpp"
#include "support/door.hpp"
#include "support/item_log.hpp"

using namespace rankpool;

namespace {

struct Item {
    char kind = 0;  // padding behind it
    int number = 0;
    item_log::Path log;
};

struct Checkpoints : pool_test::OnBackend {
    const item_log::ItemLog log;
    const std::string journal = log.name("journal").text;

    std::vector<Item> items(int count) const {
        std::vector<Item> all(static_cast<std::size_t>(count));
        for (int i = 0; i < count; ++i) {
            std::memset(static_cast<void*>(&all[static_cast<std::size_t>(i)]), count + i,
                        sizeof(Item));  // rubbish between the members
            all[static_cast<std::size_t>(i)].kind = 'i';
            all[static_cast<std::size_t>(i)].number = i;
            all[static_cast<std::size_t>(i)].log = log.path();
        }
        return all;
    }
    std::vector<std::string> texts(int count) const {
        std::vector<std::string> all;
        for (int i = 0; i < count; ++i) all.push_back(std::string(log.path().text) + "|" + std::to_string(i));
        return all;
    }
    /// How many items were started, since the last time this was asked.
    std::size_t started() {
        const std::size_t now = log.records().size();
        return now - std::exchange(seen_, now);
    }
    template <class Call>
    std::string refusal(Call&& call) {
        try {
            call();
        } catch (const CheckpointError& error) {
            EXPECT_NE(std::string(error.what()).find(journal), std::string::npos) << error.what();
            return error.what();
        }
        return "no refusal";
    }

  private:
    std::size_t seen_ = 0;
};

int twice(Item item) {
    item_log::note(item.log, static_cast<std::uint64_t>(item.number), item_log::Moment::started);
    return 2 * item.number;
}
std::string longer(const std::string& text) {
    const auto bar = text.find('|');
    const auto number = std::stoull(text.substr(bar + 1));
    item_log::note(item_log::Path(text.substr(0, bar)), number, item_log::Moment::started);
    return std::string(static_cast<std::size_t>(number % 7), 'x') + text.substr(bar + 1);
}
// Fails for the items that the file at the other path lists.
int fails_at_first(Item item) {
    item_log::note(item.log, static_cast<std::uint64_t>(item.number), item_log::Moment::started);
    if (*current_item() != static_cast<std::size_t>(item.number)) throw std::logic_error("another index");
    item_log::Path once = item.log;
    std::strcat(once.text, std::to_string(item.number).c_str());
    if (item.number % 10 == 3 && item_log::first_to_ask(once))
        throw std::range_error("at first " + std::to_string(item.number));
    return 2 * item.number;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_P(Checkpoints, AreReusedInsteadOfRun) {
    for (const int count : {40, 40, 60}) {  // an input may grow
        Pool pool(options());
        const auto results = pool.map(twice, items(count), {.checkpoint = journal});
        for (int i = 0; i < count; ++i) ASSERT_EQ(results[static_cast<std::size_t>(i)], 2 * i);
        const auto stats = pool.stats();
        EXPECT_EQ(stats.items, static_cast<std::uint64_t>(count));
        EXPECT_EQ(stats.items - stats.reused, started());
    }
    EXPECT_EQ(log.read().size(), 60u);
    for (const auto& [item, times] : log.read()) EXPECT_EQ(times.started, 1) << item;
}

TEST_P(Checkpoints, OfSerializedItemsAndResults) {
    std::vector<std::string> first;
    for (int round = 0; round < 3; ++round) {
        Pool pool(options());
        const auto results = pool.map(longer, texts(50), {.chunksize = 3, .checkpoint = journal});
        if (round == 0) first = results;
        EXPECT_EQ(results, first);
        EXPECT_EQ(started(), round == 0 ? 50u : 0u);
    }
}

TEST_P(Checkpoints, WorkInEveryFormOfMap) {
    Pool pool(options());
    const auto input = items(30);
    const auto path = [&](const char* name) { return MapOptions{.checkpoint = journal + name}; };
    for (int round = 0; round < 2; ++round) {
        const std::size_t expected = round == 0 ? 30 : 0;
        std::vector<int> out(35, -1);
        pool.map_into(twice, input, out, path("into"));
        EXPECT_EQ(out[29], 58);
        EXPECT_EQ(out[30], -1);
        EXPECT_EQ(started(), expected);
        shared_vector<int> shared(30);
        pool.map_into(twice, input, shared, path("shared"));
        EXPECT_EQ(shared[29], 58);
        EXPECT_EQ(started(), expected);
        auto outcomes = pool.map_outcomes(twice, input, path("outcomes"));
        EXPECT_EQ(outcomes[29].value(), 58);
        EXPECT_EQ(started(), expected);
        EXPECT_EQ(pool.map_reduce(twice, input, std::plus<int>(), 1, path("reduce")), 871);
        EXPECT_EQ(started(), expected);
        EXPECT_EQ(pool.map_async(twice, input, path("async")).get()[29], 58);
        EXPECT_EQ(started(), expected);
        std::vector<std::pair<Item, int>> pairs;
        for (const Item& item : input) pairs.emplace_back(item, 1);
        const auto add = [](Item item, int more) { return twice(item) + more; };
        EXPECT_EQ(pool.starmap(add, pairs, path("star"))[29], 59);
        EXPECT_EQ(started(), expected);
        EXPECT_EQ(pool.starmap_async(add, pairs, path("star_async")).get()[29], 59);
        EXPECT_EQ(started(), expected);
        pool.map([](Item item) { twice(item); }, input, path("nothing"));
        EXPECT_EQ(started(), expected);
    }
}

TEST_P(Checkpoints, ItemsThatFailedAreRunAgainUnderTheirIndex) {
    Pool pool(options());
    try {
        pool.map(fails_at_first, items(40), {.checkpoint = journal});
        FAIL();
    } catch (const std::range_error& error) {
        EXPECT_STREQ(error.what(), "at first 3");
        EXPECT_EQ(*remote_info(error)->item, 3u);
    }
    EXPECT_EQ(started(), 40u);
    EXPECT_EQ(pool.map(fails_at_first, items(40), {.checkpoint = journal})[33], 66);
    EXPECT_EQ(started(), 4u);
    EXPECT_EQ(pool.stats().reused, 36u);
    for (const auto& [item, times] : log.read()) EXPECT_EQ(times.started, item % 10 == 3 ? 2 : 1) << item;
}

TEST_P(Checkpoints, ManyGaps) {
    constexpr int count = 500;
    const auto every_second = [](Item item) {
        twice(item);
        if (item.kind == 'i' && item.number % 2 == 0) throw std::range_error("even");
        return current_item() == static_cast<std::size_t>(item.number) ? 2 * item.number : -1;
    };
    const auto all = [](Item item) {
        twice(item);
        return current_item() == static_cast<std::size_t>(item.number) ? 2 * item.number : -1;
    };
    Pool pool(options());
    EXPECT_THROW(pool.map(every_second, items(count), {.checkpoint = journal}), std::range_error);
    EXPECT_EQ(started(), static_cast<std::size_t>(count));
    const auto results = pool.map(all, items(count), {.checkpoint = journal});
    EXPECT_EQ(started(), static_cast<std::size_t>(count) / 2);
    for (int i = 0; i < count; ++i) ASSERT_EQ(results[static_cast<std::size_t>(i)], 2 * i);
}

TEST_P(Checkpoints, OfOtherItemsAreRefusedAndStay) {
    Pool pool(options());
    pool.map(twice, items(20), {.checkpoint = journal});
    auto others = items(20);
    others[7].kind = 'o';
    EXPECT_TRUE(has(refusal([&] { pool.map(twice, others, {.checkpoint = journal}); }), "other items"));
    EXPECT_TRUE(has(refusal([&] { pool.map(twice, items(19), {.checkpoint = journal}); }), "this call has 19 items"));
    EXPECT_TRUE(has(refusal([&] { pool.map_async(twice, others, {.checkpoint = journal}); }), "other items"));
    EXPECT_EQ(started(), 20u);
    pool.map(twice, items(20), {.checkpoint = journal});
    EXPECT_EQ(started(), 0u);
}

TEST_P(Checkpoints, OfOtherResultsAreRefused) {
    Pool pool(options());
    pool.map(twice, items(5), {.checkpoint = journal, .checkpoint_tag = "v1"});
    const auto to_text = [](Item item) { return std::to_string(twice(item)); };
    EXPECT_TRUE(has(refusal([&] { pool.map(to_text, items(5), {.checkpoint = journal, .checkpoint_tag = "v1"}); }),
                    "std::string"));
    const auto to_float = [](Item item) { return static_cast<float>(twice(item)); };
    EXPECT_TRUE(
        has(refusal([&] { pool.map(to_float, items(5), {.checkpoint = journal, .checkpoint_tag = "v1"}); }), "float"));
    EXPECT_TRUE(
        has(refusal([&] { pool.map(twice, items(5), {.checkpoint = journal, .checkpoint_tag = "v2"}); }), "v2"));
    EXPECT_TRUE(has(refusal([&] { pool.map(twice, items(5), {.checkpoint = journal}); }), "v1"));
    EXPECT_EQ(started(), 5u);
}

TEST_P(Checkpoints, InUseAreRefused) {
    Pool pool(options());
    const auto gate = log.name("gate"), begun = log.name("begun");
    const auto wait_for_gate = [gate, begun](int x) {
        door::open_for_all(begun.text);
        door::pass(gate.text);
        return x;
    };
    // On a thread of its own: with the serial backend the tasks run in the caller's.
    auto first = std::async(std::launch::async, [&] { return pool.map(wait_for_gate, std::vector{1, 2, 3}, {.checkpoint = journal}); });
    door::pass(begun.text);
    EXPECT_TRUE(has(refusal([&] {
                        pool.map(wait_for_gate, std::vector{1, 2, 3}, {.checkpoint = journal});
                    }),
                    "(process " + std::to_string(getpid()) + ")"));
    door::open_for_all(gate.text);
    EXPECT_EQ(first.get(), (std::vector{1, 2, 3}));
    pool.map(wait_for_gate, std::vector{1, 2, 3}, {.checkpoint = journal});
}

TEST_P(Checkpoints, OptionsThatMeanNothing) {
    Pool pool(options());
    const std::vector input{1, 2};
    const auto same = [](int x) { return x; };
    EXPECT_THROW(pool.imap(same, input, {.checkpoint = journal}), std::invalid_argument);
    EXPECT_THROW(pool.imap_unordered(same, input, {.checkpoint = journal}), std::invalid_argument);
    EXPECT_THROW(pool.map(same, input, {.checkpoint_tag = "v1"}), std::invalid_argument);
    EXPECT_THROW(pool.map(same, input, {.stop_before_end = std::chrono::seconds(1)}), std::invalid_argument);
    EXPECT_THROW(pool.map(same, input, {.checkpoint = journal, .stop_before_end = std::chrono::seconds(-1)}),
                 std::invalid_argument);
    EXPECT_NE(access(journal.c_str(), F_OK), 0);
    EXPECT_EQ(pool.map(same, std::vector<int>(), {.checkpoint = journal}).size(), 0u);
}

struct Unserializable {
    int number = 0;
    std::string text;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        if (number == 2) throw std::runtime_error("cannot be serialized");
        archive& number& text;
    }
};

TEST_P(Checkpoints, DoNotKeepItemsThatCouldNotBeSerialized) {
    Pool pool(options());
    std::vector<Unserializable> input(4);
    for (int i = 0; i < 4; ++i) input[static_cast<std::size_t>(i)].number = i;
    const auto number = [](const Unserializable& item) { return item.number; };
    EXPECT_THROW(pool.map(number, input, {.checkpoint = journal}), std::runtime_error);
    EXPECT_THROW(pool.map(number, input, {.checkpoint = journal}), std::runtime_error);
    EXPECT_EQ(pool.stats().reused, 3u);
}

TEST_P(Checkpoints, KnowItemsThatTheirResultsOverwrite) {
    const auto next = [](int x) { return x + 1; };
    std::vector<int> values(1000);
    for (int i = 0; i < 1000; ++i) values[static_cast<std::size_t>(i)] = i;
    const auto before = values;
    const auto expected = Pool({.backend = Backend::serial}).map(next, before);
    Pool pool(options());
    pool.map_into(next, values, values, {.checkpoint = journal});
    EXPECT_EQ(values, expected);
    values = before;
    pool.map_into(next, values, values, {.checkpoint = journal});
    EXPECT_EQ(values, expected);
    EXPECT_EQ(pool.stats().reused, 1000u);
}

// A journal that cannot grow any more: the call ends and says so, and what was written is of use.
TEST_P(Checkpoints, DiskIsFull) {
    Pool pool(options());
    struct rlimit before {};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    struct rlimit small = before;
    small.rlim_cur = 4096;
    const std::vector<std::string> input(100, std::string(1000, 'x'));
    const auto same = [](std::string text) { return text; };
    EXPECT_EQ(pool.map(same, input), input);  // the pool has its memory then, which is a file to the kernel
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const std::string text = refusal([&] { pool.map(same, input, {.checkpoint = journal}); });
    const std::string outcomes = refusal([&] { pool.map_outcomes(same, input, {.checkpoint = journal}); });
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_TRUE(has(text, "File too large")) << text;
    EXPECT_TRUE(has(outcomes, "File too large")) << outcomes;
    EXPECT_EQ(pool.map(same, input, {.checkpoint = journal}), input);
    EXPECT_GT(pool.stats().reused, 0u);
}

TEST_P(Checkpoints, TheProgramsHandlersAreBackAfterwards) {
    static std::atomic<int> heard{0};
    const auto before = std::signal(SIGUSR1, [](int) { ++heard; });
    Pool pool(options());
    pool.map(twice, items(3), {.checkpoint = journal});
    raise(SIGUSR1);
    std::signal(SIGUSR1, before);
    EXPECT_EQ(heard.exchange(0), 1);
}

ON_ALL_BACKENDS(Checkpoints);

}  // namespace
