// bind_shared: what items share, as spans, references and values.
#include <array>
#include <cstdint>
#include <map>
#include <numeric>

#include "pool/backends.hpp"

namespace {

using namespace pool_test;
using rankpool::bind_shared;
using rankpool::Pool;

class BindShared : public OnBackend {};
ON_ALL_BACKENDS(BindShared);
class BindSharedInProcesses : public OnBackend {};  // threads share all memory
ON_PROCESSES(BindSharedInProcesses);

struct Model {
    std::map<std::string, double> weights;
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & weights;
    }
};

double scored(std::span<const double> table, const Model& model, int item) {
    return table[static_cast<std::size_t>(item)] * model.weights.at("scale");
}

std::vector<double> table() {
    std::vector<double> values(1000);
    std::iota(values.begin(), values.end(), 0.5);
    return values;
}

TEST_P(BindShared, ArgumentsComeBeforeTheItem) {
    Pool pool(options());
    const auto values = table();
    const auto scores = pool.map(bind_shared(scored, values, Model{{{"scale", 2.0}}}), {0, 1, 999});
    EXPECT_EQ(scores, (std::vector{1.0, 3.0, 1999.0}));
}

TEST_P(BindShared, ARangeIsReceivedAsASpanOrAsWhatItWas) {
    Pool pool(options());
    const auto values = table();
    const std::array<int, 3> three{1, 2, 3};
    const int raw[] = {4, 5};
    const auto f = [](const std::vector<double>& whole, std::span<const double> view, const std::array<int, 3>& array, std::span<const int> more,
                      const std::string& text, std::string_view seen, int item) {
        return whole.size() + view.size() + array.size() + more.size() + text.size() + seen.size() + static_cast<std::size_t>(item);
    };
    EXPECT_EQ(pool.map(bind_shared(f, values, std::span(values), three, raw, "literal", std::string_view("seen")), {0, 1}),
              (std::vector<std::size_t>{1000 + 1000 + 3 + 2 + 7 + 4, 1000 + 1000 + 3 + 2 + 7 + 4 + 1}));
}

TEST_P(BindShared, AGenericCallableGetsTheValueItself) {
    Pool pool(options());
    EXPECT_EQ(pool.map(bind_shared([](const auto& values, int item) { return values.at(static_cast<std::size_t>(item)); }, table()), {2, 3}), (std::vector{2.5, 3.5}));
}

TEST_P(BindShared, EmptyRangesAreFine) {
    Pool pool(options());
    EXPECT_EQ(pool.map(bind_shared([](std::span<const int> none, const std::vector<int>& nothing, int item) { return none.size() + nothing.size() + static_cast<std::size_t>(item); },
                                   std::vector<int>(), std::vector<int>()), {7}),
              (std::vector<std::size_t>{7}));
}

struct alignas(64) Wide {
    double value;
};

TEST_P(BindShared, ElementsLieWhereTheirTypeWantsThem) {
    Pool pool(options());
    const auto places = pool.map(bind_shared([](char, std::span<const Wide> wide, std::span<const std::uint16_t> narrow, int item) {
        const bool aligned = reinterpret_cast<std::uintptr_t>(wide.data()) % alignof(Wide) == 0 && reinterpret_cast<std::uintptr_t>(narrow.data()) % 2 == 0;
        return aligned ? wide[static_cast<std::size_t>(item)].value + narrow[0] : -1;
    }, 'x', std::vector<Wide>{{1}, {2}, {3}}, std::vector<std::uint16_t>{10}), {0, 1, 2});
    EXPECT_EQ(places, (std::vector{11.0, 12.0, 13.0}));
}

TEST_P(BindShared, WorksInEveryKindOfCall) {
    Pool pool(options());
    const std::vector<int> base{100, 200};
    const auto add = [](std::span<const int> all, int item) { return all[0] + all[1] + item; };
    EXPECT_EQ(pool.map_async(bind_shared(add, base), {1, 2}).get(), (std::vector{301, 302}));
    std::vector<int> seen;
    for (const int value : pool.imap(bind_shared(add, base), {1, 2, 3})) seen.push_back(value);
    EXPECT_EQ(seen, (std::vector{301, 302, 303}));
    EXPECT_EQ(pool.apply(bind_shared(add, base), 5), 305);
    EXPECT_EQ(pool.starmap(bind_shared([](std::span<const int> all, int a, int b) { return all[0] + a * b; }, base), {std::pair(2, 3), std::pair(4, 5)}), (std::vector{106, 120}));
    EXPECT_EQ(pool.map_reduce(bind_shared(add, base), {1, 2}, bind_shared([](int offset, int a, int b) { return a + b + offset; }, 1000), 0), 301 + 302 + 2000);
    std::vector<int> out(2);
    pool.map_into(bind_shared(add, base), std::vector{1, 2}, out);
    EXPECT_EQ(out, (std::vector{301, 302}));
    EXPECT_EQ(pool.map(bind_shared(bind_shared([](int a, int b, int item) { return 100 * a + 10 * b + item; }, 1), 2), {3}), (std::vector{123}));
}

int initialized = 0;

TEST_P(BindShared, GivesAnInitializerItsArguments) {
    auto chosen = options(2);
    chosen.initializer = bind_shared([](std::span<const int> values, const std::string& text) { initialized = values[1] + static_cast<int>(text.size()); }, std::vector{1, 40}, "ab");
    Pool pool(chosen);
    EXPECT_EQ(pool.map([](int) { return initialized; }, {1, 2, 3}), (std::vector{42, 42, 42}));
}

struct Counted {
    std::string value;
    static int& made() {
        static int count = 0;
        return count;
    }
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & value;
        ++made();
    }
};

TEST_P(BindShared, ARebuiltArgumentIsRebuiltOnceAWorker) {
    Pool pool(options(1));
    const int before = pool.apply([] { return Counted::made(); });
    const auto counts = pool.map(bind_shared([](const Counted&, int) { return Counted::made(); }, Counted{"x"}), std::vector<int>(100), {.chunksize = 1});
    EXPECT_EQ(std::vector<int>(100, counts.front()), counts);
    if (isolated()) {
        EXPECT_EQ(counts.front(), before + 1);
    }
}

TEST_P(BindShared, LooksAtTheCapturesOfTheFunctionOnly) {
    Pool pool(options());
    int local = 0;
    int* pointer = &local;
    EXPECT_THROW(pool.map(bind_shared([pointer](int a, int item) { return a + item + (pointer != nullptr); }, 1), {1}), std::invalid_argument);
    EXPECT_EQ(pool.map(rankpool::trusted(bind_shared([pointer](int a, int item) { return a + item + (pointer != nullptr); }, 1)), {1}), (std::vector{3}));
    EXPECT_EQ(pool.map(bind_shared(rankpool::trusted([pointer](std::span<const int> a, int item) { return a[0] + item + (pointer != nullptr); }), std::vector{1}), {1}), (std::vector{3}));
}

TEST_P(BindSharedInProcesses, WorkersCannotWriteToASharedRange) {
    Pool pool(options(1));
    EXPECT_THROW(pool.map(bind_shared([](std::span<const int> values, int item) { return const_cast<int&>(values[0]) = item; }, std::vector{1}), {1}), rankpool::WorkerLost);
}

}  // namespace
