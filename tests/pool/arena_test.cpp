#include "pool/arena.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace {

using rankpool::pool::Arena;
using rankpool::pool::ArenaBlock;

constexpr std::size_t megabyte = std::size_t{1} << 20;

// Bytes of memory that lie behind the arena.
std::size_t backed(const Arena& arena) {
    struct stat status{};
    EXPECT_EQ(fstat(arena.fd(), &status), 0);
    return static_cast<std::size_t>(status.st_blocks) * 512;
}

TEST(Arena, BlocksAreApartAndKeepTheirBytes) {
    Arena arena;
    std::mt19937 random(1);
    struct Kept {
        ArenaBlock block;
        unsigned char mark;
    };
    std::vector<Kept> kept;
    const auto is_whole = [](const Kept& each) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(each.block.data());
        return std::all_of(bytes, bytes + each.block.size(), [&](unsigned char byte) { return byte == each.mark; });
    };
    for (int step = 0; step < 3000; ++step) {
        if (kept.size() > 40 || (!kept.empty() && random() % 3 == 0)) {
            const std::size_t victim = random() % kept.size();
            ASSERT_TRUE(is_whole(kept[victim])) << "step " << step;
            kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(victim));
            continue;
        }
        const std::size_t largest = random() % 50 == 0 ? 40 * megabyte : random() % 5 == 0 ? megabyte / 4 : 500;
        Kept fresh{ArenaBlock(arena, random() % largest), static_cast<unsigned char>(random())};
        ASSERT_EQ(fresh.block.offset() % Arena::alignment, 0u);
        std::memset(fresh.block.data(), fresh.mark, fresh.block.size());
        kept.push_back(std::move(fresh));
    }
    for (const Kept& each : kept) EXPECT_TRUE(is_whole(each));
    kept.clear();
    EXPECT_LT(backed(arena), 32 * megabyte) << "what nobody uses was given back";
}

// Calls overlap and end in any order, each with a large block and a small one.
TEST(Arena, DoesNotGrowForEver) {
    struct Call {
        ArenaBlock large, small;
    };
    Arena arena;
    std::mt19937 random(1);
    std::vector<Call> calls;
    for (int i = 0; i < 400; ++i) {
        if (calls.size() == 4) calls.erase(calls.begin() + static_cast<std::ptrdiff_t>(random() % 4));
        const std::size_t extra = random() % 5000;
        calls.push_back({ArenaBlock(arena, 12 * megabyte + extra), ArenaBlock(arena, 100 + extra)});
    }
    EXPECT_LT(arena.size(), 150 * megabyte);
}

TEST(Arena, UsesAgainWhatWasReleased) {
    Arena arena;
    const std::uint64_t first = ArenaBlock(arena, 100).offset();
    for (int i = 0; i < 100; ++i) {
        const ArenaBlock block(arena, 100);
        EXPECT_EQ(block.offset(), first);
    }
    EXPECT_EQ(arena.size(), megabyte);
}

TEST(Arena, LargeBlocksGiveTheirPagesBackAndSmallOnesBehindThemDoNot) {
    Arena arena;
    const ArenaBlock other(arena, 100);
    { const ArenaBlock large(arena, 100 * megabyte); }
    const std::size_t before = backed(arena);
    EXPECT_LT(before, 32 * megabyte);
    const std::uint64_t size = arena.size();
    // As much as there is room for, then a little more: a hole gets memory again.
    std::vector<ArenaBlock> blocks;
    while (backed(arena) == before) blocks.emplace_back(arena, megabyte / 8);
    const std::size_t with_memory = backed(arena);
    EXPECT_LT(with_memory, before + 2 * megabyte);
    for (int i = 0; i < 100; ++i) {
        blocks.pop_back();
        ASSERT_EQ(backed(arena), with_memory) << "given back for a small block";
        blocks.emplace_back(arena, megabyte / 8);
        ASSERT_EQ(backed(arena), with_memory) << "taken anew for a small block";
    }
    { const ArenaBlock large(arena, 90 * megabyte); }
    EXPECT_EQ(arena.size(), size) << "holes are used before the arena grows";
}

}  // namespace
