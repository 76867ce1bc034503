#include <rankpool/transferable.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <boost/serialization/access.hpp>
#include <boost/serialization/split_free.hpp>
#include <boost/serialization/split_member.hpp>
#include <boost/serialization/string.hpp>
#include <chrono>
#include <complex>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <initializer_list>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "support/wire_values.hpp"

using rankpool::Transferable;
using rankpool::wire::field_count;
using rankpool::wire::is_bytes;
using wire_values::round_trip;

// clang-format off: the types of this file take a line each

namespace {

// ---- rule 1: refused, alone and inside of others ----

struct Plain { int a; double b; };

static_assert(!Transferable<int*>);
static_assert(!Transferable<const char*>);
static_assert(!Transferable<void*>);
static_assert(!Transferable<std::nullptr_t>);
static_assert(!Transferable<int* const>);
static_assert(!Transferable<void (*)(int)>);
static_assert(!Transferable<int&>);
static_assert(!Transferable<const std::string&>);
static_assert(!Transferable<std::string&&>);
static_assert(!Transferable<int Plain::*>);
static_assert(!Transferable<void (Plain::*)()>);
static_assert(!Transferable<std::string_view>);
static_assert(!Transferable<std::wstring_view>);
static_assert(!Transferable<std::span<int>>);
static_assert(!Transferable<std::span<const double, 4>>);
static_assert(!Transferable<std::reference_wrapper<int>>);
static_assert(!Transferable<std::initializer_list<int>>);
static_assert(!Transferable<const std::string_view>);

struct OwnView : std::ranges::view_base {
    const int* first = nullptr;
    const int* begin() const { return first; }
    const int* end() const { return first; }
};
static_assert(!Transferable<OwnView>);

static_assert(!Transferable<int* [3]>);
static_assert(!Transferable<const char* [2][2]>);
static_assert(!Transferable<std::array<const char*, 3>>);
static_assert(!Transferable<std::vector<const char*>>);
static_assert(!Transferable<std::vector<std::string_view>>);
static_assert(!Transferable<std::deque<int*>>);
static_assert(!Transferable<std::list<std::span<int>>>);
static_assert(!Transferable<std::forward_list<int*>>);
static_assert(!Transferable<std::set<const char*>>);
static_assert(!Transferable<std::unordered_set<std::string_view>>);
static_assert(!Transferable<std::map<std::string, int*>>);
static_assert(!Transferable<std::map<std::string_view, int>>);
static_assert(!Transferable<std::unordered_multimap<int, std::string_view>>);
static_assert(!Transferable<std::optional<int*>>);
static_assert(!Transferable<std::optional<std::string_view>>);
static_assert(!Transferable<std::variant<int, const char*>>);
static_assert(!Transferable<std::pair<int, int*>>);
static_assert(!Transferable<std::pair<int&, int>>);
static_assert(!Transferable<std::tuple<int, double, std::string_view>>);
static_assert(!Transferable<std::tuple<const int&>>);
static_assert(!Transferable<std::unique_ptr<int*>>);
static_assert(!Transferable<std::map<int, std::vector<std::optional<std::pair<int, std::string_view>>>>>);

struct WithPointer { int a; const char* text; };
struct WithFunction { void (*function)(int); };
struct WithMemberPointer { int Plain::*member; };
struct WithView { std::string own; std::string_view view; };
struct WithSpan { std::span<const int> span; };
struct WithReference { int& reference; };
struct WithConstReference { const int& reference; };
struct WithRvalueReference { int&& reference; };
struct WithReferenceBehind { std::string own; int& reference; };
struct WithPointerArray { int a; const char* texts[3]; };
struct WithPointerDeep { WithPointer inner[2][2]; };
struct WithContainer { std::vector<WithPointer> inner; };
static_assert(!Transferable<WithPointer>);
static_assert(!Transferable<WithFunction>);
static_assert(!Transferable<WithMemberPointer>);
static_assert(!Transferable<WithView>);
static_assert(!Transferable<WithSpan>);
static_assert(!Transferable<WithReference>);
static_assert(!Transferable<WithConstReference>);
static_assert(!Transferable<WithRvalueReference>);
static_assert(!Transferable<WithReferenceBehind>);
static_assert(!Transferable<WithPointerArray>);
static_assert(!Transferable<WithPointerDeep>);
static_assert(!Transferable<WithContainer>);
static_assert(!Transferable<std::vector<WithPointer>>);
static_assert(!Transferable<std::optional<WithReference>>);

struct Tag {};
struct DerivedFromPointer : WithPointer { int b; };
struct DerivedWithPointer : Tag { int a; const char* text; };
struct DerivedTwice : DerivedWithPointer { double c; };
struct DerivedFromTwo : Plain, WithPointer {};
static_assert(!Transferable<DerivedFromPointer>);
static_assert(!Transferable<DerivedWithPointer>);
static_assert(!Transferable<DerivedTwice>);
static_assert(!Transferable<DerivedFromTwo>);

union UnionOfPointer { int* address; long number; };
struct WithUnion { int a; UnionOfPointer b; };
static_assert(!Transferable<UnionOfPointer>);
static_assert(!Transferable<WithUnion>);

struct PointerBehindMany {
    int m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15;
    int m16, m17, m18, m19, m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30, m31, m32, m33;
    const char* text;
};
struct PointerBehindLongArray { char name[4096]; const char* text; };
static_assert(!Transferable<PointerBehindMany>);
static_assert(!Transferable<PointerBehindLongArray>);

// Neither addresses nor values.
static_assert(!Transferable<void>);
static_assert(!Transferable<void(int)>);
static_assert(!Transferable<volatile int>);

// ---- rule 2: trivially copyable, as bytes ----

enum class Colour : std::uint8_t { red, green };
struct Flags { unsigned ready : 1; unsigned count : 7; };
struct DerivedPlain : Plain { int c; };
class PrivateInt {
  public:
    explicit PrivateInt(int value) : value_(value) {}
    int value() const { return value_; }

