#include "pool/coverage.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace {

using rankpool::pool::Coverage;

// The same, item by item.
class Model {
  public:
    Model(std::uint64_t first, std::uint64_t count) : first_(first), has_(count) {}

    bool has(std::uint64_t index) const { return has_[index - first_]; }
    std::uint64_t count(std::uint64_t begin, std::uint64_t count) const {
        std::uint64_t found = 0;
        for (std::uint64_t i = begin; i < begin + count; ++i) found += has(i) ? 1u : 0u;
        return found;
    }
    std::uint64_t add(std::uint64_t begin, std::uint64_t count) {
        const std::uint64_t known = this->count(begin, count);
        for (std::uint64_t i = begin; i < begin + count; ++i) has_[i - first_] = true;
        return count - known;
    }
    Coverage::Gap gap(std::uint64_t from) const {
        const std::uint64_t last = first_ + has_.size();
        std::uint64_t begin = from;
        while (begin < last && has(begin)) ++begin;
        std::uint64_t end = begin;
        while (end < last && !has(end)) ++end;
        return {begin, end};
    }

  private:
    std::uint64_t first_;
    std::vector<bool> has_;
};

TEST(Coverage, IsWhatAListOfItemsWouldBe) {
    std::mt19937 random(1);
    for (int run = 0; run < 200; ++run) {
        const std::uint64_t first = random() % 100, count = 1 + random() % 150, longest = 1 + random() % 40;
        Coverage coverage(first, count);
        Model model(first, count);
        std::uint64_t done = 0;
        while (!coverage.complete()) {
            const std::uint64_t begin = first + random() % count;
            const std::uint64_t length = std::min(random() % longest + 1, first + count - begin);
            ASSERT_EQ(coverage.count(begin, length), model.count(begin, length));
            const std::uint64_t added = coverage.add(begin, length);
            ASSERT_EQ(added, model.add(begin, length));
            done += added;
            ASSERT_EQ(coverage.done(), done);
            for (std::uint64_t i = first; i < first + count; ++i) {
                ASSERT_EQ(coverage.has(i), model.has(i)) << "item " << i;
                ASSERT_EQ(coverage.gap(i).begin, model.gap(i).begin) << "from item " << i;
                ASSERT_EQ(coverage.gap(i).end, model.gap(i).end) << "from item " << i;
            }
        }
        EXPECT_EQ(done, count);
        EXPECT_EQ(coverage.gap(first).begin, coverage.gap(first).end);
    }
}

TEST(Coverage, OfManyItemsIsWhatAListWouldBe) {
    std::mt19937 random(2);
    for (int run = 0; run < 4; ++run) {
        const std::uint64_t first = random() % 5'000, count = 1 + random() % 30'000;
        Coverage coverage(first, count);
        Model model(first, count);
        for (int step = 0; step < 60; ++step) {
            const std::uint64_t begin = first + random() % count;
            const std::uint64_t length = std::min<std::uint64_t>(random() % (step % 3 == 0 ? 12'000 : 100), first + count - begin);
            ASSERT_EQ(coverage.count(begin, length), model.count(begin, length));
            ASSERT_EQ(coverage.add(begin, length), model.add(begin, length));
            ASSERT_EQ(coverage.done(), model.count(first, count));
            for (std::uint64_t i = first; i < first + count; ++i) ASSERT_EQ(coverage.has(i), model.has(i)) << "item " << i;
            for (std::uint64_t gap = first; gap < first + count;) {
                ASSERT_EQ(coverage.gap(gap).begin, model.gap(gap).begin);
                ASSERT_EQ(coverage.gap(gap).end, model.gap(gap).end);
                gap = std::max(gap + 1, model.gap(gap).end);
            }
        }
        coverage.add(first, count);
        EXPECT_TRUE(coverage.complete());
    }
}

TEST(Coverage, OfNothingIsComplete) {
    Coverage coverage(7, 0);
    EXPECT_TRUE(coverage.complete());
    EXPECT_TRUE(coverage.inside(7, 0));
    EXPECT_FALSE(coverage.inside(7, 1));
    EXPECT_EQ(coverage.add(7, 0), 0u);
    EXPECT_EQ(coverage.gap(7).begin, coverage.gap(7).end);
}

TEST(Coverage, KnowsWhatLiesInside) {
    const Coverage coverage(10, 5);
    EXPECT_TRUE(coverage.inside(10, 5));
    EXPECT_TRUE(coverage.inside(15, 0));
    EXPECT_FALSE(coverage.inside(9, 1));
    EXPECT_FALSE(coverage.inside(11, 5));
    EXPECT_FALSE(coverage.inside(12, ~std::uint64_t{0}));
}

}  // namespace
