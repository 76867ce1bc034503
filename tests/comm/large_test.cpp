// Payloads that do not fit into one piece of anything.
#include <cstdint>
#include <numeric>

#include "comm/values.hpp"

namespace {

using namespace comm_test;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// Compared without printing a mebibyte when it fails.
template <class T>
void expect_same(const T& actual, const T& expected) {
    EXPECT_EQ(actual.size(), expected.size());
    EXPECT_TRUE(actual == expected);
}

std::string noise(int seed, std::size_t length) {
    std::string text(length, '\0');
    auto state = static_cast<std::uint32_t>(seed) * 2654435761u + 1u;
    for (char& c : text) {
        state = state * 1664525u + 1013904223u;
        c = static_cast<char>(state >> 24);
    }
    return text;
}

std::vector<int> numbers(int seed, std::size_t count) {
    std::vector<int> all(count);
    std::iota(all.begin(), all.end(), seed * 1000);
    return all;
}

std::vector<std::string> words(int seed, int count) {
    std::vector<std::string> all;
    for (int i = 0; i < count; ++i) all.push_back(std::string(index_of(i % 40), 'w') + std::to_string(seed + i));
    return all;
}

TEST(Large, Bcast) {
    const int root = ranks() - 1;
    expect_same(world().bcast(rank() == root ? noise(1, mebibyte + 3) : std::string(), root), noise(1, mebibyte + 3));
    const std::vector<int> ints = numbers(2, 5 * mebibyte / sizeof(int));
    expect_same(world().bcast(rank() == 0 ? ints : std::vector<int>()), ints);
    expect_same(world().bcast(rank() == root ? words(3, 20'000) : std::vector<std::string>(), root), words(3, 20'000));
}

TEST(Large, ScattervAndGatherv) {
    const int root = ranks() / 2;
    const std::vector<int> items = numbers(4, 5 * mebibyte / sizeof(int) + 1);
    const std::vector<int> mine = world().scatterv(rank() == root ? items : std::vector<int>(), root);
    expect_same(world().gatherv(mine, root), rank() == root ? items : std::vector<int>());

    const std::vector<std::string> text = words(5, 20'000);
    const std::vector<std::string> own = world().scatterv(rank() == root ? text : std::vector<std::string>(), root);
    expect_same(world().gatherv(own, root), rank() == root ? text : std::vector<std::string>());
    expect_same(world().allgatherv(own), text);
}

TEST(Large, OnlyOneRankHasALot) {
    const int last = ranks() - 1;
    const std::string text = noise(6, mebibyte + 3);
    expect_same(world().gatherv(rank() == last ? text : std::string()),
                rank() == 0 ? std::vector<char>(text.begin(), text.end()) : std::vector<char>());
    const std::vector<int> items = numbers(7, mebibyte / sizeof(int) + 3);
    expect_same(world().allgatherv(rank() == 0 ? items : std::vector<int>()), items);
}

TEST(Large, GatherAndAllgather) {
    const auto of_all = [](std::size_t length) {
        std::vector<std::string> all;
        for (int r = 0; r < ranks(); ++r) all.push_back(noise(r, length));
        return all;
    };
    expect_same(world().gather(noise(rank(), mebibyte + 3)), rank() == 0 ? of_all(mebibyte + 3) : std::vector<std::string>());
    const std::size_t less = mebibyte / 16 + 3;  // the ranks together receive size() squared times that
    expect_same(world().allgather(noise(rank(), less)), of_all(less));
}

TEST(Large, AlltoallAndAlltoallv) {
    const std::size_t length = mebibyte / 32 + 1;
    std::vector<std::vector<int>> parts, expected;
    for (int other = 0; other < ranks(); ++other) {
        parts.push_back(numbers(sample<int>(rank(), other), length / sizeof(int) + index_of(other)));
        expected.push_back(numbers(sample<int>(other, rank()), length / sizeof(int) + index_of(rank())));
    }
    expect_same(world().alltoallv(parts), expected);
    expect_same(world().alltoall(parts), expected);  // a block is a value too
}

TEST(Large, MapOfTwentyThousandStrings) {
    const std::vector<std::string> text = words(8, 20'000);
    std::vector<std::size_t> expected;
    for (const std::string& word : text) expected.push_back(word.size());
    expect_same(world().map([](const std::string& word) { return word.size(); }, rank() == 0 ? text : std::vector<std::string>()),
                rank() == 0 ? expected : std::vector<std::size_t>());
}

TEST(Large, MessagesAroundTheRing) {
    expect_same(world().sendrecv(noise(rank(), mebibyte + 3), right(), left(), 1), noise(left(), mebibyte + 3));
    expect_same(world().sendrecv(words(rank(), 1000), right(), left(), 2), words(left(), 1000));
}

}  // namespace
