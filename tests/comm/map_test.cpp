// map and allmap: scatterv, a function on each item, gatherv.
#include <algorithm>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>
#include <stdexcept>

#include "comm/values.hpp"

namespace {

using namespace comm_test;

std::vector<int> numbers(int count) {
    std::vector<int> all(index_of(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

/// Items at root, rubbish elsewhere.
std::vector<int> items_at(int root, int count) { return rank() == root ? numbers(count) : std::vector<int>(index_of(rank()), -1); }

TEST(CommMap, ResultsAreInInputOrderAtRootOnly) {
    const auto text = [](int x) { return std::string(index_of(x % 7), 'x') + std::to_string(x); };
    for (int root = 0; root < ranks(); ++root) {
        const int count = 3 * ranks() + 1;
        std::vector<std::string> expected;
        for (int x = 0; x < count; ++x) expected.push_back(text(x));
        const std::vector<std::string> at_root = world().map(text, items_at(root, count), root);
        EXPECT_EQ(at_root, rank() == root ? expected : std::vector<std::string>()) << "root " << root;
        EXPECT_EQ(world().allmap(text, items_at(root, count), root), expected) << "root " << root;
    }
}

TEST(CommMap, FewerItemsThanRanksAndNone) {
    const auto square = [](int x) { return x * x; };
    for (const int count : {0, 1, ranks() - 1, ranks()}) {
        std::vector<int> expected;
        for (int x = 0; x < count; ++x) expected.push_back(x * x);
        EXPECT_EQ(world().map(square, items_at(0, count)), rank() == 0 ? expected : std::vector<int>()) << count;
        EXPECT_EQ(world().allmap(square, items_at(0, count)), expected) << count;
    }
}

TEST(CommMap, EveryRankWorksOnItsOwnBlockOnce) {
    const int count = 4 * ranks() + 3, own = rank();
    int calls = 0;  // captures of any kind: the function stays where it is
    const std::vector<int> owners = world().allmap(
        [&calls, own](int) {
            ++calls;
            return own;
        },
        items_at(0, count));
    EXPECT_TRUE(std::is_sorted(owners.begin(), owners.end()));
    EXPECT_EQ(std::count(owners.begin(), owners.end(), rank()), calls);
    EXPECT_LE(calls, count / ranks() + 1);
    EXPECT_GE(calls, count / ranks());
}

TEST(CommMap, EachRankUsesItsOwnFunction) {
    const std::map<int, std::string> table{{0, "own table of " + std::to_string(rank())}};
    const auto mine = world().allmap([&table](int) { return table.at(0); }, items_at(0, ranks()));
    std::vector<std::string> expected;
    for (int r = 0; r < ranks(); ++r) expected.push_back("own table of " + std::to_string(r));
    EXPECT_EQ(mine, expected);
    // The same lambda with other captures.
    for (int offset = 0; offset < 3; ++offset)
        EXPECT_EQ(world().allmap([offset](int x) { return x + offset; }, items_at(0, 1)), std::vector<int>{offset});
}

template <class T>
class MapTo : public testing::Test {};
TYPED_TEST_SUITE(MapTo, Kinds, KindName);

TYPED_TEST(MapTo, ResultsAndItemsOfEveryKind) {
    using T = TypeParam;
    const int count = 2 * ranks() + 1, root = ranks() - 1;
    std::vector<T> expected;
    for (int x = 0; x < count && rank() == root; ++x) expected.push_back(sample<T>(x, 2));
    EXPECT_EQ(world().map([](int x) { return sample<T>(x, 2); }, items_at(root, count), root), expected);
    const std::vector<T> items = samples_of<T>(4, count);
    EXPECT_EQ(world().allmap([](const T& item) { return item; }, rank() == root ? items : std::vector<T>(), root), items);
}

TEST(CommMap, ResultsThatCanOnlyBeMoved) {
    const auto made = world().map([](int x) { return std::make_unique<int>(x); }, items_at(0, 2 * ranks() + 1));
    EXPECT_EQ(made.size(), index_of(rank() == 0 ? 2 * ranks() + 1 : 0));
    for (std::size_t i = 0; i < made.size(); ++i) EXPECT_EQ(*made[i], static_cast<int>(i));
    const auto text = [](int x) { return std::make_unique<std::string>(std::to_string(x)); };
    const auto everywhere = world().allmap(text, items_at(0, ranks() + 1));
    EXPECT_EQ(everywhere.size(), index_of(ranks() + 1));
    for (std::size_t i = 0; i < everywhere.size(); ++i) EXPECT_EQ(*everywhere[i], std::to_string(i));
}

TEST(CommMap, ReadsEveryKindOfRange) {
    const std::vector<std::size_t> expected{1, 2, 0, 3};
    const std::list<std::string> words = rank() == 0 ? std::list<std::string>{"a", "bb", "", "ccc"} : std::list<std::string>();
    EXPECT_EQ(world().allmap([](const std::string& s) { return s.size(); }, words), expected);
    EXPECT_EQ(world().allmap([](std::string s) { return s.size(); }, words), expected);
    EXPECT_EQ(world().allmap([](std::string&& s) { return s.size(); }, words), expected);
    struct Numbers {  // can be read once only
        std::istringstream text{"1 2 3"};
        std::istream_iterator<int> begin() { return std::istream_iterator<int>(text); }
        std::istream_iterator<int> end() { return {}; }
    };
    EXPECT_EQ(world().allmap([](int x) { return 10 * x; }, Numbers{}), (std::vector{10, 20, 30}));
    const std::vector<bool> bits{true, false, true};
    EXPECT_EQ(world().allmap([](bool b) { return !b; }, bits), (std::vector<bool>{false, true, false}));
}

/// Collective. Which rank runs which item.
std::vector<int> owners_of(int count, int root) {
    const int own = rank();
    return world().allmap([own](int) { return own; }, items_at(root, count), root);
}

/// `call` throws E, with this text and the origin of this item.
template <class E, class Call>
void expect_thrown(Call&& call, const std::string& text, std::size_t item, const std::vector<int>& owners) {
    try {
        static_cast<void>(call());
        ADD_FAILURE() << "nothing thrown";
    } catch (const E& error) {
        EXPECT_EQ(error.what(), text);
        const rankpool::RemoteInfo* info = rankpool::remote_info(error);
        EXPECT_NE(info, nullptr);
        if (info == nullptr) return;
        EXPECT_EQ(info->item, item);
        EXPECT_EQ(info->worker.rank, owners.at(item));
        EXPECT_FALSE(info->worker.host.empty());
        EXPECT_GT(info->worker.pid, 0);
    }
}

TEST(CommMap, AnItemsExceptionReachesRoot) {
    const int count = 3 * ranks() + 2;
    for (int root = 0; root < ranks(); ++root) {
        const std::vector<int> owners = owners_of(count, root);
        const int bad = (5 * root + 2) % count;
        const auto function = [bad](int x) { return x == bad ? throw std::out_of_range("item " + std::to_string(x)) : x; };
        const auto call = [&] { return world().map(function, items_at(root, count), root); };
        if (rank() == root)
            expect_thrown<std::out_of_range>(call, "item " + std::to_string(bad), index_of(bad), owners);
        else
            EXPECT_TRUE(call().empty());
        expect_works(world());
    }
}

TEST(CommMap, AnItemsExceptionReachesAllRanksOfAllmap) {
    const int count = 3 * ranks() + 2, root = ranks() - 1;
    const std::vector<int> owners = owners_of(count, root);
    for (const int bad : {0, count / 2, count - 1}) {
        const auto function = [bad](int x) {
            if (x == bad) throw std::domain_error("no " + std::to_string(x));
            return std::to_string(x);
        };
        const auto call = [&] { return world().allmap(function, items_at(root, count), root); };
        expect_thrown<std::domain_error>(call, "no " + std::to_string(bad), index_of(bad), owners);
        expect_works(world());
    }
}

TEST(CommMap, TheSmallestIndexWins) {
    const int count = 5 * ranks();
    const std::vector<int> owners = owners_of(count, 0);
    const auto function = [](int x) { return x % 5 == 3 ? throw std::length_error(std::to_string(x)) : x; };
    const auto call = [&] { return world().allmap(function, items_at(0, count)); };
    expect_thrown<std::length_error>(call, "3", 3, owners);
    expect_works(world());
}

TEST(CommMap, WhatIsNoStandardExceptionArrivesAsRemoteError) {
    for (const bool everywhere : {false, true}) {
        const auto function = [](int) -> int { throw 42; };
        bool thrown = false;
        try {
            if (everywhere)
                world().allmap(function, items_at(0, 1));
            else
                world().map(function, items_at(0, 1));
        } catch (const rankpool::RemoteError& error) {
            thrown = true;
            EXPECT_EQ(error.type_name(), "int");
        }
        EXPECT_EQ(thrown, everywhere || rank() == 0);
        expect_works(world());
    }
}

}  // namespace
