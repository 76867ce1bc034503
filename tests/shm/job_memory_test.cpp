#include "shm/job_memory.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include <rankpool/error.hpp>
#include "os/memory.hpp"

using rankpool::os::UniqueFd;
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
        memory.ring_bytes(last, last)[memory.ring_capacity() - 1] = std::byte{1};  // the last byte is mapped
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
    const auto bell = other.rank_line(0).doorbell.ticket(), space = other.rank_line(0).space.ticket();
    memory.set_presence(1, Presence::present);
    EXPECT_EQ(other.presence(1), Presence::present);
    EXPECT_EQ(other.presence(0), Presence::absent);
    EXPECT_NE(other.rank_line(0).doorbell.ticket(), bell);
    EXPECT_NE(other.rank_line(0).space.ticket(), space);
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

}  // namespace