  private:
    int value_;
};
struct Matrix { double values[3][3]; };
struct ConstMember { const int a; };
struct AnonymousUnion { int a; union { long number; double real; }; };
struct MoreThan32 {
    int m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16;
    int m17, m18, m19, m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30, m31, m32;
};
struct LongArrays { double first[200]; double second[300]; char last; };

static_assert(is_bytes<int> && Transferable<int>);
static_assert(is_bytes<bool> && is_bytes<char> && is_bytes<long double> && is_bytes<std::byte>);
static_assert(is_bytes<Colour> && Transferable<Colour>);
static_assert(is_bytes<Plain> && Transferable<Plain>);
static_assert(is_bytes<Flags> && Transferable<Flags>);
static_assert(is_bytes<DerivedPlain> && Transferable<DerivedPlain>);
static_assert(is_bytes<PrivateInt> && Transferable<PrivateInt>);
static_assert(is_bytes<Matrix> && Transferable<Matrix>);
static_assert(is_bytes<ConstMember> && Transferable<ConstMember>);
static_assert(is_bytes<AnonymousUnion> && Transferable<AnonymousUnion>);
static_assert(is_bytes<MoreThan32> && Transferable<MoreThan32>);
static_assert(is_bytes<LongArrays> && Transferable<LongArrays>);
static_assert(is_bytes<Tag> && Transferable<Tag>);
static_assert(is_bytes<std::array<int, 4>> && is_bytes<std::complex<double>> && is_bytes<std::optional<int>>);
static_assert(is_bytes<std::chrono::nanoseconds> && is_bytes<std::chrono::system_clock::time_point>);
static_assert(is_bytes<std::monostate>);
static_assert(Transferable<const int>);
static_assert(Transferable<int[4]> && Transferable<char[2][8]>);

// Trivially copyable to the compiler, but nothing that could be copied or moved out of the bytes.
static_assert(!Transferable<std::atomic<int>>);
static_assert(!Transferable<std::mutex>);
static_assert(!Transferable<std::vector<std::atomic<int>>>);

// ---- rule 3: the standard's types ----

static_assert(Transferable<std::string> && Transferable<std::wstring> && Transferable<std::u16string>);
static_assert(Transferable<std::vector<std::string>> && Transferable<std::vector<bool>>);
static_assert(Transferable<std::deque<int>> && Transferable<std::list<int>> && Transferable<std::forward_list<int>>);
static_assert(Transferable<std::set<int>> && Transferable<std::multiset<std::string>>);
static_assert(Transferable<std::map<std::string, int>> && Transferable<std::multimap<int, std::string>>);
static_assert(Transferable<std::unordered_set<int>> && Transferable<std::unordered_multiset<int>>);
static_assert(Transferable<std::unordered_map<std::string, int>> && Transferable<std::unordered_multimap<int, int>>);
static_assert(Transferable<std::pair<int, std::string>>);
static_assert(Transferable<std::tuple<int, std::string, std::vector<int>>>);
static_assert(Transferable<std::tuple<>>);
static_assert(Transferable<std::array<std::string, 3>> && Transferable<std::array<std::string, 0>>);
static_assert(Transferable<std::optional<std::string>> && Transferable<std::variant<int, std::string>>);
static_assert(Transferable<std::unique_ptr<int>> && Transferable<std::unique_ptr<std::string>>);
static_assert(Transferable<std::filesystem::path> && Transferable<std::vector<std::filesystem::path>>);
static_assert(Transferable<std::chrono::duration<double, std::milli>>);
static_assert(Transferable<const std::string>);
static_assert(!is_bytes<std::string> && !is_bytes<std::vector<int>>);

static_assert(!Transferable<std::function<int(int)>>);
static_assert(!Transferable<std::thread>);
static_assert(!Transferable<std::vector<std::function<int(int)>>>);
static_assert(!Transferable<std::optional<std::thread>>);
static_assert(!Transferable<std::unique_ptr<int[]>>);
struct FreeMemory { void operator()(int* memory) const { delete memory; } };
static_assert(!Transferable<std::unique_ptr<int, FreeMemory>>);

// ---- rule 4: a serialize of the type's own ----

class NoWayToTravel {
  public:
    explicit NoWayToTravel(std::string text) : text_(std::move(text)) {}

