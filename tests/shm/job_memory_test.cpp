#include "shm/job_memory.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <rankpool/error.hpp>
#include "os/memory.hpp"
#include "shm/collective_area.hpp"

using rankpool::os::UniqueFd;
using rankpool::shm::CollectiveArea;
using rankpool::shm::JobMemory;
using rankpool::shm::Presence;

namespace {

UniqueFd duplicate(const JobMemory& memory) { return UniqueFd(dup(memory.fd())); }

TEST(JobMemory, IsTheSameForWhoCreatedAndWhoAttached) {
    const JobMemory created = JobMemory::create(3);
    const JobMemory attached = JobMemory::attach(duplicate(created), 3);
    EXPECT_EQ(attached.ranks(), 3);
    EXPECT_EQ(attached.ring_capacity(), created.ring_capacity());
    EXPECT_NE(attached.ring_bytes(2, 1), created.ring_bytes(2, 1));
    std::memcpy(created.ring_bytes(2, 1), "text", 5);
    EXPECT_STREQ(reinterpret_cast<const char*>(attached.ring_bytes(2, 1)), "text");
    created.ring(1, 2).tail = 77;
    EXPECT_EQ(attached.ring(1, 2).tail, 77u);
    EXPECT_FALSE(attached.bound());
    created.tell_bound();
    EXPECT_TRUE(attached.bound());
}

TEST(JobMemory, OutlivesWhoCreatedIt) {
    JobMemory memory = [] {
        const JobMemory created = JobMemory::create(2);
        created.ring(0, 1).tail = 5;
        return JobMemory::attach(duplicate(created), 2);
    }();
    EXPECT_EQ(memory.ring(0, 1).tail, 5u);
}

TEST(JobMemory, SharedHandlesAreOneMapping) {
    JobMemory memory = JobMemory::create(2);
    const std::byte* bytes = memory.ring_bytes(0, 1);
    const JobMemory other = memory.share();
    EXPECT_EQ(other.ring_bytes(0, 1), bytes);
    EXPECT_NE(other.fd(), memory.fd());
    memory = JobMemory::create(1);
    other.ring(0, 1).tail = 6;  // still mapped
    EXPECT_EQ(other.ring(0, 1).tail, 6u);
}

TEST(JobMemory, TooLittleMemoryIsRefused) {
    const JobMemory small = JobMemory::create(1);
    EXPECT_THROW(JobMemory::attach(duplicate(small), 2), rankpool::LaunchError);
    EXPECT_THROW(JobMemory::attach(rankpool::os::create_memory("test", 4096), 1), rankpool::LaunchError);
}

TEST(JobMemory, RingsAndLinesDoNotOverlap) {
    for (const int ranks : {1, 2, 8, 64, 200}) {
        const JobMemory memory = JobMemory::create(ranks);
        const int last = ranks - 1;
        const auto* lines_end =
            reinterpret_cast<const std::byte*>(&memory.rank_line(last)) + sizeof(rankpool::shm::RankLine);
        EXPECT_LE(lines_end, reinterpret_cast<const std::byte*>(&memory.ring(0, 0)));
        EXPECT_EQ(memory.ring_capacity() & (memory.ring_capacity() - 1), 0u) << "no power of two";
        for (int source = 0; source < ranks; source += 1 + ranks / 7)
            for (int destination = 0; destination < last; ++destination)
                ASSERT_LE(memory.ring_bytes(source, destination) + memory.ring_capacity(),
                          reinterpret_cast<const std::byte*>(&memory.ring(source, destination + 1)));
        std::byte* const rings_end = memory.ring_bytes(last, last) + memory.ring_capacity();
        rings_end[-1] = std::byte{1};
        std::byte* const world = memory.area(0, ranks);
        EXPECT_LE(rings_end, world);
        EXPECT_EQ(world[0], std::byte{0});
        world[CollectiveArea::bytes_for(ranks) - 1] = std::byte{1};  // the last byte is mapped
    }
}

TEST(JobMemory, NobodyIsThereAtFirst) {
    const JobMemory memory = JobMemory::create(3);
    for (int rank = 0; rank < 3; ++rank) {
        EXPECT_EQ(memory.presence(rank), Presence::absent);
        EXPECT_EQ(memory.ring(rank, 0).head, 0u);
        EXPECT_EQ(memory.ring(rank, 0).tail, 0u);
    }
}

TEST(JobMemory, PresenceIsSeenByAllAndWakesThem) {
    const JobMemory memory = JobMemory::create(2);
    const JobMemory other = JobMemory::attach(duplicate(memory), 2);
    const auto bell = other.rank_line(0).doorbell.ticket();
    memory.set_presence(1, Presence::present);
    EXPECT_EQ(other.presence(1), Presence::present);
    EXPECT_EQ(other.presence(0), Presence::absent);
    EXPECT_NE(other.rank_line(0).doorbell.ticket(), bell);
}

TEST(JobMemory, ARankThatLeftIsNotGone) {
    const JobMemory memory = JobMemory::create(2);
    memory.set_presence(0, Presence::left);
    memory.mark_gone(0);
    EXPECT_EQ(memory.presence(0), Presence::left);
    memory.set_presence(1, Presence::present);
    memory.mark_gone(1);
    EXPECT_EQ(memory.presence(1), Presence::gone);
}

// ---- areas ----

std::span<std::byte> area_of(const JobMemory& memory, JobMemory::Context context, int ranks) {
    return {memory.area(context, ranks), CollectiveArea::bytes_for(ranks)};
}
void fill(std::span<std::byte> bytes, int value) { std::ranges::fill(bytes, static_cast<std::byte>(value)); }
bool is_all(std::span<const std::byte> bytes, int value) {
    return std::ranges::all_of(bytes, [value](std::byte byte) { return byte == static_cast<std::byte>(value); });
}

TEST(JobMemory, AreasAreApartAndTheSameForAll) {
    const JobMemory memory = JobMemory::create(3);
    const JobMemory early = JobMemory::attach(duplicate(memory), 3);
    std::vector<std::pair<JobMemory::Context, int>> areas{{0, 3}};
    for (const int ranks : {1, 3, 2, 1, 3, 20}) areas.emplace_back(memory.create_area(ranks), ranks);
    const JobMemory late = JobMemory::attach(duplicate(memory), 3);
    for (std::size_t i = 0; i < areas.size(); ++i) {
        EXPECT_TRUE(is_all(area_of(memory, areas[i].first, areas[i].second), 0));
        fill(area_of(memory, areas[i].first, areas[i].second), static_cast<int>(i) + 1);
    }
    for (std::size_t i = 0; i < areas.size(); ++i)
        for (const JobMemory* other : {&memory, &early, &late})
            EXPECT_TRUE(is_all(area_of(*other, areas[i].first, areas[i].second), static_cast<int>(i) + 1));
}

TEST(JobMemory, APlaceIsUsedAgainUnderAnotherName) {
    const JobMemory memory = JobMemory::create(2);
    const JobMemory::Context kept = memory.create_area(2);
    fill(area_of(memory, kept, 2), 7);
    std::set<JobMemory::Context> names{0, kept};
    std::set<const std::byte*> places;
    for (int round = 0; round < 3'000; ++round) {
        const JobMemory::Context context = memory.create_area(2);
        EXPECT_TRUE(names.insert(context).second) << "a name was used twice";
        const std::span<std::byte> area = area_of(memory, context, 2);
        EXPECT_TRUE(is_all(area.first(CollectiveArea::control_bytes_for(2)), 0));
        fill(area.first(CollectiveArea::control_bytes_for(2)), 9);
        places.insert(area.data());
        memory.release_area(context);
    }
    EXPECT_EQ(places.size(), 1u);
    EXPECT_TRUE(is_all(area_of(memory, kept, 2), 7));
}

TEST(JobMemory, AnAreaThatThereIsNotIsRefused) {
    const JobMemory memory = JobMemory::create(2);
    const JobMemory::Context one = memory.create_area(1);
    EXPECT_THROW((void)memory.area(one, 100), rankpool::Error);  // has another size
    for (const JobMemory::Context context : {one + 1, one + 700, ~JobMemory::Context{0}, JobMemory::Context{1} << 11})
        EXPECT_THROW((void)memory.area(context, 1), rankpool::Error);
}

TEST(JobMemory, AnAreaThatCannotBeMadeTakesNoPlace) {
    const JobMemory memory = JobMemory::create(2);
    for (int i = 0; i < 1'100; ++i) EXPECT_THROW((void)memory.create_area(3'000'000), rankpool::Error);
    EXPECT_NO_THROW((void)memory.create_area(2));
}

TEST(JobMemory, AreasMadeAtTheSameTimeAreApart) {
    const JobMemory memory = JobMemory::create(1);
    std::vector<std::thread> threads;
    for (int thread = 1; thread <= 4; ++thread)
        threads.emplace_back([&memory, thread] {
            for (int round = 0; round < 300; ++round) {
                const int ranks = 1 + (thread + round) % 3;
                const JobMemory::Context context = memory.create_area(ranks);
                const auto area = area_of(memory, context, ranks).first(CollectiveArea::control_bytes_for(ranks));
                EXPECT_TRUE(is_all(area, 0));
                fill(area, thread);
                std::this_thread::yield();
                EXPECT_TRUE(is_all(area, thread));
                memory.release_area(context);
            }
        });
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
