// TaskFunction: one function of many, in every kind of call, and as part of what travels.
#include <functional>
#include <map>
#include <numeric>

#include "pool/backends.hpp"

namespace {

using namespace pool_test;
using rankpool::bind_shared;
using rankpool::Pool;
using rankpool::TaskFunction;

class TaskFunctions : public OnBackend {};
ON_ALL_BACKENDS(TaskFunctions);

using Unary = TaskFunction<int(int)>;

int twice(int x) { return 2 * x; }

struct Table {
    std::map<std::string, int> values;
    int operator()(int x) const { return values.at("offset") + x; }
};

TEST_P(TaskFunctions, WorkInEveryKindOfCall) {
    Pool pool(options());
    const int offset = static_cast<int>(ranks()) + 10;
    for (const Unary& f : {Unary([offset](int x) { return x + offset; }), Unary(twice), Unary(Table{{{"offset", 5}}})}) {
        const std::vector<int> expected{f(1), f(2), f(3)};
        EXPECT_EQ(pool.map(f, {1, 2, 3}), expected);
        std::vector<int> out(3);
        pool.map_into(f, std::vector{1, 2, 3}, out);
        EXPECT_EQ(out, expected);
        EXPECT_EQ(pool.map_outcomes(f, {1, 2, 3})[2].value(), expected[2]);
        EXPECT_EQ(pool.map_async(f, {1, 2, 3}).get(), expected);
        std::vector<int> seen;
        for (const int value : pool.imap(f, {1, 2, 3})) seen.push_back(value);
        EXPECT_EQ(seen, expected);
        for (const auto& [index, value] : pool.imap_unordered(f, {1, 2, 3})) EXPECT_EQ(value, expected[index]);
        EXPECT_EQ(pool.apply(f, 3), expected[2]);
        EXPECT_EQ(pool.apply_async(f, 3).get(), expected[2]);
        const TaskFunction<int(int, int)> add = [](int a, int b) { return a + b; };
        EXPECT_EQ(pool.map_reduce(f, {1, 2, 3}, add, 100), 100 + std::accumulate(expected.begin(), expected.end(), 0));
        EXPECT_EQ(pool.starmap(add, {std::pair(1, 2), std::pair(3, 4)}), (std::vector{3, 7}));
        EXPECT_EQ(pool.map(Unary(f), {1}), (std::vector{expected[0]}));
        EXPECT_EQ(pool.map(TaskFunction<double(int)>(f), {1}), (std::vector<double>{1.0 * expected[0]}));
        EXPECT_EQ(pool.map(rankpool::trusted(f), {1}), (std::vector{expected[0]}));
    }
    const TaskFunction<void(int)> nothing = twice;
    static_assert(std::is_void_v<decltype(pool.map(nothing, {1}))>);
    pool.map(nothing, {1, 2});
}

TEST_P(TaskFunctions, ShareArgumentsWithTheirItems) {
    Pool pool(options());
    std::vector<double> table(100'000);
    std::iota(table.begin(), table.end(), 0.5);
    const auto look_up = [](std::span<const double> values, int i) { return values[static_cast<std::size_t>(i)]; };
    const TaskFunction<double(std::span<const double>, int)> function = look_up;
    EXPECT_EQ(pool.map(bind_shared(function, table), {0, 99'999}), (std::vector{0.5, 99'999.5}));
    const TaskFunction<double(int)> bound = bind_shared(look_up, table);
    EXPECT_EQ(pool.map(bound, {0, 99'999}), (std::vector{0.5, 99'999.5}));
    EXPECT_EQ(bound(1), 1.5);
    // One that is shared itself.
    EXPECT_EQ(pool.map(bind_shared([](const TaskFunction<double(int)>& f, int i) { return 2 * f(i); }, bound), {0, 1}), (std::vector{1.0, 3.0}));
}

struct Chain {
    std::vector<Unary> steps;
    TaskFunction<std::string(int)> last;
    std::string operator()(int x) const {
        for (const Unary& step : steps) x = step(x);
        return last(x);
    }
};

TEST_P(TaskFunctions, AreMembersOfOtherFunctions) {
    Pool pool(options());
    const Chain chain{{twice, [](int x) { return x + 1; }, Table{{{"offset", 100}}}}, [](int x) { return std::to_string(x); }};
    EXPECT_EQ(pool.map(chain, {1, 2}), (std::vector<std::string>{"103", "105"}));
    EXPECT_EQ(pool.map(TaskFunction<std::string(int)>(chain), {1, 2}), (std::vector<std::string>{"103", "105"}));
}

TEST_P(TaskFunctions, AreItemsArgumentsAndResults) {
    Pool pool(options());
    const std::vector<Unary> items{twice, {}, Table{{{"offset", 7}}}};
    EXPECT_EQ(pool.map([](const Unary& f) { return f ? f(10) : -1; }, items), (std::vector{20, -1, 17}));
    EXPECT_EQ(pool.apply([](const Unary& f, int x) { return f(f(x)); }, Unary(twice), 3), 12);
    const auto made = pool.map([](int factor) { return Unary(bind_shared([](std::span<const int> all, int x) { return all[0] * x; }, std::vector(1000, factor))); }, {2, 3});
    EXPECT_EQ(made[0](10), 20);
    EXPECT_EQ(made[1](10), 30);
    EXPECT_EQ(pool.map(made[1], {5}), (std::vector{15})) << "made in a worker, sent to one again";
}

int kept_by_task(int x) {
    static Unary kept;
    if (!kept) kept = bind_shared([](std::span<const int> all, int i) { return all[static_cast<std::size_t>(i)]; }, std::vector{1, 2, 3});
    return kept(x);
}
int keep(const Unary& f) {
    static Unary kept;
    if (!kept) kept = f;
    return kept(2);
}

TEST_P(TaskFunctions, ThatATaskKeepsOutliveTheCall) {
    Pool pool(options(1));
    EXPECT_EQ(pool.map(kept_by_task, {0, 2}), (std::vector{1, 3}));
    const Unary f = bind_shared([](std::span<const int> all, int i) { return all[static_cast<std::size_t>(i)]; }, std::vector{10, 20, 30});
    EXPECT_EQ(pool.apply(keep, f), 30);
    for (int i = 0; i < 100; ++i) pool.map([](const std::vector<int>& all) { return all.size(); }, std::vector(10, std::vector(1000, -1)));
    EXPECT_EQ(pool.apply(keep, f), 30);
}

TEST_P(TaskFunctions, EmptyOnesAreRefusedBeforeAnythingRunsAndThrowInATask) {
    Pool pool(options());
    const Unary empty;
    EXPECT_THROW(pool.map(empty, {1}), std::invalid_argument);
    EXPECT_THROW(pool.map(bind_shared(TaskFunction<int(int, int)>(), 1), {1}), std::invalid_argument);
    EXPECT_THROW(pool.map_reduce(twice, {1}, TaskFunction<int(int, int)>(), 0), std::invalid_argument);
    try {
        pool.map([](const Unary& f) { return f(1); }, {empty});
        FAIL();
    } catch (const std::bad_function_call& error) {
        EXPECT_NE(std::string(error.what()).find("empty TaskFunction"), std::string::npos) << error.what();
    }
}

struct Unreadable {
    std::string text;
    int operator()(int x) const { return x; }
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & text;
        if (Archive::is_loading::value) throw std::runtime_error("cannot be read");
    }
};

TEST_P(TaskFunctions, WhoseFunctionCannotBeReadFailTheirItemOnly) {
    Pool pool(options());
    auto outcomes = pool.map_outcomes([](const Unary& f) { return f(1); }, std::vector<Unary>{twice, Unreadable{"x"}, twice});
    EXPECT_EQ(outcomes[0].value(), 2);
    EXPECT_THROW(outcomes[1].value(), std::runtime_error);
    EXPECT_EQ(outcomes[2].value(), 2);
    EXPECT_THROW(pool.map(Unary(Unreadable{"x"}), {1}), std::runtime_error);
    EXPECT_EQ(pool.apply(twice, 2), 4);
}

int initialized = 0;

TEST_P(TaskFunctions, InitializeWorkers) {
    for (const int value : {30, 40}) {
        auto chosen = options(2);
        chosen.initializer = [value] { initialized = value; };
        const TaskFunction<void()> first = chosen.initializer;
        chosen.initializer = bind_shared([](const TaskFunction<void()>& begin, std::span<const int> more) {
            begin();
            initialized += more[0];
        }, first, std::vector{3});
        Pool pool(chosen);
        EXPECT_EQ(pool.map([](int) { return initialized; }, {1, 2, 3}), std::vector<int>(3, value + 3));
    }
}

TEST_P(TaskFunctions, GoOnToAPoolInATask) {
    Pool pool(options(1));
    const auto nested = [](const Unary& f) {
        Pool inner({.processes = 1, .backend = rankpool::Backend::threads});
        return inner.map(f, {1, 2});
    };
    EXPECT_EQ(pool.map(nested, {Unary(Table{{{"offset", 1}}})}), (std::vector<std::vector<int>>{{2, 3}}));
}

TEST_P(TaskFunctions, MayBeLarge) {
    Pool pool(options(2));
    struct Sum {
        std::vector<int> all;
        std::size_t operator()(int x) const { return all.size() + static_cast<std::size_t>(x); }
    };
    const TaskFunction<std::size_t(int)> sum = Sum{std::vector<int>(5'000'000, 1)};
    EXPECT_EQ(pool.map(sum, {1, 2}), (std::vector<std::size_t>{5'000'001, 5'000'002}));
    EXPECT_EQ(pool.map([](const TaskFunction<std::size_t(int)>& f) { return f(3); }, {sum}), (std::vector<std::size_t>{5'000'003}));
}

}  // namespace