  private:
    std::string text_;
};
static_assert(!Transferable<NoWayToTravel>);
static_assert(!Transferable<std::vector<NoWayToTravel>>);

class PublicMember {
  public:
    PublicMember() = default;
    explicit PublicMember(std::string text) : text_(std::move(text)) {}
    template <class Archive>
    void serialize(Archive& archive, const unsigned) { archive& text_; }
    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

class PrivateMember {
  public:
    explicit PrivateMember(std::string text) : text_(std::move(text)) {}
    const std::string& text() const { return text_; }

  private:
    friend class boost::serialization::access;
    PrivateMember() = default;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) { archive& text_; }
    std::string text_;
};

class SplitMember {
  public:
    SplitMember() = default;
    explicit SplitMember(std::string text) : text_(std::move(text)) {}
    template <class Archive>
    void save(Archive& archive, const unsigned) const { archive << text_ << std::string("written"); }
    template <class Archive>
    void load(Archive& archive, const unsigned) { archive >> text_ >> how_; }
    BOOST_SERIALIZATION_SPLIT_MEMBER()
    const std::string& text() const { return text_; }
    const std::string& how() const { return how_; }

  private:
    std::string text_, how_;
};

class FinalMember final {
  public:
    FinalMember() = default;
    explicit FinalMember(std::string text) : text_(std::move(text)) {}
    template <class Archive>
    void serialize(Archive& archive, const unsigned) { archive& text_; }
    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

class InheritsMember : public PublicMember {
  public:
    using PublicMember::PublicMember;
};

static_assert(Transferable<PublicMember> && Transferable<PrivateMember> && Transferable<SplitMember>);
static_assert(Transferable<FinalMember> && Transferable<InheritsMember>);
static_assert(Transferable<std::vector<PrivateMember>> && Transferable<std::map<int, SplitMember>>);

}  // namespace

namespace transferable_test {

class FreeInOwnNamespace {
  public:
    std::string text;
    FreeInOwnNamespace() = default;
    explicit FreeInOwnNamespace(std::string words) : text(std::move(words)) {}
};
template <class Archive>
void serialize(Archive& archive, FreeInOwnNamespace& value, const unsigned) {
    archive& value.text;
}

class FreeInBoost {
  public:
    std::string text;
    FreeInBoost() = default;
    explicit FreeInBoost(std::string words) : text(std::move(words)) {}
};

class FreeAndSplit {
  public:
    std::string text, how;
    FreeAndSplit() = default;
    explicit FreeAndSplit(std::string words) : text(std::move(words)) {}
};

class FreeAndFinal final {
  public:
    std::string text;
    FreeAndFinal() = default;
    explicit FreeAndFinal(std::string words) : text(std::move(words)) {}
};
template <class Archive>
void serialize(Archive& archive, FreeAndFinal& value, const unsigned) {
    archive& value.text;
}

// Its pointer is followed by its own serialize: an aggregate of an address, and yet it can travel.
struct OwnsText {
    std::string* text = nullptr;
};
template <class Archive>
void serialize(Archive& archive, OwnsText& value, const unsigned) {
    std::string words = value.text != nullptr ? *value.text : "";
    archive& words;
    if constexpr (Archive::is_loading::value) value.text = new std::string(words);
}

}  // namespace transferable_test

class FreeInGlobalNamespace {
  public:
    std::string text;
    FreeInGlobalNamespace() = default;
    explicit FreeInGlobalNamespace(std::string words) : text(std::move(words)) {}
};
template <class Archive>
void serialize(Archive& archive, FreeInGlobalNamespace& value, const unsigned) {
    archive& value.text;
}

namespace boost::serialization {

template <class Archive>
void serialize(Archive& archive, transferable_test::FreeInBoost& value, const unsigned) {
    archive& value.text;
}

template <class Archive>
void save(Archive& archive, const transferable_test::FreeAndSplit& value, const unsigned) {
    archive << value.text << std::string("written");
}
template <class Archive>
void load(Archive& archive, transferable_test::FreeAndSplit& value, const unsigned) {
    archive >> value.text >> value.how;
}

}  // namespace boost::serialization

BOOST_SERIALIZATION_SPLIT_FREE(transferable_test::FreeAndSplit)

namespace {

using namespace transferable_test;

static_assert(Transferable<FreeInOwnNamespace> && Transferable<FreeInBoost> && Transferable<FreeAndSplit>);
static_assert(Transferable<FreeAndFinal> && Transferable<FreeInGlobalNamespace>);
static_assert(Transferable<OwnsText> && !is_bytes<OwnsText>);
static_assert(Transferable<std::vector<OwnsText>>);

static_assert(Transferable<std::shared_ptr<PublicMember>> && Transferable<std::weak_ptr<PublicMember>>);
static_assert(!Transferable<std::shared_ptr<NoWayToTravel>>);

// What a serialize can express is no reason to refuse; a type that cannot be taken out of a container is.
class Pinned {
  public:
    Pinned() = default;
    Pinned(Pinned&&) = delete;
    template <class Archive>
    void serialize(Archive& archive, const unsigned) { archive& text_; }

