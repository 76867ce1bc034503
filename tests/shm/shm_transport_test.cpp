#include "shm/shm_transport.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <rankpool/error.hpp>
#include "spmd/departure.hpp"

using namespace std::chrono_literals;
using rankpool::comm::any;
using rankpool::comm::Message;
using rankpool::comm::RankDeparted;
using rankpool::shm::JobMemory;
using rankpool::shm::Presence;
using rankpool::shm::ShmTransport;
using rankpool::wire::Buffer;

namespace {

constexpr int tag = 5;
constexpr auto long_enough = 60s;

using Bytes = std::vector<std::byte>;
using Body = std::function<void(ShmTransport&)>;

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}
template <class T>
T value_of(const Message& message) {
    T value{};
    EXPECT_EQ(message.bytes.size(), sizeof value);
    if (message.bytes.size() == sizeof value) std::memcpy(&value, message.bytes.data(), sizeof value);
    return value;
}

// Bytes that tell where they belong: of which rank, in which message, at which place.
Bytes pattern(std::size_t size, int rank, int number) {
    Bytes bytes(size);
    std::uint64_t word = static_cast<std::uint64_t>(rank) * 1000003 + static_cast<std::uint64_t>(number) * 7919 + size;
    for (std::size_t at = 0; at < size; at += sizeof word) {
        word = word * 6364136223846793005u + 1442695040888963407u;
        std::memcpy(bytes.data() + at, &word, std::min(sizeof word, size - at));
    }
    return bytes;
}
void expect_pattern(const Buffer& arrived, std::size_t size, int rank, int number) {
    ASSERT_EQ(arrived.size(), size);
    const Bytes expected = pattern(size, rank, number);
    EXPECT_TRUE(size == 0 || std::memcmp(arrived.data(), expected.data(), size) == 0)
        << "of " << size << " bytes from rank " << rank << " some are wrong";
}

