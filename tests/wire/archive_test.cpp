#include <rankpool/wire/archive.hpp>

#include <gtest/gtest.h>

#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "support/wire_values.hpp"

using namespace std::string_literals;
using rankpool::SerializationError;
using rankpool::wire::decode;
using rankpool::wire::encode;
using wire_values::Bytes;
using wire_values::decoded;
using wire_values::encoded;
using wire_values::expect_damage_is_refused;
using wire_values::refuses;
using wire_values::round_trip;
using wire_values::with_word;

namespace {

constexpr std::uint64_t absurd_length = std::uint64_t{1} << 60;

enum class Colour : std::int16_t { red = -1, green = 300 };

struct Empty {
    friend bool operator==(const Empty&, const Empty&) = default;
};

struct Person {
    std::string name;
    int age = 0;
    std::vector<std::string> nicknames;
    friend bool operator==(const Person&, const Person&) = default;
};

// An aggregate of one of everything.
struct Everything {
    bool yes = false;
    Colour colour = Colour::red;
    std::map<std::string, std::vector<Person>> groups;
    std::optional<Person> boss;
    std::variant<std::monostate, double, Person> thing;
    std::tuple<int, std::string, std::pair<std::string, double>> mixed;
    std::array<std::string, 2> two;
    std::filesystem::path home;
    std::chrono::milliseconds time{0};
    std::vector<bool> bits;
    std::deque<std::list<std::forward_list<int>>> deep;
    Empty nothing;
    std::tuple<> nothing_at_all;
    friend bool operator==(const Everything&, const Everything&) = default;
};

Everything everything() {
    const Person ann{"Ann", 31, {"A", ""}}, bob{"Bob", -2, {}};
    return {true,
            Colour::green,
            {{"both", {ann, bob}}, {"", {}}},
            ann,
            bob,
            {7, "seven", {"x", 0.5}},
            {"first", "second"},
            "/home/ann",
            std::chrono::milliseconds(1500),
            {true, false, true},
            {{{1, 2}, {}}, {}},
            {},
            {}};
}

class NoDefaultTrivial {
  public:
    explicit NoDefaultTrivial(int value) : value_(value) {}
    friend bool operator==(const NoDefaultTrivial&, const NoDefaultTrivial&) = default;

