#include <rankpool/task_function.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/bind_shared.hpp>

using rankpool::SerializationError;
using rankpool::TaskFunction;

namespace {

using Unary = TaskFunction<int(int)>;

int twice(int x) { return 2 * x; }

struct Named {
    std::string name;
    std::size_t operator()(const std::string& other) const { return name.size() + other.size(); }
};

struct MoveOnly {
    std::unique_ptr<int> factor;
    int operator()(int x) const { return *factor * x; }
};

struct Counter {
    int count = 0;
    int operator()() { return ++count; }
};

template <class F>
rankpool::wire::Buffer as_value(const F& function) {
    rankpool::wire::Buffer bytes;
    rankpool::wire::encode(bytes, function);
    return bytes;
}

template <class F>
rankpool::wire::Buffer as_function(const F& function) {
    rankpool::wire::Buffer bytes;
    rankpool::task::Codec<F>::encode(bytes, function, false);
    return bytes;
}

static_assert(std::is_copy_constructible_v<Unary> && std::is_copy_assignable_v<Unary>);
static_assert(std::is_nothrow_move_constructible_v<Unary> && std::is_nothrow_move_assignable_v<Unary>);
static_assert(std::is_default_constructible_v<Unary>);
static_assert(std::is_convertible_v<int (*)(int), Unary> && std::is_convertible_v<MoveOnly, Unary>);
static_assert(!std::is_constructible_v<Unary, int>);
static_assert(!std::is_constructible_v<Unary, int (*)(std::string)>);
static_assert(!std::is_constructible_v<Unary, std::string (*)(int)>);
static_assert(std::is_constructible_v<TaskFunction<void(int)>, std::string (*)(int)>, "a result that nobody wants");
static_assert(std::is_invocable_r_v<int, const Unary&, int> && !std::is_invocable_v<Unary&, std::string>);
static_assert(!std::is_convertible_v<Unary, bool> && std::is_constructible_v<bool, Unary>);
static_assert(rankpool::Transferable<Unary>);
static_assert(rankpool::Transferable<std::map<std::string, Unary>> && rankpool::Transferable<std::optional<Unary>>);
static_assert(!rankpool::wire::is_bytes<Unary>);

TEST(TaskFunction, IsEmptyUntilItIsGivenAFunction) {
    Unary function;
    EXPECT_FALSE(function);
    function = twice;
    ASSERT_TRUE(function);
    EXPECT_EQ(function(4), 8);
    function = {};
    EXPECT_FALSE(function);
    EXPECT_FALSE((Unary(TaskFunction<long(int)>())));
    EXPECT_FALSE(std::exchange(function, twice));
    const Unary taken = std::move(function);
    EXPECT_TRUE(taken);
    EXPECT_FALSE(function);
}

TEST(TaskFunction, AnEmptyOneThatIsCalledSaysSo) {
    const Unary empty;
    EXPECT_THROW(empty(1), std::bad_function_call);
    try {
        empty(1);
    } catch (const std::exception& error) {
        EXPECT_NE(std::string(error.what()).find("empty TaskFunction"), std::string::npos) << error.what();
    }
    EXPECT_THROW(as_function(empty), std::invalid_argument);
    EXPECT_THROW(Unary(static_cast<int (*)(int)>(nullptr)), std::invalid_argument);
}

TEST(TaskFunction, CallsWhatItHolds) {
    int offset = 10;  // no constant, which would not be captured
    EXPECT_EQ(Unary([offset](int x) { return x + offset; })(1), 11);
    EXPECT_EQ(Unary(&twice)(3), 6);
    EXPECT_EQ(Unary(Unary(twice))(3), 6);
    EXPECT_EQ(TaskFunction<std::size_t(std::string)>(Named{"four"})("12"), 6u);
    EXPECT_EQ(Unary(MoveOnly{std::make_unique<int>(7)})(6), 42);
    EXPECT_EQ(TaskFunction<std::string()>([] { return "text"; })(), "text");
    EXPECT_EQ((TaskFunction<double(int)>(Unary(twice))(2)), 4.0);
    EXPECT_EQ(Unary(rankpool::bind_shared([](const std::vector<int>& table, int i) { return table[static_cast<std::size_t>(i)]; }, std::vector{5, 6}))(1), 6);
}

TEST(TaskFunction, PassesArgumentsAndResultsAsTheyAre) {
    std::string text = "a";
    TaskFunction<std::string&(std::string&)> append([](std::string& to) -> std::string& { return to += "b"; });
    EXPECT_EQ(&append(text), &text);
    EXPECT_EQ(text, "ab");
    TaskFunction<std::unique_ptr<int>(std::unique_ptr<int>, std::string&&)> move([](std::unique_ptr<int> value, std::string&& rest) {
        *value += static_cast<int>(std::string(std::move(rest)).size());
        return value;
    });
    EXPECT_EQ(*move(std::make_unique<int>(1), std::string("rest")), 5);
    TaskFunction<void(int&)> nothing([](int& x) { return ++x; });
    int x = 1;
    nothing(x);
    EXPECT_EQ(x, 2);
}

TEST(TaskFunction, CopiesAndWhatTravelsHaveTheFunctionAsItWasGiven) {
    TaskFunction<int()> first = Counter{10};
    EXPECT_EQ(first(), 11);
    EXPECT_EQ(first(), 12);
    TaskFunction<int()> copy = first;
    EXPECT_EQ(copy(), 11);
    EXPECT_EQ(rankpool::wire::decode<TaskFunction<int()>>(as_value(first))(), 11);
    TaskFunction<int()> moved = std::move(first);
    EXPECT_EQ(moved(), 13);
    const auto& itself = copy;
    copy = itself;
    EXPECT_TRUE(copy);
}

TEST(TaskFunction, CanBeCalledByManyThreadsAtOnce) {
    for (int round = 0; round < 100; ++round) {
        const TaskFunction<std::size_t(std::string)> function = Named{std::string(1000, 'x')};
        std::vector<std::thread> threads;
        std::atomic<int> right{0};
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] { right += function("y") == 1001; });
        for (auto& thread : threads) thread.join();
        ASSERT_EQ(right, 4);
    }
}