// Some ranks of a job as threads. What one of them throws fails the test; it leaves then, which ends the others' waits.
void run_some_ranks(const JobMemory& memory, int ranks, const Body& body) {
    std::vector<std::thread> threads;
    std::mutex mutex;
    std::string errors;
    for (int rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] {
            try {
                ShmTransport transport(memory.share(), rank);
                body(transport);
            } catch (const std::exception& error) {
                std::lock_guard lock(mutex);
                errors += "rank " + std::to_string(rank) + ": " + error.what() + "\n";
            }
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(errors, "");
}

// All ranks of a job, until the orderly end.
void run_job(int ranks, const Body& body) {
    const JobMemory memory = JobMemory::create(ranks);
    run_some_ranks(memory, ranks, [&](ShmTransport& transport) {
        body(transport);
        transport.finish();
    });
}

// ---- two ranks ----

TEST(ShmTransport, KnowsItsPlace) {
    run_job(3, [](ShmTransport& transport) {
        EXPECT_EQ(transport.size(), 3);
        EXPECT_EQ(transport.local_size(), 3);
        const int rank = transport.rank();
        transport.send((rank + 1) % 3, tag, bytes_of(rank));
        EXPECT_EQ(value_of<int>(transport.receive((rank + 2) % 3, tag)), (rank + 2) % 3);
    });
}

TEST(ShmTransport, PingPong) {
    run_job(2, [](ShmTransport& transport) {
        for (int round = 0; round < 2000; ++round) {
            if (transport.rank() == 0) {
                transport.send(1, tag, bytes_of(round));
                ASSERT_EQ(value_of<int>(transport.receive(1, tag)), -round);
            } else {
                ASSERT_EQ(value_of<int>(transport.receive(0, tag)), round);
                transport.send(0, tag, bytes_of(-round));
            }
        }
    });
}

// Sizes around everything that is decided by size: padding, the ring (with and without a message's header of 32 bytes),
// single copy from 32 KiB on, and far beyond.
std::vector<std::size_t> sizes_around(std::size_t ring) {
    std::vector<std::size_t> sizes{0, 1, 15, 16, 17, 31, 32, 33};
    for (const std::size_t threshold : {ring, ring - 32, ring - 16, 2 * ring, std::size_t{32} << 10})
        for (const std::size_t size : {threshold - 1, threshold, threshold + 1}) sizes.push_back(size);
    sizes.insert(sizes.end(), {std::size_t{1} << 20, std::size_t{20} << 20, 0});
    return sizes;
}

// Ranks 0 and 1 of the job send each other messages of every size at the same time.
void exchange_all_sizes(const JobMemory& memory, ShmTransport& transport) {
    const int me = transport.rank(), other = 1 - me;
    int number = 0;
    for (const std::size_t size : sizes_around(memory.ring_capacity())) {
        transport.send(other, tag, pattern(size, me, number));
        const Message message = transport.receive(other, tag);
        EXPECT_EQ(message.source, other);
        EXPECT_EQ(message.tag, tag);
        expect_pattern(message.bytes, size, other, number);
        ++number;
    }
}

TEST(ShmTransport, MessagesOfEverySizeCrossEachOther) {
    const JobMemory memory = JobMemory::create(2);
    run_some_ranks(memory, 2, [&](ShmTransport& transport) { exchange_all_sizes(memory, transport); });
}

TEST(ShmTransport, MessagesOfEverySizeCrossEachOtherInSmallRings) {
    const JobMemory memory = JobMemory::create(128);
    ASSERT_LT(memory.ring_capacity(), 32u << 10)
        << "a message below the size of single copy fits into the ring at once";
    run_some_ranks(memory, 2, [&](ShmTransport& transport) { exchange_all_sizes(memory, transport); });
}

// The kernel does not let ranks read each other's memory: as when the sender's process cannot be found.
TEST(ShmTransport, MessagesOfEverySizeCrossEachOtherWhereSingleCopyIsRefused) {
    const JobMemory memory = JobMemory::create(2);
    std::atomic<int> ready{0};
    run_some_ranks(memory, 2, [&](ShmTransport& transport) {
        memory.rank_line(transport.rank()).pid = INT_MAX;
        ++ready;
        while (ready < 2) std::this_thread::yield();
        exchange_all_sizes(memory, transport);
    });
}

TEST(ShmTransport, MessagesThatFillTheRingGoOnWhenItIsRead) {
    run_job(2, [](ShmTransport& transport) {
        const Bytes large(16'000);
        if (transport.rank() == 0)
            for (int i = 0; i < 200; ++i) transport.send(1, i, large);
        else
            for (int i = 0; i < 200; ++i) ASSERT_EQ(transport.receive(0, any).tag, i);
    });
}

// Neither side sleeps: both look at the ring while the other moves it.
TEST(ShmTransport, AFloodThroughASmallRingArrivesWholeWhileBothSidesPoll) {
    constexpr int count = 10'000;
    const JobMemory memory = JobMemory::create(128);
    run_some_ranks(memory, 2, [](ShmTransport& transport) {
        const auto size_of = [](int i) { return static_cast<std::size_t>(i * 31 % 211); };
        if (transport.rank() == 0) {
            for (int i = 0; i < count; ++i) transport.send(1, tag, pattern(size_of(i), 0, i));
            (void)transport.receive(1, tag);
        } else {
            for (int i = 0; i < count; ++i) {
                std::optional<Message> message;
                while (!(message = transport.try_receive(0, tag))) {
                }
                expect_pattern(message->bytes, size_of(i), 0, i);
            }
            transport.send(0, tag, {});
        }
    });
}

TEST(ShmTransport, ALargeMessageOvertakesNoSmallOne) {
    run_job(2, [](ShmTransport& transport) {
        const int me = transport.rank(), other = 1 - me;
        for (int round = 0; round < 50; ++round)
            for (const std::size_t size : {std::size_t{8}, std::size_t{100'000}, std::size_t{3'000}})
                transport.send(other, round, pattern(size, me, round));
        for (int round = 0; round < 50; ++round)
            for (const std::size_t size : {std::size_t{8}, std::size_t{100'000}, std::size_t{3'000}}) {
                const Message message = transport.receive(other, any);
                ASSERT_EQ(message.tag, round);
                expect_pattern(message.bytes, size, other, round);
            }
    });
}

TEST(ShmTransport, TheSendersBytesAreItsOwnAgainWhenSendReturns) {
    run_job(2, [](ShmTransport& transport) {
        constexpr std::size_t size = 300'000;
        if (transport.rank() == 0) {
            Bytes bytes;
            for (int round = 0; round < 20; ++round) {
                bytes = pattern(size, 0, round);
                transport.send(1, tag, bytes);
                std::fill(bytes.begin(), bytes.end(), std::byte{0});
            }
        } else {
            for (int round = 0; round < 20; ++round) expect_pattern(transport.receive(0, tag).bytes, size, 0, round);
        }
    });
}

// ---- many ranks ----

class ShmJob : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, ShmJob, testing::Values(1, 2, 3, 4, 7, 8), testing::PrintToStringParamName());

struct Numbered {
    int source, number;
};

TEST_P(ShmJob, ManySmallMessagesFromAllToAllKeepTheirOrder) {
    constexpr int each = 300;
    run_job(GetParam(), [](ShmTransport& transport) {
        const int size = transport.size(), me = transport.rank();
        for (int i = 0; i < each; ++i)
            for (int destination = 0; destination < size; ++destination) {
                Buffer bytes;
                const Numbered head{me, i};
                bytes.append(&head, sizeof head);
                const Bytes tail(static_cast<std::size_t>((i * 37 + destination) % 200));
                bytes.append(tail.data(), tail.size());
                transport.send(destination, tag, bytes);
            }
        std::vector<int> next(static_cast<std::size_t>(size), 0);
        for (int i = 0; i < each * size; ++i) {
            const Message message = transport.receive(any, tag);
            Numbered head{};
            ASSERT_GE(message.bytes.size(), sizeof head);
            std::memcpy(&head, message.bytes.data(), sizeof head);
            ASSERT_EQ(head.source, message.source);
            ASSERT_EQ(head.number, next[static_cast<std::size_t>(message.source)]++);
            ASSERT_EQ(message.bytes.size(), sizeof head + static_cast<std::size_t>((head.number * 37 + me) % 200));
        }
        EXPECT_FALSE(transport.try_receive(any, tag).has_value());
    });
}

TEST_P(ShmJob, LargeMessagesFromAllToAllArrive) {
    run_job(GetParam(), [](ShmTransport& transport) {
        const int size = transport.size(), me = transport.rank();
        constexpr std::size_t bytes = 200'000;
        for (int step = 0; step < size; ++step)
            transport.send((me + step) % size, tag, pattern(bytes, me, (me + step) % size));
        for (int source = 0; source < size; ++source)
            expect_pattern(transport.receive(source, tag).bytes, bytes, source, me);
    });
}

TEST_P(ShmJob, NobodyPassesABarrierBeforeEverybodyHasComeToIt) {
    std::atomic<int> arrived{0};
    run_job(GetParam(), [&](ShmTransport& transport) {
        for (int round = 1; round <= 200; ++round) {
            ++arrived;
            transport.barrier();
            ASSERT_GE(arrived, round * transport.size());
            transport.barrier();
            ASSERT_LE(arrived, round * transport.size());
            transport.barrier();
        }
    });
}

TEST_P(ShmJob, BcastBringsTheRootsBytesToEveryRank) {
    run_job(GetParam(), [](ShmTransport& transport) {
        for (int root = 0; root < transport.size(); ++root)
            for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{5'000}, std::size_t{150'000}}) {
                const Bytes bytes = transport.rank() == root ? pattern(size, root, 1) : pattern(3, transport.rank(), 2);
                Buffer buffer;
                buffer.append(bytes.data(), bytes.size());
                transport.bcast(buffer, root);
                expect_pattern(buffer, size, root, 1);
            }
    });
}