  private:
    int value_;
};

struct NoDefaultText {
    struct Part {
        explicit Part(int number) : value(number) {}
        int value;
        friend bool operator==(const Part&, const Part&) = default;
    };
    std::string text;
    Part part;
    friend bool operator==(const NoDefaultText&, const NoDefaultText&) = default;
};
static_assert(!std::is_default_constructible_v<NoDefaultTrivial> && !std::is_default_constructible_v<NoDefaultText>);

struct MoveOnly {
    std::unique_ptr<std::string> text;
    std::vector<std::unique_ptr<int>> numbers;
};
static_assert(!std::is_copy_constructible_v<MoveOnly>);

// ---- round trips ----

// What is compared with ==; every value also as a damaged one.
template <class T>
void expect_round_trip(const T& value) {
    const Bytes bytes = encoded(value);
    EXPECT_EQ(decoded<T>(bytes), value);
    expect_damage_is_refused<T>(bytes);
}

TEST(Archive, NumbersAndEnumsArrive) {
    expect_round_trip(std::numeric_limits<std::int64_t>::min());
    expect_round_trip(std::numeric_limits<double>::denorm_min());
    expect_round_trip(true);
    expect_round_trip(false);
    expect_round_trip('\0');
    expect_round_trip(U'\U0001F600');
    expect_round_trip(std::byte{255});
    expect_round_trip(Colour::green);
    expect_round_trip(std::complex<float>(1, -1));
    expect_round_trip(std::bitset<70>(0x123456789abcdefULL));
}

TEST(Archive, StringsOfAllCharacterTypesArrive) {
    expect_round_trip(""s);
    expect_round_trip("with\0zero"s);
    expect_round_trip(std::string(1000, 'x'));
    expect_round_trip(L"wide \u20ac"s);
    expect_round_trip(u"sixteen \u20ac"s);
    expect_round_trip(U"thirty-two \U0001F600"s);
    EXPECT_TRUE(round_trip(u8"eight"s) == u8"eight"s);  // GoogleTest cannot print it
}

TEST(Archive, SequencesArriveInOrder) {
    expect_round_trip(std::vector<int>{});
    expect_round_trip(std::vector<int>{3, 1, 2});
    expect_round_trip(std::vector<std::string>{"", "b", "a"});
    expect_round_trip(std::deque<double>{1.5, -2.5});
    expect_round_trip(std::deque<std::string>{"b", "a"});
    expect_round_trip(std::list<std::string>{"c", "a", "b"});
    expect_round_trip(std::forward_list<int>{5, 4, 3});
    expect_round_trip(std::forward_list<std::string>{"z", "y", "x"});
    expect_round_trip(std::vector<std::vector<std::vector<int>>>{{{1}, {}}, {}, {{2, 3}, {4}}});
}

TEST(Archive, VectorOfBoolArrivesBitByBit) {
    std::vector<bool> bits;
    for (int i = 0; i < 131; ++i) bits.push_back(i % 3 == 0);
    expect_round_trip(bits);
    expect_round_trip(std::vector<bool>{});
    expect_round_trip(std::vector<std::vector<bool>>{{true}, {}, {false, true}});
}

TEST(Archive, SetsAndMapsArrive) {
    expect_round_trip(std::set<std::string>{"b", "a"});
    expect_round_trip(std::multiset<int>{2, 1, 2});
    expect_round_trip(std::map<std::string, int>{{"b", 2}, {"a", 1}});
    expect_round_trip(std::map<std::string, std::map<int, std::string>>{{"x", {{1, "one"}}}, {"y", {}}});
    expect_round_trip(std::unordered_set<int>{5, 6, 7});
    expect_round_trip(std::unordered_multiset<std::string>{"a", "a", "b"});
    expect_round_trip(std::unordered_map<std::string, int>{{"b", 2}, {"a", 1}});
    expect_round_trip(std::unordered_multimap<int, std::string>{{1, "a"}, {1, "b"}});
}

TEST(Archive, EqualKeysOfAMultimapKeepTheirOrder) {
    expect_round_trip(std::multimap<int, std::string>{{1, "first"}, {1, "second"}, {0, "zero"}, {1, "third"}});
}

TEST(Archive, PairsTuplesAndArraysArrive) {
    expect_round_trip(std::pair<int, int>(1, 2));
    expect_round_trip(std::pair<const std::string, double>("a", 2.5));
    expect_round_trip(std::tuple<>());
    expect_round_trip(std::tuple<int, std::string, std::vector<int>>(1, "two", {3}));
    expect_round_trip(std::tuple<std::tuple<std::string>, std::tuple<>>());
    expect_round_trip(std::array<int, 3>{1, 2, 3});
    expect_round_trip(std::array<std::string, 2>{"a", "b"});
    expect_round_trip(std::array<std::string, 0>{});
    expect_round_trip(std::vector<std::pair<std::string, int>>{{"a", 1}, {"b", 2}});
}

TEST(Archive, OptionalsAndVariantsArriveAsWhatTheyHold) {
    expect_round_trip(std::optional<int>());
    expect_round_trip(std::optional<int>(4));
    expect_round_trip(std::optional<std::string>());
    expect_round_trip(std::optional<std::string>("text"));
    expect_round_trip(std::optional<std::optional<std::string>>(std::optional<std::string>()));
    using Variant = std::variant<std::string, int, std::string>;
    expect_round_trip(Variant(std::in_place_index<0>, "first"));
    expect_round_trip(Variant(7));
    expect_round_trip(Variant(std::in_place_index<2>, "second"));
    expect_round_trip(std::variant<int, double>(2.5));
    expect_round_trip(std::vector<std::variant<std::monostate, std::string>>{"a", std::monostate()});
}

TEST(Archive, DurationsTimePointsAndPathsArrive) {
    using namespace std::chrono_literals;
    expect_round_trip(1500ms);
    expect_round_trip(std::chrono::duration<double, std::ratio<60>>(0.5));
    expect_round_trip(std::chrono::system_clock::time_point(123456789s));
    expect_round_trip(std::filesystem::path());
    expect_round_trip(std::filesystem::path("/a/../b c/\xff"));
    expect_round_trip(std::vector<std::filesystem::path>{"a", "b/c"});
}

TEST(Archive, EmptyStructsAndMonostatesArriveInTheirNumber) {
    expect_round_trip(Empty{});
    expect_round_trip(std::monostate{});
    expect_round_trip(std::vector<Empty>(3));
    expect_round_trip(std::list<std::tuple<>>(5));
    expect_round_trip(std::vector<std::array<std::string, 0>>(7));
}

TEST(Archive, AggregatesOfEverythingArrive) {
    expect_round_trip(Person{"Ann", 31, {"A", "B"}});
    expect_round_trip(everything());
    expect_round_trip(Everything{});
}

TEST(Archive, NotDefaultConstructibleTypesArrive) {
    expect_round_trip(NoDefaultTrivial(3));
    expect_round_trip(NoDefaultText{"text", NoDefaultText::Part(4)});
    expect_round_trip(std::vector<NoDefaultTrivial>{NoDefaultTrivial(1), NoDefaultTrivial(2)});
    expect_round_trip(std::vector<NoDefaultText>{{"a", NoDefaultText::Part(1)}, {"b", NoDefaultText::Part(2)}});
    expect_round_trip(std::map<int, NoDefaultText>{{1, {"a", NoDefaultText::Part(1)}}});
    expect_round_trip(std::optional<NoDefaultText>({"a", NoDefaultText::Part(1)}));
    expect_round_trip(std::array<NoDefaultText, 2>{{{"a", NoDefaultText::Part(1)}, {"b", NoDefaultText::Part(2)}}});
}

TEST(Archive, MoveOnlyValuesArrive) {
    EXPECT_EQ(*round_trip(std::make_unique<int>(4)), 4);
    EXPECT_EQ(round_trip(std::unique_ptr<std::string>()), nullptr);
    EXPECT_EQ(**round_trip(std::make_unique<std::unique_ptr<std::string>>(std::make_unique<std::string>("inner"))),
              "inner");

    std::vector<std::unique_ptr<std::string>> row;
    row.push_back(std::make_unique<std::string>("a"));
    row.push_back(nullptr);
    const auto arrived = round_trip(row);
    ASSERT_EQ(arrived.size(), 2u);
    EXPECT_EQ(*arrived[0], "a");
    EXPECT_EQ(arrived[1], nullptr);

    MoveOnly owner;
    owner.text = std::make_unique<std::string>("text");
    owner.numbers.push_back(std::make_unique<int>(5));
    const MoveOnly moved = round_trip(owner);
    EXPECT_EQ(*moved.text, "text");
    EXPECT_EQ(*moved.numbers.at(0), 5);
    expect_damage_is_refused<MoveOnly>(encoded(owner));

    std::map<std::string, std::unique_ptr<int>> map;
    map.emplace("key", std::make_unique<int>(6));
    EXPECT_EQ(*round_trip(map).at("key"), 6);
}

TEST(Archive, AValueIsReadWhereTheOneBeforeItEnded) {
    rankpool::wire::Buffer bytes;
    encode(bytes, "first"s);
    encode(bytes, 2);
    encode(bytes, std::vector<bool>{true});
    rankpool::wire::Reader in(bytes);
    EXPECT_EQ(in.read<std::string>(), "first");
    EXPECT_EQ(in.read<int>(), 2);
    EXPECT_EQ(in.read<std::vector<bool>>(), std::vector<bool>{true});
    EXPECT_EQ(in.remaining(), 0u);
}

TEST(Archive, ARowOfTriviallyCopyableElementsIsOneBlockBehindItsLength) {
    const std::vector<std::uint16_t> row{1, 2, 3};
    const Bytes bytes = encoded(row);
    ASSERT_EQ(bytes.size(), 8 + 3 * sizeof(std::uint16_t));
    EXPECT_EQ(std::memcmp(bytes.data() + 8, row.data(), 3 * sizeof(std::uint16_t)), 0);
}

// ---- damage ----

TEST(ArchiveDamage, LengthsBeyondTheBytesAreRefusedBeforeMemoryIsAskedFor) {
    EXPECT_TRUE(refuses<std::string>(with_word(encoded("text"s), 0, absurd_length)));
    EXPECT_TRUE(refuses<std::vector<int>>(with_word(encoded(std::vector<int>{1, 2}), 0, absurd_length)));
    EXPECT_TRUE(refuses<std::vector<std::string>>(with_word(encoded(std::vector<std::string>{"a"}), 0, absurd_length)));
    EXPECT_TRUE(refuses<std::vector<bool>>(with_word(encoded(std::vector<bool>{true}), 0, absurd_length)));
    EXPECT_TRUE(refuses<std::list<int>>(with_word(encoded(std::list<int>{1}), 0, absurd_length)));
    EXPECT_TRUE(refuses<std::forward_list<int>>(with_word(encoded(std::forward_list<int>{1}), 0, absurd_length)));
    EXPECT_TRUE((refuses<std::map<int, int>>(with_word(encoded(std::map<int, int>{{1, 1}}), 0, absurd_length))));
    EXPECT_TRUE((refuses<std::unordered_map<int, int>>(
        with_word(encoded(std::unordered_map<int, int>{{1, 1}}), 0, absurd_length))));
    EXPECT_TRUE(refuses<std::filesystem::path>(with_word(encoded(std::filesystem::path("a")), 0, absurd_length)));
    EXPECT_TRUE(
        refuses<std::vector<NoDefaultTrivial>>(with_word(encoded(std::vector{NoDefaultTrivial(1)}), 0, absurd_length)));
    // Overflows when it is multiplied with the size of an element.
    EXPECT_TRUE(
        refuses<std::vector<double>>(with_word(encoded(std::vector<double>{1, 2}), 0, (std::uint64_t{1} << 61) + 1)));
    EXPECT_TRUE(refuses<std::vector<double>>(with_word(encoded(std::vector<double>{1, 2}), 0, ~std::uint64_t{0})));
}

TEST(ArchiveDamage, OneElementMoreThanThereIsIsRefused) {
    EXPECT_TRUE(refuses<std::vector<int>>(with_word(encoded(std::vector<int>{1, 2}), 0, 3)));
    EXPECT_TRUE(refuses<std::vector<bool>>(with_word(encoded(std::vector<bool>{true}), 0, 2)));
    EXPECT_TRUE(refuses<std::vector<Empty>>(with_word(encoded(std::vector<Empty>(1)), 0, 2)));
}

TEST(ArchiveDamage, TheErrorOfAnAbsurdLengthNamesIt) {
    try {
        (void)decoded<std::vector<int>>(with_word(encoded(std::vector<int>{1, 2}), 0, absurd_length));
        FAIL() << "accepted";
    } catch (const SerializationError& error) {
        EXPECT_NE(std::string(error.what()).find(std::to_string(absurd_length)), std::string::npos) << error.what();
    }
}

TEST(ArchiveDamage, ABoolThatIsNeitherTrueNorFalseIsRefused) {
    EXPECT_THROW(decoded<bool>({std::byte{7}}), SerializationError);
    Bytes bits = encoded(std::vector<bool>{true, true});
    bits.back() = std::byte{7};
    EXPECT_THROW(decoded<std::vector<bool>>(bits), SerializationError);
    Bytes optional = encoded(std::optional<std::string>("a"));
    optional[0] = std::byte{7};
    EXPECT_THROW(decoded<std::optional<std::string>>(optional), SerializationError);
    Bytes pointer = encoded(std::make_unique<std::string>("a"));
    pointer[0] = std::byte{7};
    EXPECT_THROW(decoded<std::unique_ptr<std::string>>(pointer), SerializationError);
}

TEST(ArchiveDamage, AVariantOfAnAlternativeThatDoesNotExistIsRefused) {
    using Variant = std::variant<std::string, int>;
    for (const std::uint32_t index : {2u, 255u, 0xffffffffu}) {
        Bytes bytes = encoded(Variant(5));
        std::memcpy(bytes.data(), &index, sizeof index);
        EXPECT_THROW(decoded<Variant>(bytes), SerializationError) << index;
    }
}

TEST(ArchiveDamage, BytesLeftOverBehindAValueAreRefused) {
    rankpool::wire::Buffer bytes;
    encode(bytes, 1);
    encode(bytes, 2);
    EXPECT_THROW(decode<int>(bytes), SerializationError);
    EXPECT_THROW(decode<std::tuple<>>(bytes), SerializationError);
}

TEST(ArchiveDamage, NoBytesAreNoValue) {
    EXPECT_THROW(decode<int>({}), SerializationError);
    EXPECT_THROW(decode<Empty>({}), SerializationError);
    EXPECT_THROW(decode<std::tuple<>>({}), SerializationError);
    EXPECT_THROW(decode<std::string>({}), SerializationError);
}

}  // namespace