  private:
    std::string text_;
};
static_assert(!Transferable<Pinned>);

// ---- rule 5: aggregates ----

struct Named { std::string name; int value; };
struct Nested { Named named; std::vector<Named> more; std::optional<Named> maybe; };
struct Arrays { int numbers[2][3]; std::string words[2]; Named named[2]; double last; };
struct OneString { std::string text; };
struct NoDefault {
    explicit NoDefault(int number) : value(number) {}
    int value;
};
struct HoldsNoDefault { std::string text; NoDefault number; };
struct MoveOnly { std::unique_ptr<std::string> text; };
struct BitsAndText { int a : 3; int b : 5; std::string text; };
struct Tree { std::string name; std::vector<Tree> children; };
struct Link { int value; std::unique_ptr<Link> next; };
struct PointerInVariant { std::variant<int*, double> held; };
struct Value { std::variant<double, std::string, std::vector<Value>, std::map<std::string, Value>> held; };
struct TreeWithPointer { std::vector<TreeWithPointer> children; const char* text; };
struct Hopeless { std::vector<Hopeless> children; std::function<void()> function; };
struct ManyMembers {
    int m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15;
    int m16, m17, m18, m19, m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30;
    std::string last;
};
struct TextAndMoreThan32 { MoreThan32 numbers[2]; std::string text; };
struct TooMany {
    int m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15;
    int m16, m17, m18, m19, m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30, m31;
    std::string text;
};
struct Record { char name[256]; char city[256]; std::string text; int number; };
struct DerivedText : OneString { int number; };

static_assert(Transferable<Named> && !is_bytes<Named>);
static_assert(Transferable<Nested> && Transferable<Arrays> && Transferable<OneString>);
static_assert(Transferable<HoldsNoDefault> && Transferable<MoveOnly> && Transferable<BitsAndText>);
static_assert(Transferable<Tree> && Transferable<Link> && Transferable<Value>);
static_assert(!Transferable<PointerInVariant>);
static_assert(!Transferable<TreeWithPointer> && !Transferable<Hopeless>);
static_assert(Transferable<ManyMembers> && Transferable<TextAndMoreThan32> && Transferable<Record>);
static_assert(!Transferable<TooMany>);
// Members of a base class cannot be counted: documented, give it a serialize.
static_assert(!Transferable<DerivedText>);

static_assert(field_count<Tag> == 0);
static_assert(field_count<OneString> == 1);
static_assert(field_count<Named> == 2);
static_assert(field_count<Arrays> == 4);
static_assert(field_count<Matrix> == 1);
static_assert(field_count<Flags> == 2);
static_assert(field_count<HoldsNoDefault> == 2);
static_assert(field_count<ManyMembers> == 32);
static_assert(field_count<Record> == 4);
static_assert(field_count<LongArrays> == 3);
struct Optionals { std::optional<int> a; std::optional<std::string> b; std::variant<int, std::string> c; };
static_assert(field_count<Optionals> == 3);
struct ArrayFirst { char text[16]; int a; };
struct ArrayOnly { std::string words[5]; };
struct StdArray { std::array<int, 3> a; int b; std::array<std::string, 2> c; };
struct NestedAggregates { Named a[2]; Plain b; ArrayFirst c; };
static_assert(field_count<ArrayFirst> == 2);
static_assert(field_count<ArrayOnly> == 1);
static_assert(field_count<StdArray> == 3);
static_assert(field_count<NestedAggregates> == 3);
struct ExplicitDefault { explicit ExplicitDefault(int number = 0) : value(number) {} int value; };
struct HasExplicitDefault { ExplicitDefault first = ExplicitDefault(3); std::string second; };
static_assert(field_count<HasExplicitDefault> == 2);

// ---- what was accepted does travel ----

TEST(Transferable, MemberSerializeIsUsed) {
    EXPECT_EQ(round_trip(PublicMember("a")).text(), "a");
    EXPECT_EQ(round_trip(PrivateMember("b")).text(), "b");
    EXPECT_EQ(round_trip(FinalMember("c")).text(), "c");
    EXPECT_EQ(round_trip(InheritsMember("d")).text(), "d");
}

TEST(Transferable, SplitSerializeLoadsWhatItsSaveWrote) {
    const SplitMember member = round_trip(SplitMember("a"));
    EXPECT_EQ(member.text(), "a");
    EXPECT_EQ(member.how(), "written");
    const FreeAndSplit free = round_trip(FreeAndSplit("b"));
    EXPECT_EQ(free.text, "b");
    EXPECT_EQ(free.how, "written");
}

TEST(Transferable, FreeSerializeIsFoundInEveryNamespace) {
    EXPECT_EQ(round_trip(FreeInOwnNamespace("a")).text, "a");
    EXPECT_EQ(round_trip(FreeInBoost("b")).text, "b");
    EXPECT_EQ(round_trip(FreeAndFinal("c")).text, "c");
    EXPECT_EQ(round_trip(FreeInGlobalNamespace("d")).text, "d");
}

TEST(Transferable, AnAggregateOfAPointerWithASerializeArrivesThroughIt) {
    std::string text = "owned";
    const OwnsText arrived = round_trip(OwnsText{&text});
    const std::unique_ptr<std::string> owner(arrived.text);
    ASSERT_NE(owner.get(), &text) << "the pointer itself travelled";
    EXPECT_EQ(*owner, "owned");
}

TEST(Transferable, BitFieldsArrive) {
    const Flags flags = round_trip(Flags{1, 77});
    EXPECT_EQ(flags.ready, 1u);
    EXPECT_EQ(flags.count, 77u);
    const BitsAndText bits = round_trip(BitsAndText{-3, 9, "text"});
    EXPECT_EQ(bits.a, -3);
    EXPECT_EQ(bits.b, 9);
    EXPECT_EQ(bits.text, "text");
}

TEST(Transferable, DerivedAggregatesOfValuesArriveAsBytes) {
    DerivedPlain value;
    value.a = 1, value.b = 2.5, value.c = 3;
    const DerivedPlain arrived = round_trip(value);
    EXPECT_EQ(arrived.a, 1);
    EXPECT_EQ(arrived.b, 2.5);
    EXPECT_EQ(arrived.c, 3);
}

TEST(Transferable, AggregatesThatContainThemselvesArrive) {
    const Tree tree = round_trip(Tree{"root", {{"left", {{"leaf", {}}}}, {"right", {}}}});
    ASSERT_EQ(tree.children.size(), 2u);
    EXPECT_EQ(tree.children[0].children.at(0).name, "leaf");
    EXPECT_EQ(tree.children[1].name, "right");

    Link list{1, std::make_unique<Link>(Link{2, std::make_unique<Link>(Link{3, nullptr})})};
    const Link arrived = round_trip(list);
    EXPECT_EQ(arrived.next->next->value, 3);
    EXPECT_EQ(arrived.next->next->next, nullptr);

    const Value value = round_trip(Value{std::vector<Value>{{1.5}, {std::map<std::string, Value>{{"key", {"text"}}}}}});
    const auto& row = std::get<std::vector<Value>>(value.held);
    EXPECT_EQ(std::get<double>(row.at(0).held), 1.5);
    EXPECT_EQ(std::get<std::string>((std::get<std::map<std::string, Value>>(row.at(1).held)).at("key").held), "text");
}

TEST(Transferable, AnAggregateWithTheMostMembersArrives) {
    ManyMembers many{};
    many.m0 = 1, many.m15 = 15, many.m30 = 30, many.last = "last";
    const ManyMembers arrived = round_trip(many);
    EXPECT_EQ(arrived.m0, 1);
    EXPECT_EQ(arrived.m15, 15);
    EXPECT_EQ(arrived.m30, 30);
    EXPECT_EQ(arrived.last, "last");
}

TEST(Transferable, AggregatesWithArraysArriveElementByElement) {
    const Arrays arrived = round_trip(Arrays{{{1, 2, 3}, {4, 5, 6}}, {"a", "b"}, {{"c", 7}, {"d", 8}}, 9.5});
    EXPECT_EQ(arrived.numbers[0][2], 3);
    EXPECT_EQ(arrived.numbers[1][2], 6);
    EXPECT_EQ(arrived.words[0], "a");
    EXPECT_EQ(arrived.words[1], "b");
    EXPECT_EQ(arrived.named[1].name, "d");
    EXPECT_EQ(arrived.named[1].value, 8);
    EXPECT_EQ(arrived.last, 9.5);
}

TEST(Transferable, LongArraysBetweenOtherMembersArrive) {
    Record record{"name", "city", "text", 5};
    record.city[255] = 'x';
    const Record arrived = round_trip(record);
    EXPECT_STREQ(arrived.name, "name");
    EXPECT_EQ(arrived.city[255], 'x');
    EXPECT_EQ(arrived.text, "text");
    EXPECT_EQ(arrived.number, 5);
}

TEST(Transferable, AggregatesOfNotDefaultConstructibleAndMoveOnlyMembersArrive) {
    const HoldsNoDefault arrived = round_trip(HoldsNoDefault{"text", NoDefault(4)});
    EXPECT_EQ(arrived.text, "text");
    EXPECT_EQ(arrived.number.value, 4);
    const MoveOnly owner{std::make_unique<std::string>("moved")};
    EXPECT_EQ(*round_trip(owner).text, "moved");
}

}  // namespace