// The part of a rank: of another size for each, none for some.
std::size_t part_size(int rank, int round) {
    return rank % 3 == round % 3 ? 0 : static_cast<std::size_t>(rank + 1) * 17'001;
}

TEST_P(ShmJob, ScatterBringsEachRankItsPart) {
    run_job(GetParam(), [](ShmTransport& transport) {
        for (int root = 0; root < transport.size(); ++root) {
            std::vector<Bytes> rows;
            std::vector<std::span<const std::byte>> parts;
            if (transport.rank() == root) {
                for (int rank = 0; rank < transport.size(); ++rank)
                    rows.push_back(pattern(part_size(rank, root), root, rank));
                parts.assign(rows.begin(), rows.end());
            }
            expect_pattern(transport.scatter(parts, root), part_size(transport.rank(), root), root, transport.rank());
        }
    });
}

TEST_P(ShmJob, GatherBringsTheRootAllPartsInOrderOfRanks) {
    run_job(GetParam(), [](ShmTransport& transport) {
        for (int root = 0; root < transport.size(); ++root) {
            const int me = transport.rank();
            const auto parts = transport.gather(pattern(part_size(me, root), me, root), root);
            if (me != root) {
                EXPECT_TRUE(parts.empty());
                continue;
            }
            ASSERT_EQ(parts.size(), static_cast<std::size_t>(transport.size()));
            for (int rank = 0; rank < transport.size(); ++rank)
                expect_pattern(parts[static_cast<std::size_t>(rank)], part_size(rank, root), rank, root);
        }
    });
}