TEST(TaskFunction, LooksAtWhatIsCaptured) {
    int local = 0;
    EXPECT_THROW(Unary([&local](int x) { return local + x; }), std::invalid_argument);
    EXPECT_EQ(Unary(rankpool::trusted([&local](int x) { return local + x; }))(2), 2);
    EXPECT_THROW(Unary(rankpool::bind_shared([&local](int a, int x) { return local + a + x; }, 1)), std::invalid_argument);
}

TEST(TaskFunction, TravelsAsAValue) {
    std::map<std::string, Unary> known{{"twice", twice}, {"nothing", {}}, {"seven", MoveOnly{std::make_unique<int>(7)}}};
    const auto arrived = rankpool::wire::decode<std::map<std::string, Unary>>(as_value(known));
    EXPECT_EQ(arrived.at("twice")(2), 4);
    EXPECT_EQ(arrived.at("seven")(2), 14);
    EXPECT_FALSE(arrived.at("nothing"));
    const auto again = rankpool::wire::decode<std::map<std::string, Unary>>(as_value(arrived));
    EXPECT_EQ(again.at("seven")(3), 21);
}

struct Steps {
    std::string name;
    std::vector<Unary> steps;
    Unary last;
};

TEST(TaskFunction, TravelsAsAMember) {
    static_assert(rankpool::Transferable<Steps>);
    const auto arrived = rankpool::wire::decode<Steps>(as_value(Steps{"steps", {twice, {}}, [](int x) { return x + 1; }}));
    EXPECT_EQ(arrived.name, "steps");
    EXPECT_EQ(arrived.last(arrived.steps[0](5)), 11);
    EXPECT_FALSE(arrived.steps[1]);
}

class Guarded {
  public:
    Guarded() = default;
    explicit Guarded(Unary function) : function_(std::move(function)) {}
    int operator()(int x) const { return function_(x); }
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive & function_;
    }

  private:
    Unary function_;
};

TEST(TaskFunction, TravelsInATypeWithASerialize) {
    EXPECT_EQ(rankpool::wire::decode<Guarded>(as_value(Guarded(twice)))(4), 8);
    const Unary wrapped = Guarded(twice);
    EXPECT_EQ(rankpool::wire::decode<Unary>(as_value(wrapped))(4), 8);
}

