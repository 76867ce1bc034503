// Copies of every length to every place in a page: what arrives, and that nothing else is touched.
#include <rankpool/wire/copy.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace {

using rankpool::wire::copy_bytes;

constexpr std::size_t page = 4096, pages = 150;
constexpr std::size_t lengths[] = {0, 1, 63, 64, 65, 2047, 2048, 2049, 2111, 4096, 5000, 70'001, 600'000};

std::byte pattern(std::size_t i) { return static_cast<std::byte>(i * 31 % 251); }

struct alignas(page) Page {
    std::byte bytes[page] = {};
};

TEST(Copy, ToEveryPlaceInAPage) {
    std::vector<Page> source(pages), target(pages);
    std::byte* const from = source.front().bytes;
    std::byte* const to = target.front().bytes;
    for (std::size_t i = 0; i < pages * page; ++i) from[i] = pattern(i);
    for (const std::size_t bytes : lengths) {
        for (const std::size_t source_at : {0u, 16u, 4095u}) {
            for (const std::size_t ahead : {0u, 1u, 8u, 16u, 30u, 31u, 32u, 33u, 64u, 2048u, 4080u, 4095u}) {
                const std::size_t at = (source_at + ahead) % page + 1;
                std::fill_n(to, pages * page, std::byte{255});
                copy_bytes(to + at, from + source_at, bytes);
                EXPECT_TRUE(std::equal(to + at, to + at + bytes, from + source_at)) << bytes << " bytes, " << ahead << " ahead";
                const auto untouched = [](std::byte b) { return b == std::byte{255}; };
                EXPECT_TRUE(std::all_of(to, to + at, untouched)) << bytes << " bytes, " << ahead << " ahead";
                EXPECT_TRUE(std::all_of(to + at + bytes, to + pages * page, untouched)) << bytes << " bytes, " << ahead << " ahead";
            }
        }
    }
}

TEST(Copy, WithinARowLikeMemmove) {
    for (const std::size_t bytes : lengths) {
        for (const std::size_t ahead : {0u, 1u, 16u, 31u, 32u, 64u, 4033u, 4065u, 4080u, 4095u, 4096u, 4112u, 8176u}) {
            for (const bool forwards : {true, false}) {
                std::vector<std::byte> row(bytes + ahead);
                for (std::size_t i = 0; i < row.size(); ++i) row[i] = pattern(i);
                const std::size_t from = forwards ? 0 : ahead, to = forwards ? ahead : 0;
                copy_bytes(row.data() + to, row.data() + from, bytes);
                for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(row[to + i], pattern(from + i)) << bytes << " bytes, " << ahead << " apart";
            }
        }
    }
}

TEST(Copy, OfNothingTakesNullPointers) { copy_bytes(nullptr, nullptr, 0); }

}  // namespace
