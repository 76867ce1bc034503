// reduce, allreduce, scan and exscan: against the fold from the left in rank order, to the last bit.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <type_traits>

#include "comm/values.hpp"

namespace {

using namespace comm_test;

/// Equal; floating-point numbers to the last bit.
template <class T>
bool same(const T& a, const T& b) {
    if constexpr (std::is_same_v<T, double>)
        return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
    else if constexpr (std::is_same_v<T, float>)
        return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
    else
        return a == b;
}
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const T& x, const T& y) { return same(x, y); });
}

#define EXPECT_SAME(actual, expected) EXPECT_TRUE(same(actual, expected)) << "expected " << testing::PrintToString(expected) << ' '

enum class Roots { few, every };

/// The ranks that are tried as root.
std::vector<int> roots(Roots which) {
    if (which == Roots::few && ranks() > 4) return {0, ranks() / 2, ranks() - 1};
    std::vector<int> all(index_of(ranks()));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

/// values[r] is rank r's. Folds them in each way.
template <class T, class Op>
void expect_folds(const std::vector<T>& values, Op op, Roots which = Roots::few) {
    std::vector<T> prefixes{values[0]};
    for (std::size_t r = 1; r < values.size(); ++r) prefixes.push_back(static_cast<T>(op(T(prefixes.back()), T(values[r]))));
    const T own = values[index_of(rank())], all = prefixes.back(), up_to_here = prefixes[index_of(rank())];
    for (const int root : roots(which)) EXPECT_SAME(world().reduce(own, op, root), rank() == root ? all : own) << "root " << root;
    EXPECT_SAME(world().allreduce(own, op), all);
    EXPECT_SAME(world().scan(own, op), up_to_here);
    const std::optional<T> before = world().exscan(own, op);
    EXPECT_EQ(before.has_value(), rank() > 0);
    if (before.has_value() && rank() > 0) {
        EXPECT_SAME(*before, T(prefixes[index_of(rank() - 1)]));
    }
}

template <class T, class Value>
std::vector<T> of_each_rank(Value value) {
    std::vector<T> all;
    for (int r = 0; r < ranks(); ++r) all.push_back(value(r));
    return all;
}

/// x -> a x + b, modulo 2^32. Composing them is associative and not commutative.
struct Affine {
    std::uint32_t a, b;
    friend bool operator==(const Affine&, const Affine&) = default;
};
Affine then(const Affine& first, const Affine& second) { return {second.a * first.a, second.a * first.b + second.b}; }
Affine affine_of(int seed) {
    const auto s = static_cast<std::uint32_t>(seed);
    return {2 * s + 3, 1000003 * s + 7};
}

/// Sums that show their order: small numbers vanish next to large ones that cancel later.
double pattern(int rank, std::size_t i = 0) {
    if (rank % 3 == 1) return 1e16;
    if (rank % 3 == 2) return -1e16;
    return 0.1 * (rank + 1) * static_cast<double>(i + 1);
}

TEST(Reduce, Ints) {
    expect_folds(of_each_rank<int>([](int r) { return 17 + r; }), std::plus<>{}, Roots::every);
    expect_folds(of_each_rank<int>([](int r) { return 17 + r; }), std::plus<int>{});
    expect_folds(of_each_rank<unsigned>([](int r) { return 3u + static_cast<unsigned>(r); }), std::multiplies<>{});
    const auto jagged = of_each_rank<int>([](int r) { return (r * 7 + 3) % 11 - 5; });
    expect_folds(jagged, [](int a, int b) { return std::min(a, b); });
    expect_folds(jagged, [](const int& a, const int& b) -> const int& { return std::max(a, b); });
    expect_folds(of_each_rank<int>([](int r) { return ~(1 << r); }), std::bit_and<>{});
    expect_folds(of_each_rank<long>([](int r) { return 1L << (2 * r); }), std::bit_or<>{});
}

TEST(Reduce, Bools) {
    for (int special = -1; special < ranks(); ++special) {
        const auto one = of_each_rank<bool>([special](int r) { return r == special; });
        const auto all_but_one = of_each_rank<bool>([special](int r) { return r != special; });
        const bool own = rank() == special;
        EXPECT_EQ(world().allreduce(own, std::logical_or<>{}), special >= 0);
        EXPECT_EQ(world().allreduce(!own, std::logical_and<>{}), special < 0);
        if (special != ranks() / 2) continue;
        expect_folds(one, std::logical_or<>{}, Roots::every);
        expect_folds(one, std::logical_and<>{});
        expect_folds(all_but_one, std::logical_and<>{});
        expect_folds(all_but_one, std::not_equal_to<>{});
    }
}

TEST(Reduce, SmallTypesKeepTheirType) {
    const auto values = of_each_rank<std::uint8_t>([](int r) { return static_cast<std::uint8_t>(100 + r); });
    expect_folds(values, std::plus<>{});  // int inside, wraps at 256 at each step
    expect_folds(of_each_rank<char>([](int r) { return static_cast<char>('a' + r); }), [](char a, char b) { return std::max(a, b); });
}

TEST(Reduce, StringsConcatenateInRankOrder) {
    expect_folds(of_each_rank<std::string>([](int r) { return std::to_string(r) + " rosebud(s) "; }), std::plus<>{}, Roots::every);
    expect_folds(of_each_rank<std::string>([](int r) { return sample<std::string>(r, 1); }), std::plus<std::string>{});
}

TEST(Reduce, OperationsThatDoNotCommute) {
    expect_folds(of_each_rank<Affine>(affine_of), then, Roots::every);
    expect_folds(of_each_rank<Affine>(affine_of), [](Affine a, Affine b) { return then(b, a); });
    expect_folds(of_each_rank<int>([](int r) { return r; }), [](int, int b) { return b; });
    expect_folds(of_each_rank<int>([](int r) { return r; }), [](int a, int) { return a; });
}

TEST(Reduce, BracketsFromTheLeft) {
    // Not associative: any other bracketing has another result.
    expect_folds(of_each_rank<int>([](int r) { return r + 5; }), std::minus<>{});
    expect_folds(of_each_rank<std::string>([](int r) { return std::to_string(r); }),
                 [](const std::string& a, const std::string& b) { return "(" + a + "+" + b + ")"; });
}

TEST(Reduce, FloatingPointIsTheFoldFromTheLeft) {
    expect_folds(of_each_rank<double>([](int r) { return 0.1 * (r + 1); }), std::plus<>{});
    expect_folds(of_each_rank<double>([](int r) { return pattern(r); }), std::plus<>{}, Roots::every);
    expect_folds(of_each_rank<double>([](int r) { return pattern(r + 1); }), std::plus<>{});
    expect_folds(of_each_rank<double>([](int r) { return 1.0 + 0.1 * r; }), std::multiplies<>{});
    expect_folds(of_each_rank<float>([](int r) { return r % 2 == 0 ? 0.1f * static_cast<float>(r + 1) : 1e8f; }), std::plus<>{});
    expect_folds(of_each_rank<double>([](int) { return -0.0; }), std::plus<>{});
}

TEST(Reduce, ClassesThatAreSerialized) {
    const auto join = [](const Wrapped& a, const Wrapped& b) { return Wrapped(a.number() + b.number(), a.text() + "," + b.text()); };
    expect_folds(of_each_rank<Wrapped>([](int r) { return sample<Wrapped>(r, 2); }), join, Roots::every);
    using Histogram = std::map<std::string, int>;
    const auto add = [](Histogram a, const Histogram& b) {
        for (const auto& [word, count] : b) a[word] += count;
        return a;
    };
    expect_folds(of_each_rank<Histogram>([](int r) { return Histogram{{"all", 1}, {r % 2 == 0 ? "even" : "odd", r}}; }), add);
}

TEST(Reduce, TypesWithoutDefaultConstructor) {
    expect_folds(of_each_rank<Id>([](int r) { return sample<Id>(r, 0); }), [](const Id&, const Id& b) { return b; });
    const auto join = [](const Named& a, const Named& b) { return Named{a.id, a.name + b.name}; };
    expect_folds(of_each_rank<Named>([](int r) { return sample<Named>(r, 0); }), join);
}

TEST(Reduce, OptionalsAreValues) {
    // What exscan returns is empty on rank 0 only, also where the value in it may be empty.
    const auto values = of_each_rank<std::optional<int>>([](int r) { return r % 3 == 1 ? std::optional<int>() : std::optional<int>(r); });
    expect_folds(values, [](std::optional<int> a, std::optional<int> b) { return a && b ? std::optional<int>(*a + *b) : std::nullopt; });
    using Text = std::optional<std::string>;
    const auto texts = of_each_rank<Text>([](int r) { return r == 0 ? Text() : std::to_string(r); });
    expect_folds(texts, [](const Text&, const Text& b) { return b; });
}

int sum_modulo(int value, int modulus) {
    return world().allreduce(value, [modulus](int a, int b) { return (a + b) % modulus; });
}

TEST(Reduce, TheSameLambdaWithOtherCapturesIsAnotherOperation) {
    const int sum = ranks() * (ranks() + 1) / 2 + 3 * ranks();
    for (const int modulus : {1'000'003, 7, 10, 1'000'003}) {
        const int first = ranks() == 1 ? 4 : sum % modulus;  // one value is not combined with anything
        EXPECT_EQ(sum_modulo(rank() + 4, modulus), first) << modulus;
    }
}

TEST(Reduce, AnyCallableIsAnOperation) {
    const int sum = ranks() * (ranks() - 1) / 2;
    int calls = 0;
    const std::map<int, int> table{{0, 1}};
    EXPECT_EQ(world().allreduce(rank(), [&calls, &table](int a, int b) {
        ++calls;
        return (a + b) * table.at(0);
    }), sum);
    EXPECT_EQ(world().allreduce(rank(), std::function<int(int, int)>(std::plus<>{})), sum);
    int (*const larger)(int, int) = [](int a, int b) { return a > b ? a : b; };
    EXPECT_EQ(world().allreduce(rank(), larger), ranks() - 1);
    EXPECT_EQ(world().allreduce(rank(), [one = std::make_unique<int>(1)](int a, int b) { return *one * (a + b); }), sum);
}

TEST(Reduce, RangesThatTheOperationTakesWholeAreValues) {
    const auto join = [](const std::vector<int>& a, const std::vector<int>& b) {
        std::vector<int> both = a;
        both.insert(both.end(), b.begin(), b.end());
        return both;
    };
    expect_folds(of_each_rank<std::vector<int>>([](int r) { return std::vector<int>(index_of(r % 3), r); }), join);
}

struct Larger {
    template <class T>
    T operator()(const T& a, const T& b) const {
        return std::max(a, b);
    }
};

TEST(Reduce, WhereBothArePossibleTheCallSaysWhich) {
    const std::vector<int> own{rank(), -rank()};
    EXPECT_EQ(world().allreduce(rankpool::as_value(own), Larger{}), (std::vector{ranks() - 1, 1 - ranks()}));
    EXPECT_EQ(world().allreduce(std::span<const int>(own), Larger{}), (std::vector{ranks() - 1, 0}));
}

// ---- elementwise ----

/// values(r, i) is element i of rank r. Folds `count` of them.
template <class T, class Op, class Values>
void expect_elementwise(std::size_t count, Values values, Op op, Roots which = Roots::few) {
    std::vector<T> own, expected, before, up_to_here;
    for (std::size_t i = 0; i < count; ++i) own.push_back(values(rank(), i));
    for (std::size_t i = 0; i < count; ++i) expected.push_back(values(0, i));
    if (rank() == 0) up_to_here = expected;
    std::vector<T> other;
    for (int r = 1; r < ranks(); ++r) {
        if (r == rank()) before = expected;
        other.clear();
        for (std::size_t i = 0; i < count; ++i) other.push_back(values(r, i));
        for (std::size_t i = 0; i < count; ++i) expected[i] = static_cast<T>(op(std::move(expected[i]), std::move(other[i])));
        if (r == rank()) up_to_here = expected;
    }
    const std::span<const T> elements(own);
    EXPECT_TRUE(same(world().allreduce(elements, op), expected)) << count;
    for (const int root : count > 10'000 ? std::vector{ranks() - 1} : roots(which))
        EXPECT_TRUE(same(world().reduce(elements, op, root), rank() == root ? expected : std::vector<T>())) << count << " at root " << root;
    if (count > 10'000) return;
    EXPECT_TRUE(same(world().scan(elements, op), up_to_here)) << count;
    const std::optional<std::vector<T>> exclusive = world().exscan(elements, op);
    EXPECT_EQ(exclusive.has_value(), rank() > 0);
    EXPECT_TRUE(same(exclusive.value_or(std::vector<T>()), before)) << count;
}

TEST(ReduceElements, OfEverySize) {
    for (const std::size_t count : {0u, 1u, 7u, 1000u}) {
        expect_elementwise<int>(count, [](int r, std::size_t i) { return r * 1000 + static_cast<int>(i); }, std::plus<>{},
                                count == 7 ? Roots::every : Roots::few);
        expect_elementwise<int>(count, [](int r, std::size_t i) { return (r * 7 + static_cast<int>(i)) % 11; },
                                [](int a, int b) { return std::max(a, b); });
        expect_elementwise<Affine>(count, [](int r, std::size_t i) { return affine_of(r + static_cast<int>(i)); }, then);
        expect_elementwise<int>(count, [](int r, std::size_t i) { return r + static_cast<int>(i); }, std::minus<>{});
    }
    expect_elementwise<int>(100'003, [](int r, std::size_t i) { return r * 3 - static_cast<int>(i); }, std::plus<>{});
    expect_elementwise<Affine>(100'003, [](int r, std::size_t i) { return affine_of(r + static_cast<int>(i)); }, then);
}

TEST(ReduceElements, FloatingPointIsTheFoldFromTheLeft) {
    for (const std::size_t count : {1u, 2u, 7u, 64u, 1000u, 4099u})
        expect_elementwise<double>(count, [](int r, std::size_t i) { return pattern(r + static_cast<int>(i % 3), i); }, std::plus<>{});
    expect_elementwise<double>(100'003, [](int r, std::size_t i) { return pattern(r + static_cast<int>(i % 3), i); }, std::plus<>{});
    const auto floats = [](int r, std::size_t i) { return (r + static_cast<int>(i)) % 2 == 0 ? 0.1f * static_cast<float>(i + 1) : 1e8f; };
    expect_elementwise<float>(1000, floats, std::plus<>{});
}

// Slices that lie on both sides of a size at which they are copied in another way, and none for some ranks.
TEST(ReduceElements, WhoseSlicesAreTreatedDifferently) {
    for (const std::size_t each : {std::size_t{8192}, std::size_t{16384}})
        for (const std::size_t more : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
            const std::size_t count = each * index_of(ranks()) + more - 1;
            const std::vector<double> own(count, rank() + 1.0);
            for (const int root : {0, ranks() - 1}) {
                const auto sums = world().reduce(own, std::plus<>{}, root);
                world().barrier();
                EXPECT_EQ(sums, std::vector<double>(rank() == root ? count : 0, ranks() * (ranks() + 1) / 2.0));
            }
        }
}

TEST(ReduceElements, OfOtherKinds) {
    const auto word = [](int r, std::size_t i) { return sample<std::string>(r, static_cast<int>(i)); };
    for (const std::size_t count : {0u, 1u, 50u}) expect_elementwise<std::string>(count, word, std::plus<>{});
    expect_elementwise<Wrapped>(7, [](int r, std::size_t i) { return sample<Wrapped>(r, static_cast<int>(i)); },
                                [](const Wrapped& a, const Wrapped& b) { return Wrapped(a.number() - b.number(), b.text() + a.text()); });
    expect_elementwise<Id>(7, [](int r, std::size_t i) { return sample<Id>(r, static_cast<int>(i)); },
                           [](const Id&, const Id& b) { return b; });
    expect_elementwise<std::uint8_t>(300, [](int r, std::size_t i) { return static_cast<std::uint8_t>(i + index_of(r)); }, std::plus<>{});

    const std::array<bool, 3> bits{rank() == 0, rank() == ranks() - 1, false};
    EXPECT_EQ(world().allreduce(std::span<const bool>(bits), std::logical_or<>{}), (std::vector{true, true, false}));
}

TEST(ReduceElements, OfEveryContiguousRange) {
    const double sum = ranks() * (ranks() - 1) / 2;
    const std::vector<double> expected{sum, 2 * sum, static_cast<double>(ranks())};
    const std::vector<double> own{1.0 * rank(), 2.0 * rank(), 1.0};
    const int root = ranks() - 1;
    const std::vector<double> at_root = rank() == root ? expected : std::vector<double>();
    EXPECT_EQ(world().allreduce(own, std::plus<>{}), expected);
    EXPECT_EQ(world().allreduce(std::vector<double>(own), std::plus<>{}), expected);
    EXPECT_EQ(world().reduce(own, std::plus<>{}, root), at_root);
    std::array<double, 3> array{own[0], own[1], own[2]};
    EXPECT_EQ(world().allreduce(array, std::plus<double>{}), expected);
    EXPECT_EQ(world().reduce(array, std::plus<double>{}, root), at_root);
    EXPECT_EQ(world().allreduce(std::span<double>(array), std::plus<>{}), expected);
    EXPECT_EQ(world().allreduce(std::span<double, 3>(array), std::plus<>{}), expected);
    EXPECT_EQ(world().reduce(std::span<const double>(own), std::plus<>{}), rank() == 0 ? expected : std::vector<double>());
    EXPECT_EQ(world().allreduce(std::vector<std::string>{"a", "b"}, std::plus<>{}),
              (std::vector<std::string>{std::string(index_of(ranks()), 'a'), std::string(index_of(ranks()), 'b')}));
}

// ---- MPI's own algorithms ----

TEST(ReduceNative, DoublesAreNear) {
    const auto value = [](int r, std::size_t i) { return 0.1 * (r + 1) + 1e-3 * static_cast<double>(i); };
    std::vector<double> own, expected;
    for (std::size_t i = 0; i < 1000; ++i) {
        own.push_back(value(rank(), i));
        double sum = 0;
        for (int r = 0; r < ranks(); ++r) sum += value(r, i);
        expected.push_back(sum);
    }
    const auto near = [](double actual, double wanted) { return std::abs(actual - wanted) <= 1e-9 * std::abs(wanted); };
    EXPECT_TRUE(near(world().allreduce(own[0], rankpool::native(std::plus<>{})), expected[0]));
    EXPECT_TRUE(near(world().allreduce(own[0], rankpool::native(std::plus<double>{})), expected[0]));
    for (int root = 0; root < ranks(); ++root)
        EXPECT_TRUE(near(world().reduce(own[0], rankpool::native(std::plus<>{}), root), rank() == root ? expected[0] : own[0]));
    const std::vector<double> everywhere = world().allreduce(std::span<const double>(own), rankpool::native(std::plus<>{}));
    EXPECT_TRUE(std::equal(everywhere.begin(), everywhere.end(), expected.begin(), expected.end(), near));
    const std::vector<double> at_root = world().reduce(own, rankpool::native(std::plus<>{}), ranks() - 1);
    EXPECT_EQ(at_root.size(), rank() == ranks() - 1 ? 1000u : 0u);
    if (!at_root.empty()) {
        EXPECT_TRUE(std::equal(at_root.begin(), at_root.end(), expected.begin(), expected.end(), near));
    }

    double through_here = 0, before = 0;
    for (int r = 0; r <= rank(); ++r) through_here += value(r, 0);
    for (int r = 0; r < rank(); ++r) before += value(r, 0);
    EXPECT_TRUE(near(world().scan(own[0], rankpool::native(std::plus<>{})), through_here));
    const std::optional<double> exclusive = world().exscan(own[0], rankpool::native(std::plus<>{}));
    EXPECT_EQ(exclusive.has_value(), rank() > 0);
    if (exclusive.has_value()) {
        EXPECT_TRUE(near(*exclusive, before));
    }
}

/// An operation whose result does not depend on order or brackets: native and not are equal.
template <class T, class Op>
void expect_native(const std::vector<T>& values, Op op) {
    T all = values[0];
    for (std::size_t r = 1; r < values.size(); ++r) all = static_cast<T>(op(T(all), T(values[r])));
    const T own = values[index_of(rank())];
    const int root = ranks() - 1;
    EXPECT_EQ(world().allreduce(own, rankpool::native(op)), all);
    EXPECT_EQ(world().reduce(own, rankpool::native(op), root), rank() == root ? all : own);
    const std::array<T, 3> elements{own, own, own};
    EXPECT_EQ(world().allreduce(std::span<const T>(elements), rankpool::native(op)), std::vector<T>(3, all));
}

TEST(ReduceNative, IntsAreEqual) {
    const auto ints = of_each_rank<int>([](int r) { return (r * 7 + 3) % 11 - 5; });
    expect_native(ints, std::plus<>{});
    expect_native(ints, std::plus<int>{});
    expect_native(ints, std::bit_or<>{});
    expect_native(ints, std::bit_and<>{});
    expect_native(ints, std::bit_xor<>{});
    expect_native(of_each_rank<std::uint64_t>([](int r) { return 2u * static_cast<unsigned>(r) + 3u; }), std::multiplies<>{});
    expect_native(of_each_rank<std::int64_t>([](int r) { return std::int64_t{1} << (40 + r % 20); }), std::plus<>{});
    expect_native(of_each_rank<std::uint8_t>([](int r) { return static_cast<std::uint8_t>(50 * r); }), std::plus<>{});
    expect_native(of_each_rank<bool>([](int r) { return r == ranks() - 1; }), std::logical_or<>{});
    expect_native(of_each_rank<bool>([](int r) { return r != ranks() - 1; }), std::logical_and<>{});
}

TEST(ReduceNative, OtherOperationsAndTypesWorkToo) {
    const auto ints = of_each_rank<int>([](int r) { return (r * 7 + 3) % 11 - 5; });
    expect_native(ints, [](int a, int b) { return std::min(a, b); });
    const auto small = of_each_rank<int>([](int r) { return r % 5; });
    for (const int modulus : {7, 5, 7}) expect_native(small, [modulus](int a, int b) { return (a + b) % modulus; });
    const auto point = [](int r) { return Point{1.0 * r, 2.0 * r, 3 * r}; };
    expect_native(of_each_rank<Point>(point), [](const Point& a, const Point& b) { return Point{a.x + b.x, a.y + b.y, a.id + b.id}; });
    expect_native(of_each_rank<std::string>([](int r) { return std::string(index_of(r % 4), 'x'); }), std::plus<>{});
}

}  // namespace
