// Blocks of any length: scatterv, gatherv, allgatherv and alltoallv.
#include <algorithm>
#include <array>
#include <deque>
#include <forward_list>
#include <iterator>
#include <list>
#include <numeric>
#include <set>
#include <span>
#include <sstream>

#include "comm/values.hpp"

namespace {

using namespace comm_test;

std::vector<int> numbers(int count, int first = 0) {
    std::vector<int> all(index_of(count));
    std::iota(all.begin(), all.end(), first);
    return all;
}

/// `mine` is this rank's block of `items`, and `lengths` are those of all ranks' blocks: in rank order, no two lengths
/// differ by more than one.
template <class T>
void expect_block(const std::vector<T>& mine, const std::vector<T>& items, const std::vector<std::size_t>& lengths) {
    const auto [shortest, longest] = std::minmax_element(lengths.begin(), lengths.end());
    EXPECT_LE(*longest - *shortest, 1u);
    EXPECT_EQ(std::accumulate(lengths.begin(), lengths.end(), std::size_t{0}), items.size());
    const std::size_t before = std::accumulate(lengths.begin(), lengths.begin() + rank(), std::size_t{0});
    std::vector<T> expected;
    for (std::size_t i = before; i < std::min(items.size(), before + mine.size()); ++i) expected.push_back(items[i]);
    EXPECT_EQ(mine, expected);
}

/// Collective.
template <class T>
void expect_own_block(const std::vector<T>& mine, const std::vector<T>& items) {
    expect_block(mine, items, world().allgather(mine.size()));
}

template <class T>
class Blocks : public testing::Test {};
TYPED_TEST_SUITE(Blocks, Kinds, KindName);

TYPED_TEST(Blocks, ScattervSplitsEvenly) {
    using T = TypeParam;
    std::vector<std::vector<T>> blocks;
    std::vector<std::size_t> lengths;
    for (int root = 0; root < ranks(); ++root) {
        // The items of the others do not count.
        blocks.push_back(world().scatterv(rank() == root ? samples_of<T>(root, 3 * ranks() + 2) : samples_of<T>(rank(), rank()), root));
        lengths.push_back(blocks.back().size());
    }
    const std::vector<std::vector<std::size_t>> lengths_of_all = world().allgather(lengths);
    for (int root = 0; root < ranks(); ++root) {
        std::vector<std::size_t> of_root;
        for (const std::vector<std::size_t>& of_rank : lengths_of_all) of_root.push_back(of_rank.at(index_of(root)));
        expect_block(blocks[index_of(root)], samples_of<T>(root, 3 * ranks() + 2), of_root);
    }
    for (const int count : {0, 1, ranks() - 1, ranks(), ranks() + 1, 2 * ranks() - 1}) {
        const std::vector<T> items = samples_of<T>(7, count);
        expect_own_block(world().scatterv(rank() == 0 ? items : std::vector<T>()), items);
    }
}

TYPED_TEST(Blocks, GathervJoinsInRankOrder) {
    using T = TypeParam;
    for (int root = 0; root < ranks(); ++root) {
        const std::vector<T> block(index_of(rank()), sample<T>(rank(), root));  // rank 0 has none
        std::vector<T> expected;
        for (int sender = 0; sender < ranks() && rank() == root; ++sender)
            expected.insert(expected.end(), index_of(sender), sample<T>(sender, root));
        EXPECT_EQ(world().gatherv(block, root), expected) << "root " << root;
    }
    const int last = ranks() - 1;
    EXPECT_EQ(world().gatherv(samples_of<T>(rank(), rank() == last ? 4 : 0)), rank() == 0 ? samples_of<T>(last, 4) : std::vector<T>());
    EXPECT_TRUE(world().gatherv(std::vector<T>(), last).empty());
}

TYPED_TEST(Blocks, AllgathervJoinsEverywhere) {
    using T = TypeParam;
    std::vector<T> expected;
    for (int sender = 0; sender < ranks(); ++sender) expected.insert(expected.end(), index_of(sender), sample<T>(sender, 9));
    EXPECT_EQ(world().allgatherv(std::vector<T>(index_of(rank()), sample<T>(rank(), 9))), expected);
    const int last = ranks() - 1;
    EXPECT_EQ(world().allgatherv(samples_of<T>(rank(), rank() == last ? 4 : 0)), samples_of<T>(last, 4));
    EXPECT_EQ(world().allgatherv(samples_of<T>(rank(), rank() == 0 ? 5 : 0)), samples_of<T>(0, 5));
    EXPECT_TRUE(world().allgatherv(std::vector<T>()).empty());
}

TYPED_TEST(Blocks, AlltoallvGivesEachPairItsBlock) {
    using T = TypeParam;
    const auto block = [](int sender, int receiver) {
        return std::vector<T>(index_of((sender + 2 * receiver) % 3), sample<T>(sender, receiver));
    };
    std::vector<std::vector<T>> parts, expected;
    for (int other = 0; other < ranks(); ++other) {
        parts.push_back(block(rank(), other));
        expected.push_back(block(other, rank()));
    }
    EXPECT_EQ(world().alltoallv(parts), expected);
    // Only one pair has anything to say.
    const int last = ranks() - 1;
    parts.assign(index_of(ranks()), {});
    expected.assign(index_of(ranks()), {});
    if (rank() == last) parts.front() = samples_of<T>(last, 3);
    if (rank() == 0) expected.back() = samples_of<T>(last, 3);
    EXPECT_EQ(world().alltoallv(parts), expected);
    const std::vector<std::vector<T>> nothing(index_of(ranks()));
    EXPECT_EQ(world().alltoallv(nothing), nothing);
}

struct Stream {  // can be read once only
    std::istringstream text;
    explicit Stream(const std::vector<int>& values) {
        std::string all;
        for (const int value : values) all += std::to_string(value) + " ";
        text.str(all);
    }
    std::istream_iterator<int> begin() { return std::istream_iterator<int>(text); }
    std::istream_iterator<int> end() { return {}; }
};

TEST(BlocksOf, EveryKindOfRange) {
    const int count = 2 * ranks() + 1, root = ranks() - 1;
    const std::vector<int> items = numbers(count, 10), of_the_others = numbers(rank());
    const std::vector<int>& own = rank() == root ? items : of_the_others;
    expect_own_block(world().scatterv(std::list<int>(own.begin(), own.end()), root), items);
    expect_own_block(world().scatterv(std::forward_list<int>(own.begin(), own.end()), root), items);
    expect_own_block(world().scatterv(std::deque<int>(own.begin(), own.end()), root), items);
    expect_own_block(world().scatterv(std::set<int>(own.begin(), own.end()), root), items);
    expect_own_block(world().scatterv(std::span<const int>(own), root), items);
    expect_own_block(world().scatterv(Stream(own), root), items);
    Stream stream(own);
    expect_own_block(world().scatterv(stream, root), items);
    const int array[] = {5, 6, 7};
    expect_own_block(world().scatterv(array, root), std::vector<int>{5, 6, 7});
    expect_own_block(world().scatterv(std::array{5, 6, 7, 8}, root), std::vector<int>{5, 6, 7, 8});
    const std::string text = "a string is a range of characters";
    expect_own_block(world().scatterv(text, root), std::vector<char>(text.begin(), text.end()));

    std::vector<int> all;
    for (int sender = 0; sender < ranks(); ++sender)
        for (const int value : numbers(sender + 1, 100 * sender)) all.push_back(value);
    const std::vector<int> at_root = rank() == root ? all : std::vector<int>();
    const std::vector<int> block = numbers(rank() + 1, 100 * rank());
    EXPECT_EQ(world().gatherv(std::list<int>(block.begin(), block.end()), root), at_root);
    EXPECT_EQ(world().gatherv(std::forward_list<int>(block.begin(), block.end()), root), at_root);
    EXPECT_EQ(world().gatherv(std::span<const int>(block), root), at_root);
    EXPECT_EQ(world().gatherv(Stream(block), root), at_root);
    EXPECT_EQ(world().allgatherv(std::set<int>(block.begin(), block.end())), all);
    EXPECT_EQ(world().allgatherv(Stream(block)), all);
}

TEST(BlocksOf, ListsOfStrings) {
    const int root = ranks() / 2;
    const std::vector<std::string> items = samples_of<std::string>(root, 2 * ranks() + 1);
    const std::list<std::string> list(items.begin(), items.end());
    expect_own_block(world().scatterv(rank() == root ? list : std::list<std::string>(), root), items);
    std::vector<std::string> expected;
    for (int sender = 0; sender < ranks(); ++sender)
        for (const std::string& word : sample<std::list<std::string>>(sender, 1)) expected.push_back(word);
    EXPECT_EQ(world().allgatherv(sample<std::list<std::string>>(rank(), 1)), expected);
}

TEST(BlocksOf, ScattervAndGathervUndoEachOther) {
    for (int root = 0; root < ranks(); ++root) {
        const std::vector<int> items = numbers(5 * ranks() + root);
        const std::vector<int> mine = world().scatterv(rank() == root ? items : std::vector<int>(), root);
        EXPECT_EQ(world().gatherv(mine, root), rank() == root ? items : std::vector<int>()) << "root " << root;
        EXPECT_EQ(world().allgatherv(mine), items) << "root " << root;
    }
}

}  // namespace
