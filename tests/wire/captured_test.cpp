#include <rankpool/task/callable.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <future>
#include <initializer_list>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <rankpool/task_function.hpp>

using rankpool::SerializationError;
using rankpool::task::Codec;
using rankpool::task::refuse_captured_addresses;

namespace captured_test {

int global = 7;

struct Scale {
    std::vector<double> factors;
    double operator()(double x) const { return x * factors.at(0); }
};

int twice(int x) { return 2 * x; }
static int thrice(int x) { return 3 * x; }
int Scaled(int x) { return x; }

}  // namespace captured_test

namespace {

using namespace captured_test;

template <class F>
rankpool::wire::Buffer encoded(const F& function, bool trusted = false) {
    rankpool::wire::Buffer bytes;
    Codec<F>::encode(bytes, function, trusted);
    return bytes;
}

template <class F>
F round_trip(const F& function) {
    const auto bytes = encoded(function);
    rankpool::wire::Reader in(bytes);
    F arrived = Codec<F>::decode(in);
    EXPECT_EQ(in.remaining(), 0u);
    return arrived;
}

std::string hexadecimal(const void* address) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%llx",
                  static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(address)));
    return text;
}

// The call is refused, and says what was captured, where, and what to do.
template <class F>
void expect_refused(const F& function, const void* address, std::size_t offset = 0) {
    try {
        encoded(function);
        FAIL() << "an address was let through";
    } catch (const std::invalid_argument& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("offset " + std::to_string(offset) + " "), std::string::npos) << text;
        EXPECT_NE(text.find(hexadecimal(address)), std::string::npos) << text;
        EXPECT_NE(text.find("trusted"), std::string::npos) << text;
    }
}

TEST(CapturedAddresses, ReferencesToLocalVariablesAreRefused) {
    int local = 3;
    expect_refused([&local] { return local; }, &local);
    expect_refused([&] { return local; }, &local);
    expect_refused([pointer = &local] { return *pointer; }, &local);
}

TEST(CapturedAddresses, PointersToTheHeapAreRefused) {
    const auto small = std::make_unique<int>(3);
    expect_refused([pointer = small.get()] { return *pointer; }, small.get());
    const std::vector<char> large(std::size_t{8} << 20);  // a mapping of its own
    expect_refused([pointer = large.data()] { return *pointer; }, large.data());
    const char* last = large.data() + large.size() - 1;
    expect_refused([last] { return *last; }, last);
}

TEST(CapturedAddresses, PointersIntoModulesAreRefused) {
    expect_refused([pointer = &global] { return *pointer; }, &global);
    const char* literal = "a literal";
    expect_refused([literal] { return *literal; }, literal);
    std::ostream* library = &std::cout;
    expect_refused([library] { library->flush(); }, library);
    int (*function)(int) = twice;
    expect_refused([function] { return function(1); }, reinterpret_cast<const void*>(function));
}

TEST(CapturedAddresses, PointersToStacksOfOtherThreadsAreRefused) {
    std::promise<int*> where;
    std::promise<void> done;
    std::thread other([&] {
        int local = 5;
        where.set_value(&local);
        done.get_future().wait();
    });
    int* pointer = where.get_future().get();
    expect_refused([pointer] { return *pointer; }, pointer);
    done.set_value();
    other.join();
}

struct HoldsThis {
    int value = 4;
    auto function() {
        return [this] { return value; };
    }
};
TEST(CapturedAddresses, TheCapturedThisIsRefused) {
    HoldsThis object;
    expect_refused(object.function(), &object);
}

TEST(CapturedAddresses, TheOffsetIsThatOfTheWord) {
    int local = 0;
    std::int64_t first = 1;  // not const: a constant need not be captured
    double second = 2;
    expect_refused([first, second, &local] { return static_cast<double>(first) + second + local; }, &local, 16);
}