TEST_P(ShmJob, CollectivesOfDifferentRootsInARowDoNotMix) {
    run_job(GetParam(), [](ShmTransport& transport) {
        const int size = transport.size(), me = transport.rank();
        for (int round = 0; round < 100; ++round) {
            const int root = round % size;
            Buffer buffer;
            if (me == root) buffer.append(&round, sizeof round);
            transport.bcast(buffer, root);
            int seen = -1;
            ASSERT_EQ(buffer.size(), sizeof seen);
            std::memcpy(&seen, buffer.data(), sizeof seen);
            ASSERT_EQ(seen, round);
            const auto parts = transport.gather(bytes_of(seen), (root + 1) % size);
            for (const Buffer& part : parts) ASSERT_EQ(std::memcmp(part.data(), &round, sizeof round), 0);
        }
    });
}

// ---- which message is meant ----

TEST(ShmTransport, MessagesToItselfArriveInOrder) {
    run_job(1, [](ShmTransport& transport) {
        for (int i = 0; i < 100; ++i) transport.send(0, i % 2, bytes_of(i));
        transport.send(0, 7, pattern(100'000, 0, 0));
        for (int i = 1; i < 100; i += 2) EXPECT_EQ(value_of<int>(transport.receive(0, 1)), i);
        for (int i = 0; i < 100; i += 2) EXPECT_EQ(value_of<int>(transport.receive(any, 0)), i);
        expect_pattern(transport.receive(0, any).bytes, 100'000, 0, 0);
        EXPECT_FALSE(transport.try_receive(any, any).has_value());
    });
}

TEST(ShmTransport, AReceiveTakesTheFirstMessageWithItsTag) {
    run_job(2, [](ShmTransport& transport) {
        if (transport.rank() == 0) {
            for (int i = 0; i < 30; ++i) transport.send(1, i % 3, bytes_of(i));
        } else {
            for (int i = 2; i < 30; i += 3) EXPECT_EQ(value_of<int>(transport.receive(0, 2)), i);
            for (int i = 0; i < 30; i += 3) EXPECT_EQ(value_of<int>(transport.receive(any, 0)), i);
            for (int i = 1; i < 30; i += 3) {
                const Message message = transport.receive(0, any);
                EXPECT_EQ(message.tag, 1);
                EXPECT_EQ(value_of<int>(message), i);
            }
        }
    });
}

TEST(ShmTransport, AReceiveFromOneRankLeavesTheOthersMessagesAlone) {
    run_job(3, [](ShmTransport& transport) {
        const int me = transport.rank();
        if (me > 0) {
            for (int i = 0; i < 10; ++i) transport.send(0, tag, bytes_of(100 * me + i));
        } else {
            for (int i = 0; i < 10; ++i) EXPECT_EQ(value_of<int>(transport.receive(2, tag)), 200 + i);
            for (int i = 0; i < 10; ++i) {
                const Message message = transport.receive(any, tag);
                EXPECT_EQ(message.source, 1);
                EXPECT_EQ(value_of<int>(message), 100 + i);
            }
        }
    });
}

TEST(ShmTransport, TryReceiveIsEmptyUntilAFittingMessageIsThere) {
    run_job(2, [](ShmTransport& transport) {
        if (transport.rank() == 0) {
            EXPECT_FALSE(transport.try_receive(any, 3).has_value());
            transport.barrier();
            transport.send(1, 3, bytes_of(1));
            transport.barrier();
        } else {
            EXPECT_FALSE(transport.try_receive(0, 3).has_value());
            transport.barrier();
            transport.barrier();
            EXPECT_FALSE(transport.try_receive(0, 4).has_value());
            EXPECT_FALSE(transport.try_receive(1, 3).has_value());
            EXPECT_TRUE(transport.try_receive(0, 3).has_value());
            EXPECT_FALSE(transport.try_receive(0, 3).has_value());
        }
    });
}

// ---- waiting ----

TEST(ShmTransport, WaitEndsWhenAMessageArrives) {
    run_job(2, [](ShmTransport& transport) {
        for (int round = 0; round < 300; ++round) {
            if (transport.rank() == 0) {
                transport.send(1, tag, bytes_of(round));
                (void)transport.receive(1, tag);
            } else {
                const auto begin = std::chrono::steady_clock::now();
                std::optional<Message> message;
                while (!(message = transport.try_receive(any, tag))) transport.wait(long_enough);
                ASSERT_LT(std::chrono::steady_clock::now() - begin, long_enough / 2) << "a wake-up was lost";
                ASSERT_EQ(value_of<int>(*message), round);
                transport.send(0, tag, {});
            }
        }
    });
}

TEST(ShmTransport, WakeOfAnotherThreadEndsAWait) {
    run_job(1, [](ShmTransport& transport) {
        for (int round = 0; round < 300; ++round) {
            std::atomic<bool> woken{false};
            std::thread other([&] {
                woken = true;
                transport.wake();
            });
            const auto begin = std::chrono::steady_clock::now();
            for (;;) {
                EXPECT_FALSE(transport.try_receive(any, any).has_value());
                if (woken) break;
                transport.wait(long_enough);
            }
            other.join();
            ASSERT_LT(std::chrono::steady_clock::now() - begin, long_enough / 2) << "a wake-up was lost";
        }
    });
}

TEST(ShmTransport, WaitEndsAfterItsLimit) {
    run_job(1, [](ShmTransport& transport) {
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_FALSE(transport.try_receive(any, any).has_value());
        transport.wait(5ms);
        EXPECT_LT(std::chrono::steady_clock::now() - begin, long_enough);
    });
}

// ---- departures ----

// The error of a wait that cannot end.
std::string text_of_departure(const std::function<void()>& waiting) {
    try {
        waiting();
    } catch (const RankDeparted& error) {
        return error.what();
    }
    ADD_FAILURE() << "no error";
    return {};
}

TEST(ShmDeparture, AReceiveFromARankThatLeavesNamesIt) {
    const JobMemory memory = JobMemory::create(3);
    run_some_ranks(memory, 3, [](ShmTransport& transport) {
        if (transport.rank() == 0) {
            const std::string text = text_of_departure([&] { (void)transport.receive(2, tag); });
            EXPECT_NE(text.find("rank 2"), std::string::npos) << text;
            EXPECT_NE(text.find("left"), std::string::npos) << text;
            EXPECT_NE(text.find("receive"), std::string::npos) << text;
            transport.send(1, tag, {});
        } else if (transport.rank() == 1) {
            (void)transport.receive(0, tag);
        }
    });
}

TEST(ShmDeparture, AReceiveFromARankThatDiesNamesIt) {
    const JobMemory memory = JobMemory::create(2);
    ShmTransport survivor(memory.share(), 0);
    memory.set_presence(1, Presence::present);
    std::thread launcher([&] { memory.mark_gone(1); });
    const std::string text = text_of_departure([&] { (void)survivor.receive(1, tag); });
    EXPECT_NE(text.find("rank 1"), std::string::npos) << text;
    EXPECT_NE(text.find("ended"), std::string::npos) << text;
    launcher.join();
}

TEST(ShmDeparture, WhatWasSentBeforeLeavingStillArrives) {
    const JobMemory memory = JobMemory::create(2);
    run_some_ranks(memory, 2, [](ShmTransport& transport) {
        constexpr int count = 50;
        if (transport.rank() == 1) {
            for (int i = 0; i < count; ++i) transport.send(0, tag, bytes_of(i));
        } else {
            for (int i = 0; i < count; ++i) EXPECT_EQ(value_of<int>(transport.receive(1, tag)), i);
            text_of_departure([&] { (void)transport.receive(1, tag); });
        }
    });
}

TEST(ShmDeparture, AReceiveFromAnyoneGoesOnWhileSomebodyIsThere) {
    const JobMemory memory = JobMemory::create(3);
    run_some_ranks(memory, 3, [](ShmTransport& transport) {
        if (transport.rank() == 1) return;
        if (transport.rank() == 2) {
            text_of_departure([&] { (void)transport.receive(1, tag); });  // rank 1 has left, for certain
            transport.send(0, tag, bytes_of(7));
        } else {
            EXPECT_EQ(value_of<int>(transport.receive(any, tag)), 7);
            const std::string text = text_of_departure([&] { (void)transport.receive(any, tag); });
            EXPECT_NE(text.find("all"), std::string::npos) << text;
        }
    });
}

TEST(ShmDeparture, AFullRingToARankThatLeavesEndsTheSend) {
    const JobMemory memory = JobMemory::create(2);
    run_some_ranks(memory, 2, [](ShmTransport& transport) {
        if (transport.rank() == 1) {
            (void)transport.receive(0, tag);
            return;
        }
        const Bytes bytes(10'000);
        const std::string text = text_of_departure([&] {
            for (int i = 0; i < 1'000; ++i) transport.send(1, tag, bytes);
        });
        EXPECT_NE(text.find("rank 1"), std::string::npos) << text;
        EXPECT_NE(text.find("send"), std::string::npos) << text;
    });
}

TEST(ShmDeparture, ALargeMessageToARankThatLeavesEndsTheSend) {
    const JobMemory memory = JobMemory::create(2);
    run_some_ranks(memory, 2, [](ShmTransport& transport) {
        if (transport.rank() == 1) return;
        const Bytes bytes(std::size_t{1} << 20);
        const std::string text = text_of_departure([&] { transport.send(1, tag, bytes); });
        EXPECT_NE(text.find("rank 1"), std::string::npos) << text;
    });
}

TEST(ShmDeparture, ABarrierWithoutARankIsAnError) {
    const JobMemory memory = JobMemory::create(4);
    run_some_ranks(memory, 4, [](ShmTransport& transport) {
        if (transport.rank() == 2) return;
        // Whoever waits for rank 2 learns of it, and then whoever waits for those.
        EXPECT_THROW(transport.barrier(), RankDeparted);
    });
}

// ---- what another rank wrote is not believed ----

struct RawHeader {
    std::uint32_t form;
    std::int32_t tag;
    std::uint64_t bytes, address, number;
};

// As rank 1 would, but wrong.
void write_raw(const JobMemory& memory, const RawHeader& header) {
    std::memcpy(memory.ring_bytes(1, 0), &header, sizeof header);
    memory.ring(1, 0).tail.store(sizeof header);
}

TEST(ShmDamage, ImpossiblePositionsAreRefused) {
    for (const std::uint64_t position : {std::uint64_t{1} << 40, ~std::uint64_t{0} - (std::uint64_t{1} << 30)}) {
        const JobMemory memory = JobMemory::create(2);
        ShmTransport transport(memory.share(), 0);
        memory.ring(1, 0).tail = position;
        EXPECT_THROW((void)transport.try_receive(any, any), rankpool::Error);
        memory.ring(0, 1).head = position;
        EXPECT_THROW(transport.send(1, tag, bytes_of(1)), rankpool::Error);
    }
}

TEST(ShmDamage, AMessageOfUnknownFormIsRefused) {
    const JobMemory memory = JobMemory::create(2);
    ShmTransport transport(memory.share(), 0);
    write_raw(memory, {99, tag, 0, 0, 0});
    EXPECT_THROW((void)transport.try_receive(any, any), rankpool::Error);
}

TEST(ShmDamage, AMessageOfImpossibleSizeIsRefused) {
    for (const std::uint32_t form : {1u, 2u}) {
        const JobMemory memory = JobMemory::create(2);
        ShmTransport transport(memory.share(), 0);
        write_raw(memory, {form, tag, std::uint64_t{1} << 60, 0, 0});
        EXPECT_THROW((void)transport.try_receive(any, any), rankpool::Error);
    }
}

TEST(ShmDamage, AMessageAtAnAddressThatCannotBeReadIsRefusedToItsSender) {
    const JobMemory memory = JobMemory::create(2);
    ShmTransport transport(memory.share(), 0);
    const ShmTransport sender(memory.share(), 1);
    write_raw(memory, {2, tag, 100'000, 16, 41});
    EXPECT_FALSE(transport.try_receive(any, any).has_value());
    RawHeader answer{};
    ASSERT_EQ(memory.ring(0, 1).tail, sizeof answer) << "no answer";
    std::memcpy(&answer, memory.ring_bytes(0, 1), sizeof answer);
    EXPECT_EQ(answer.form, 4u);
    EXPECT_EQ(answer.number, 41u);
}

}  // namespace