TEST(TaskFunction, WhatArrivesAsAValueNeedsTheMessageNoMore) {
    std::vector<double> table(1000, 0.5);
    TaskFunction<double(int)> function = rankpool::bind_shared([](std::span<const double> values, int i) { return values[static_cast<std::size_t>(i)]; }, table);
    auto bytes = as_value(function);
    const auto arrived = rankpool::wire::decode<TaskFunction<double(int)>>(bytes);
    std::memset(bytes.data(), 0xff, bytes.size());
    EXPECT_EQ(arrived(999), 0.5);
    const auto copy = arrived;
    EXPECT_EQ(copy(0), 0.5);
}

TEST(TaskFunction, WhatItsFunctionSharesLiesInTheMessageWhenItIsTheTask) {
    const std::vector<double> table(1000, 0.5);
    const TaskFunction<const double*()> function = rankpool::bind_shared([](std::span<const double> values) { return values.data(); }, table);
    const auto bytes = as_function(function);
    // Where functions lie in a worker.
    void* memory = nullptr;
    ASSERT_EQ(posix_memalign(&memory, 64, bytes.size()), 0);
    std::memcpy(memory, bytes.data(), bytes.size());
    {
        rankpool::wire::Reader in({static_cast<const std::byte*>(memory), bytes.size()});
        const auto arrived = rankpool::task::Codec<TaskFunction<const double*()>>::decode(in);
        EXPECT_EQ(in.remaining(), 0u);
        const auto* values = reinterpret_cast<const std::byte*>(arrived());
        EXPECT_GE(values, memory);
        EXPECT_LE(values + table.size() * sizeof(double), static_cast<const std::byte*>(memory) + bytes.size());
    }
    free(memory);
}

TEST(TaskFunction, MissingBytesAreRefused) {
    const TaskFunction<std::size_t(std::string)> function = Named{"name"};
    const auto value = as_value(function), task = as_function(function);
    for (std::size_t length = 0; length < value.size(); ++length) {
        const auto part = std::span<const std::byte>(value).first(length);
        EXPECT_THROW(rankpool::wire::decode<TaskFunction<std::size_t(std::string)>>(part), SerializationError) << length;
    }
    for (std::size_t length = 0; length < task.size(); ++length) {
        rankpool::wire::Reader in(std::span<const std::byte>(task).first(length));
        EXPECT_THROW(rankpool::task::Codec<TaskFunction<std::size_t(std::string)>>::decode(in), SerializationError) << length;
    }
}

TEST(TaskFunction, OneOfAnotherSignatureIsRefused) {
    const auto value = as_value(Unary(twice)), task = as_function(Unary(twice));
    EXPECT_THROW(rankpool::wire::decode<TaskFunction<long(int)>>(value), rankpool::Error);
    EXPECT_THROW(rankpool::wire::decode<TaskFunction<int(int, int)>>(value), rankpool::Error);
    rankpool::wire::Reader in(task);
    EXPECT_THROW(rankpool::task::Codec<TaskFunction<int(unsigned)>>::decode(in), rankpool::Error);
}

TEST(TaskFunction, AReferenceToSomethingElseIsRefused) {
    static const std::uint64_t elsewhere[32] = {};
    for (const std::size_t offset : {0u, 1u}) {
        rankpool::wire::Buffer bytes;
        rankpool::wire::encode(bytes, true);
        rankpool::task::encode_code_address(bytes, reinterpret_cast<const std::byte*>(elsewhere) + offset);
        rankpool::wire::encode(bytes, std::string("function"));
        EXPECT_THROW(rankpool::wire::decode<Unary>(bytes), rankpool::Error) << offset;
    }
}

struct alignas(128) Wide {
    double value = 0;
    int operator()(int x) const { return reinterpret_cast<std::uintptr_t>(this) % 128 == 0 ? static_cast<int>(value) + x : -1; }
};

TEST(TaskFunction, AFunctionLiesWhereItsTypeWants) {
    EXPECT_EQ(Unary(Wide{3})(1), 4);
    EXPECT_EQ(rankpool::wire::decode<Unary>(as_value(Unary(Wide{3})))(1), 4);
}

}  // namespace