TEST(CapturedAddresses, ThoseBesidePaddingAreRefused) {
    int local = 0;
    bool flag = true;
    expect_refused([flag, &local] { return flag ? local : 0; }, &local, 8);
    expect_refused([&local, flag] { return flag ? local : 0; }, &local, 0);
    const auto number = reinterpret_cast<std::uintptr_t>(&local);
    expect_refused([flag, number] { return flag ? number : 0; }, &local, 8);
}

TEST(CapturedAddresses, TheTextNamesTheFunctionAndWhereItPoints) {
    int local = 0;
    try {
        encoded([&local] { return local; });
        FAIL() << "an address was let through";
    } catch (const std::invalid_argument& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("CapturedAddresses_TheTextNamesTheFunctionAndWhereItPoints_Test"), std::string::npos)
            << text;
        EXPECT_NE(text.find("stack"), std::string::npos) << text;
    }
}

TEST(CapturedAddresses, AdaptersAreLookedThrough) {
    int local = 0;
    auto function = [&local](int x) { return local + x; };
    expect_refused(rankpool::task::Star<decltype(function)>{function}, &local);
    auto nullary = [&local] { return local; };
    expect_refused(rankpool::task::Nullary<decltype(nullary)>{nullary}, &local);
    EXPECT_THROW(rankpool::TaskFunction<void()>([&local] { ++local; }), std::invalid_argument);
}

TEST(CapturedValues, NumbersAndSmallStructsArrive) {
    struct Range {
        int low, high;
        double step;
        char name[8];
    };
    Range range{-3, 1 << 30, 1e-9, "range"};
    double pi = 3.25;
    long big = -1;
    bool flag = true;
    const auto arrived = round_trip([=](int x) {
        return range.low + range.high * range.step + pi + static_cast<double>(big) + x + flag + range.name[0];
    });
    EXPECT_EQ(arrived(2), range.low + range.high * range.step + pi - 1 + 2 + 1 + 'r');
}

TEST(CapturedValues, WordsThatAreNoAddressesAreAccepted) {
    for (const std::uint64_t word : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4096}, std::uint64_t{65535},
                                     std::uint64_t{1} << 47, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
        const auto arrived = round_trip([word] { return word; });
        EXPECT_EQ(arrived(), word);
    }
    for (const double number : {0.0, 1.0, -1.0, 1e300, 1e-300})
        EXPECT_EQ(round_trip([number] { return number; })(), number);
}

// A function object in memory that held addresses before: they are still in its padding.
template <class F>
void expect_padding_is_not_looked_at(const F& function, std::initializer_list<std::size_t> values) {
    alignas(256) static std::array<std::byte, 1024> target;
    const std::byte* address = target.data() + 512;  // with any byte of it changed to 0 or 1 still one of this program
    alignas(F) std::array<std::byte, sizeof(F)> place;
    for (std::size_t at = 0; at + sizeof address <= place.size(); at += sizeof address)
        std::memcpy(place.data() + at, &address, sizeof address);
    for (const std::size_t at : values) place[at] = reinterpret_cast<const std::byte*>(&function)[at];
    ASSERT_NO_THROW(encoded(*std::launder(reinterpret_cast<const F*>(place.data()))));
    EXPECT_THROW(refuse_captured_addresses(place, "f"), std::invalid_argument) << "no address was left in the padding";
}

TEST(CapturedValues, PaddingIsNotLookedAt) {
    bool flag = true;
    double number = 2.5;
    const auto inside = [flag, number] { return flag ? number : 0; };
    expect_padding_is_not_looked_at(inside, {0, 8, 9, 10, 11, 12, 13, 14, 15});
    const auto behind = [number, flag] { return flag ? number : 0; };
    expect_padding_is_not_looked_at(behind, {0, 1, 2, 3, 4, 5, 6, 7, 8});
    struct Pair {
        bool first;
        double second;
    };
    Pair pair{true, 2.5};
    const auto nested = [pair] { return pair.first ? pair.second : 0; };
    expect_padding_is_not_looked_at(nested, {0, 8, 9, 10, 11, 12, 13, 14, 15});
}

TEST(CapturedValues, WordsThatAreNotAlignedAreNotLookedAt) {
    int local = 0;
    const int* address = &local;
    std::array<std::byte, 24> bytes{};
    for (std::size_t offset = 0; offset + sizeof address <= bytes.size(); ++offset) {
        bytes.fill(std::byte{0xff});  // no neighbour makes an address together with a part of this one
        std::memcpy(bytes.data() + offset, &address, sizeof address);
        if (offset % 8 == 0)
            EXPECT_THROW(refuse_captured_addresses(bytes, "f"), std::invalid_argument) << offset;
        else
            EXPECT_NO_THROW(refuse_captured_addresses(bytes, "f")) << offset;
    }
}

TEST(CapturedValues, LessThanAWordIsNotLookedAt) {
    int local = 0;
    const int* address = &local;
    std::array<std::byte, sizeof address> bytes;
    std::memcpy(bytes.data(), &address, sizeof address);
    EXPECT_NO_THROW(refuse_captured_addresses(std::span(bytes).first(7), "f"));
    EXPECT_NO_THROW(refuse_captured_addresses({}, "f"));
}

TEST(CapturedValues, ALambdaWithoutCapturesIsNoBytes) {
    const auto function = [](int x) { return x + 1; };
    EXPECT_EQ(encoded(function).size(), 0u);
    EXPECT_EQ(round_trip(function)(1), 2);
}

TEST(CapturedValues, FunctionObjectsWithSerializableMembersArrive) {
    EXPECT_EQ(round_trip(Scale{{2.5}})(2), 5);
    const auto bytes = encoded(Scale{{2.5, 3.5}});
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        rankpool::wire::Reader in(std::span<const std::byte>(bytes).first(length));
        EXPECT_THROW(Codec<Scale>::decode(in), SerializationError) << length;
    }
}

TEST(CapturedValues, MissingBytesAreRefused) {
    long value = 5;  // not const: a constant need not be captured
    const auto function = [value] { return value; };
    const auto bytes = encoded(function);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        rankpool::wire::Reader in(std::span<const std::byte>(bytes).first(length));
        EXPECT_THROW(Codec<std::remove_const_t<decltype(function)>>::decode(in), SerializationError) << length;
    }
}

TEST(Trusted, CapturesAreNotLookedAt) {
    int local = 3;
    const auto function = rankpool::trusted([&local](int x) { return local + x; });
    auto arrived = round_trip(function);
    EXPECT_EQ(arrived(4), 7);
    EXPECT_NO_THROW(rankpool::TaskFunction<void()>(rankpool::trusted([&local] { ++local; })));
}

TEST(Trusted, LooksThroughNoneOfTheAdaptersAroundIt) {
    int local = 3;
    auto function = rankpool::trusted([&local](int x) { return local + x; });
    rankpool::task::Star<decltype(function)> star{function};
    auto arrived = round_trip(star);
    EXPECT_EQ(arrived(std::tuple(4)), 7);
}

TEST(FunctionPointers, ArriveAsTheSameAddress) {
    EXPECT_EQ(round_trip(&twice), &twice);
    EXPECT_EQ(round_trip(&thrice), &thrice);
    double (*library)(double) = std::cbrt;
    EXPECT_EQ(round_trip(library), library);
    int (*lambda)(int) = [](int x) { return x; };
    EXPECT_EQ(round_trip(lambda), lambda);
    EXPECT_EQ(round_trip(&twice)(21), 42);
}

TEST(FunctionPointers, NullIsRefused) {
    int (*null)(int) = nullptr;
    try {
        encoded(null);
        FAIL() << "accepted";
    } catch (const std::invalid_argument& error) {
        EXPECT_NE(std::string(error.what()).find("null"), std::string::npos) << error.what();
    }
}

TEST(FunctionPointers, MissingBytesAreRefused) {
    const auto bytes = encoded(&Scaled);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        rankpool::wire::Reader in(std::span<const std::byte>(bytes).first(length));
        EXPECT_THROW(Codec<int (*)(int)>::decode(in), SerializationError) << length;
    }
}

}  // namespace
