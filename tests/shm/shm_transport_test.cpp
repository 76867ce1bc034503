// The shared-memory transport with its ranks as threads of one process: what a thread sanitizer can see.
#include "shm/shm_transport.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <rankpool/error.hpp>
#include "os/memory.hpp"
#include "shm/collective_area.hpp"
#include "spmd/departure.hpp"

using namespace std::chrono_literals;
using rankpool::Error;
using rankpool::Status;
using rankpool::comm::any;
using rankpool::comm::Fold;
using rankpool::comm::Message;
using rankpool::comm::Operation;
using rankpool::comm::Place;
using rankpool::comm::RankDeparted;
using rankpool::comm::Sizes;
using rankpool::comm::Transport;
using rankpool::shm::AreaPlace;
using rankpool::shm::CollectiveArea;
using rankpool::shm::Directory;
using rankpool::shm::Form;
using rankpool::shm::JobMemory;
using rankpool::shm::Presence;
using rankpool::shm::ShmTransport;
using rankpool::shm::slots_per_rank;
using rankpool::wire::Buffer;

namespace {

constexpr int tag = 5;
constexpr auto long_enough = 60s;
#ifdef __SANITIZE_THREAD__
constexpr auto hangs_after = 60s;
#else
constexpr auto hangs_after = 20s;
#endif

using Bytes = std::vector<std::byte>;
using Body = std::function<void(ShmTransport&)>;

std::size_t index_of(int rank) { return static_cast<std::size_t>(rank); }

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
void expect_same(std::span<const std::byte> arrived, std::span<const std::byte> expected) {
    ASSERT_EQ(arrived.size(), expected.size());
    if (expected.empty() || std::memcmp(arrived.data(), expected.data(), expected.size()) == 0) return;
    const auto first = std::mismatch(arrived.begin(), arrived.end(), expected.begin()).first - arrived.begin();
    ADD_FAILURE() << "of " << expected.size() << " bytes some are wrong, the first one at " << first;
}
void expect_pattern(std::span<const std::byte> arrived, std::size_t size, int rank, int number) {
    expect_same(arrived, pattern(size, rank, number));
}
Buffer buffer_of(std::span<const std::byte> bytes) {
    Buffer buffer;
    buffer.append(bytes.data(), bytes.size());
    return buffer;
}

// As where a process cannot be found: nobody can read this rank's memory.
void refuse_single_copy(const JobMemory& memory, int rank) { memory.rank_line(rank).pid = INT_MAX; }

// Ends the waits for every rank of a job that has not ended after a while.
class Watchdog {
  public:
    explicit Watchdog(const JobMemory& memory) : thread_([this, &memory] { watch(memory); }) {}
    ~Watchdog() {
        {
            std::lock_guard lock(mutex_);
            ended_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

  private:
    void watch(const JobMemory& memory) {
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, hangs_after, [&] { return ended_; })) return;
        ADD_FAILURE() << "the job hangs; its ranks are declared dead";
        for (int rank = 0; rank < memory.ranks(); ++rank) memory.mark_gone(rank);
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool ended_ = false;
    std::thread thread_;
};

// Some ranks of a job as threads. What one of them throws fails the test; it leaves then, which ends the others' waits.
void run_some_ranks(const JobMemory& memory, int ranks, const Body& body) {
    const Watchdog watchdog(memory);
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
void run_whole_job(const JobMemory& memory, const Body& body) {
    run_some_ranks(memory, memory.ranks(), [&](ShmTransport& transport) {
        body(transport);
        EXPECT_EQ(transport.finish(0), 0);
    });
}
void run_job(int ranks, const Body& body) { run_whole_job(JobMemory::create(ranks), body); }

// The same where the ranks cannot read each other's memory.
void run_job_without_single_copy(int ranks, const Body& body) {
    const JobMemory memory = JobMemory::create(ranks);
    run_whole_job(memory, [&](ShmTransport& transport) {
        refuse_single_copy(memory, transport.rank());
        body(transport);
    });
}

// Lets the others go ahead, as far as that goes.
void be_late(int turns = 50) {
    for (int turn = 0; turn < turns; ++turn) std::this_thread::yield();
}
void await_count(const std::atomic<int>& counter, int count) {
    const auto begin = std::chrono::steady_clock::now();
    while (counter < count) {
        if (std::chrono::steady_clock::now() - begin > hangs_after / 2) throw std::runtime_error("the others do not come");
        std::this_thread::yield();
    }
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

TEST(ShmTransport, MessagesOfEverySizeCrossEachOtherWhereSingleCopyIsRefused) {
    const JobMemory memory = JobMemory::create(2);
    run_some_ranks(memory, 2, [&](ShmTransport& transport) {
        refuse_single_copy(memory, transport.rank());
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

// ---- operations that were begun, probes ----

// Both ways of moving large messages.
void run_job_with_and_without_single_copy(int ranks, const Body& body) {
    run_job(ranks, body);
    run_job_without_single_copy(ranks, body);
}

TEST(ShmBegun, LargeMessagesCrossEachOther) {
    run_job_with_and_without_single_copy(2, [](ShmTransport& transport) {
        const int me = transport.rank(), other = 1 - me;
        for (int round = 0; round < 5; ++round) {
            std::vector<std::unique_ptr<Operation>> sends, receives;
            for (int i = 0; i < 4; ++i) sends.push_back(transport.start_send(other, i, buffer_of(pattern(200'000, me, i))));
            for (int i = 3; i >= 0; --i) receives.push_back(transport.start_receive(other, i, std::nullopt));
            for (int i = 3; i >= 0; --i) {
                Operation& receive = *receives[index_of(3 - i)];
                receive.wait();
                EXPECT_TRUE(receive.test());
                const Message message = receive.take();
                EXPECT_EQ(message.source, other);
                EXPECT_EQ(message.tag, i);
                expect_pattern(message.bytes, 200'000, other, i);
            }
            for (const auto& send : sends) {
                send->wait();
                EXPECT_TRUE(send->test());
            }
        }
    });
}

TEST(ShmBegun, TestMakesProgress) {
    run_job_with_and_without_single_copy(2, [](ShmTransport& transport) {
        const int me = transport.rank(), other = 1 - me;
        for (int round = 0; round < 5; ++round) {
            const auto receive = transport.start_receive(any, any, std::nullopt);
            const auto send = transport.start_send(other, round, buffer_of(pattern(500'000, me, round)));
            bool sent = false, received = false;
            while (!sent || !received) {
                sent = send->test();
                received = receive->test();
            }
            const Message message = receive->take();
            EXPECT_EQ(message.tag, round);
            expect_pattern(message.bytes, 500'000, other, round);
            transport.barrier();
        }
    });
}

TEST(ShmBegun, AReceiveIsNotCompleteBeforeItsMessage) {
    run_job(2, [](ShmTransport& transport) {
        if (transport.rank() == 0) {
            transport.barrier();
            transport.send(1, 4, bytes_of(4));
            transport.barrier();
            transport.barrier();
            transport.send(1, 3, bytes_of(3));
        } else {
            const auto receive = transport.start_receive(0, 3, std::nullopt);
            EXPECT_FALSE(receive->test());
            transport.barrier();
            transport.barrier();
            EXPECT_FALSE(receive->test());  // the message with tag 4 is not meant
            transport.barrier();
            EXPECT_EQ(value_of<int>(transport.receive(0, 4)), 4);
            receive->wait();
            EXPECT_EQ(value_of<int>(receive->take()), 3);
        }
    });
}

TEST(ShmBegun, ReceivesTakeMessagesInTheOrderInWhichTheyWereBegun) {
    run_job(2, [](ShmTransport& transport) {
        if (transport.rank() == 0) {
            transport.barrier();
            for (int i = 0; i < 6; ++i) transport.send(1, tag, bytes_of(i));
        } else {
            const auto first = transport.start_receive(0, tag, std::nullopt), second = transport.start_receive(any, tag, std::nullopt);
            const auto third = transport.start_receive(any, any, std::nullopt);
            transport.barrier();
            EXPECT_EQ(value_of<int>(transport.receive(0, tag)), 3);
            const auto late = transport.start_receive(0, tag, std::nullopt);
            late->wait();
            third->wait();
            second->wait();
            first->wait();
            EXPECT_EQ(value_of<int>(first->take()), 0);
            EXPECT_EQ(value_of<int>(second->take()), 1);
            EXPECT_EQ(value_of<int>(third->take()), 2);
            EXPECT_EQ(value_of<int>(late->take()), 4);
            EXPECT_EQ(value_of<int>(transport.receive(0, tag)), 5);
        }
    });
}

TEST(ShmBegun, AReceiveThatIsDroppedLeavesItsMessage) {
    run_job(2, [](ShmTransport& transport) {
        if (transport.rank() == 0) {
            transport.barrier();
            for (int i = 0; i < 3; ++i) transport.send(1, tag, bytes_of(i));
            transport.send(1, 9, {});
        } else {
            {
                const auto nothing_yet = transport.start_receive(0, tag, std::nullopt);
                EXPECT_FALSE(nothing_yet->test());
            }
            auto dropped = transport.start_receive(0, tag, std::nullopt);
            transport.barrier();
            (void)transport.receive(0, 9);
            EXPECT_TRUE(dropped->test());
            dropped.reset();
            for (int i = 0; i < 3; ++i) EXPECT_EQ(value_of<int>(transport.receive(0, tag)), i);
        }
    });
}

TEST(ShmBegun, AReceiveThatIsDroppedHandsItsMessageToTheNextOne) {
    run_job(1, [](ShmTransport& transport) {
        auto dropped = transport.start_receive(0, tag, std::nullopt);
        const auto next = transport.start_receive(0, any, std::nullopt);
        transport.send(0, tag, bytes_of(1));
        EXPECT_TRUE(dropped->test());
        EXPECT_FALSE(next->test());
        dropped.reset();
        EXPECT_TRUE(next->test());
        EXPECT_EQ(value_of<int>(next->take()), 1);
        EXPECT_FALSE(transport.try_receive(any, any).has_value());
    });
}

TEST(ShmBegun, ASendThatIsDroppedArrives) {
    run_job_with_and_without_single_copy(2, [](ShmTransport& transport) {
        for (int round = 0; round < 5; ++round) {
            if (transport.rank() == 0)
                (void)transport.start_send(1, tag, buffer_of(pattern(300'000, 0, round)));
            else
                expect_pattern(transport.receive(0, tag).bytes, 300'000, 0, round);
        }
    });
}

TEST(ShmBegun, MessagesToItselfAreCompleteAtOnce) {
    run_job(1, [](ShmTransport& transport) {
        const auto receive = transport.start_receive(0, tag, std::nullopt);
        EXPECT_FALSE(receive->test());
        EXPECT_TRUE(transport.start_send(0, tag, buffer_of(pattern(100'000, 0, 0)))->test());
        EXPECT_TRUE(receive->test());
        expect_pattern(receive->take().bytes, 100'000, 0, 0);
    });
}

// The receiver of each message comes to the operation only when it has it.
TEST(ShmBegun, ASendMovesWhileItsRankWaitsInACollective) {
    run_job_with_and_without_single_copy(3, [](ShmTransport& transport) {
        constexpr std::size_t size = 400'000;
        for (int round = 0; round < 3; ++round) {
            if (transport.rank() == 0) {
                const auto one = transport.start_send(1, tag, buffer_of(pattern(size, 0, 1)));
                const auto two = transport.start_send(2, tag, buffer_of(pattern(size, 0, 2)));
                transport.barrier();
                EXPECT_TRUE(one->test());
                EXPECT_TRUE(two->test());
            } else {
                expect_pattern(transport.receive(0, tag).bytes, size, 0, transport.rank());
                transport.barrier();
            }
        }
    });
}

// The sender of each message comes to the operation only when it is rid of it.
TEST(ShmBegun, AReceiveMovesWhileItsRankWaitsInACollective) {
    run_job_with_and_without_single_copy(3, [](ShmTransport& transport) {
        constexpr std::size_t size = 400'000;
        for (int round = 0; round < 3; ++round) {
            if (transport.rank() == 0) {
                const auto one = transport.start_receive(1, tag, std::nullopt), two = transport.start_receive(2, tag, std::nullopt);
                transport.barrier();
                one->wait();
                two->wait();
                expect_pattern(one->take().bytes, size, 1, round);
                expect_pattern(two->take().bytes, size, 2, round);
            } else {
                transport.send(0, tag, pattern(size, transport.rank(), round));
                transport.barrier();
            }
        }
    });
}

TEST(ShmProbe, TellsOfAMessageAndLeavesIt) {
    run_job(3, [](ShmTransport& transport) {
        if (transport.rank() > 0) {
            transport.barrier();
            transport.send(0, 10 + transport.rank(), Bytes(index_of(transport.rank()) * 50'000));
            transport.barrier();
        } else {
            EXPECT_FALSE(transport.try_probe(any, any).has_value());
            transport.barrier();
            for (const int source : {2, 1}) {
                const Status status = transport.probe(source, any);
                EXPECT_EQ(status.source, source);
                EXPECT_EQ(status.tag, 10 + source);
                EXPECT_EQ(status.bytes, index_of(source) * 50'000);
                EXPECT_EQ(transport.probe(any, 10 + source).source, source);
                EXPECT_FALSE(transport.try_probe(source, tag).has_value());
            }
            EXPECT_EQ(transport.receive(2, any).bytes.size(), 100'000u);
            const auto left = transport.try_probe(any, any);
            ASSERT_TRUE(left.has_value());
            EXPECT_EQ(left->source, 1);
            EXPECT_EQ(transport.receive(left->source, left->tag).bytes.size(), left->bytes);
            EXPECT_FALSE(transport.try_probe(any, any).has_value());
            transport.barrier();
        }
    });
}

TEST(ShmProbe, DoesNotSeeWhatABegunReceiveGets) {
    run_job(1, [](ShmTransport& transport) {
        const auto receive = transport.start_receive(any, tag, std::nullopt);
        transport.send(0, tag, {});
        EXPECT_FALSE(transport.try_probe(any, any).has_value());
        transport.send(0, tag, {});
        EXPECT_TRUE(transport.try_probe(any, any).has_value());
        receive->wait();
        EXPECT_EQ(receive->take().tag, tag);
        EXPECT_TRUE(transport.try_receive(any, any).has_value());
    });
}

TEST(ShmTransport, AReceiveOfKnownSizeTakesNoOtherSize) {
    run_job(2, [](ShmTransport& transport) {
        const int me = transport.rank(), other = 1 - me;
        for (const std::size_t size : {std::size_t{0}, std::size_t{100}, std::size_t{100'000}}) {
            transport.send(other, tag, pattern(size, me, 0));
            Bytes bytes(size);
            const Status status = transport.receive_into(any, tag, bytes);
            EXPECT_EQ(status.source, other);
            EXPECT_EQ(status.bytes, size);
            expect_pattern(bytes, size, other, 0);
        }
        transport.send(other, tag, bytes_of(1));
        Bytes five(5);
        EXPECT_THROW(transport.receive_into(other, tag, five), Error);
    });
}

TEST(ShmTransport, TheLibrarysTagsAreNotThoseOfAnybody) {
    run_job(1, [](ShmTransport& transport) {
        transport.send(0, rankpool::comm::tag_pool, bytes_of(1));
        EXPECT_FALSE(transport.try_receive(any, any).has_value());
        EXPECT_FALSE(transport.try_probe(0, any).has_value());
        transport.send(0, rankpool::largest_tag, bytes_of(2));
        EXPECT_EQ(value_of<int>(transport.receive(any, any)), 2);
        EXPECT_EQ(value_of<int>(transport.receive(any, rankpool::comm::tag_pool)), 1);
    });
}

// ---- collectives: what each of them has to bring ----

// What `source` has for `destination` in an operation; `number` tells operations apart.
Bytes block(std::size_t size, int source, int destination, int number) { return pattern(size, source, 64 * number + destination); }

// Parts of any size: some are empty.
std::size_t part_size(std::size_t size, int source, int destination) {
    const int kind = (source + destination) % 4;
    return kind == 1 ? 0 : kind == 2 ? size / 2 : size;
}
Bytes part(std::size_t size, int source, int destination, int number) {
    return block(part_size(size, source, destination), source, destination, number);
}

using PartOf = Bytes (*)(std::size_t size, int source, int destination, int number);

// Of all ranks, one behind the other.
struct Row {
    std::vector<std::size_t> sizes;
    Bytes bytes;
    void append(const Bytes& more) {
        sizes.push_back(more.size());
        bytes.insert(bytes.end(), more.begin(), more.end());
    }
};
Row row_from(PartOf part_of, std::size_t size, int source, int ranks, int number) {
    Row row;
    for (int rank = 0; rank < ranks; ++rank) row.append(part_of(size, source, rank, number));
    return row;
}
Row row_to(PartOf part_of, std::size_t size, int destination, int ranks, int number) {
    Row row;
    for (int rank = 0; rank < ranks; ++rank) row.append(part_of(size, rank, destination, number));
    return row;
}

// Makes room for what arrives.
struct Arrival {
    Row row;
    int calls = 0;
    Place place() {
        return [this](Sizes sizes) {
            ++calls;
            row.sizes.assign(sizes.begin(), sizes.end());
            row.bytes.resize(std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}));
            return row.bytes.data();
        };
    }
    void expect(const Row& expected) const {
        EXPECT_EQ(calls, 1);
        EXPECT_EQ(row.sizes, expected.sizes);
        expect_same(row.bytes, expected.bytes);
    }
};
Row single(const Bytes& bytes) {
    Row row;
    row.append(bytes);
    return row;
}

// The caller's memory is its own again when an operation returns.
void spoil(Bytes& bytes) { std::fill(bytes.begin(), bytes.end(), std::byte{0xee}); }

// Functions x -> factor * x + summand, the left one applied first: the order counts, the brackets do not.
template <class Word>
struct Affine {
    Word factor, summand;
    static Affine composed(Affine first, Affine then) {
        return {static_cast<Word>(then.factor * first.factor), static_cast<Word>(then.factor * first.summand + then.summand)};
    }
};
void compose_words(const void*, std::byte* left, const std::byte* right, std::size_t count) {
    using Function = Affine<std::uint32_t>;
    for (std::size_t i = 0; i < count; ++i) {
        Function first{}, then{};
        std::memcpy(&first, left + i * sizeof first, sizeof first);
        std::memcpy(&then, right + i * sizeof then, sizeof then);
        first = Function::composed(first, then);
        std::memcpy(left + i * sizeof first, &first, sizeof first);
    }
}
// The same modulo 16, a function in each byte; `op` says how many of them are an element.
void compose_bytes(const void* op, std::byte* left, const std::byte* right, std::size_t count) {
    using Function = Affine<unsigned>;
    const auto function_of = [](std::byte byte) {
        return Function{std::to_integer<unsigned>(byte) >> 4, std::to_integer<unsigned>(byte) & 15u};
    };
    for (std::size_t i = 0; i < count * *static_cast<const std::size_t*>(op); ++i) {
        const Function both = Function::composed(function_of(left[i]), function_of(right[i]));
        left[i] = static_cast<std::byte>((both.factor & 15u) << 4 | (both.summand & 15u));
    }
}
Fold fold_of_bytes(const std::size_t& element_size) {
    return {.element_size = element_size, .apply = compose_bytes, .op = &element_size, .name = "compose"};
}
Fold fold_for(std::size_t size) {
    static constexpr std::size_t one = 1;
    return size % 8 == 0 ? Fold{.element_size = 8, .apply = compose_words, .name = "compose"} : fold_of_bytes(one);
}
Bytes folded(std::size_t size, int ranks, int number, const Fold& fold) {
    Bytes left = pattern(size, 0, number);
    for (int rank = 1; rank < ranks; ++rank) fold(left.data(), pattern(size, rank, number).data(), size / fold.element_size);
    return left;
}

// One operation of each kind, with what arrives.

void do_barrier(Transport& transport, std::size_t, int, int) { transport.barrier(); }

void do_bcast(Transport& transport, std::size_t size, int root, int number) {
    Bytes bytes = transport.rank() == root ? pattern(size, root, number) : Bytes(size);
    transport.bcast(bytes, root);
    expect_pattern(bytes, size, root, number);
    spoil(bytes);
}

void do_scatter(Transport& transport, std::size_t size, int root, int number) {
    Row send;
    if (transport.rank() == root) send = row_from(block, size, root, transport.size(), number);
    Bytes arrived(size);
    transport.scatter(send.bytes, arrived, root);
    spoil(send.bytes);
    expect_same(arrived, block(size, root, transport.rank(), number));
}

void do_gather(Transport& transport, std::size_t size, int root, int number) {
    const bool at_root = transport.rank() == root;
    Bytes send = block(size, transport.rank(), root, number), arrived(at_root ? size * index_of(transport.size()) : 0);
    transport.gather(send, arrived, root);
    spoil(send);
    if (at_root) expect_same(arrived, row_to(block, size, root, transport.size(), number).bytes);
}

void do_allgather(Transport& transport, std::size_t size, int, int number) {
    Bytes send = block(size, transport.rank(), 0, number), arrived(size * index_of(transport.size()));
    transport.allgather(send, arrived);
    spoil(send);
    expect_same(arrived, row_to(block, size, 0, transport.size(), number).bytes);
}

void do_alltoall(Transport& transport, std::size_t size, int, int number) {
    Row send = row_from(block, size, transport.rank(), transport.size(), number);
    Bytes arrived(send.bytes.size());
    transport.alltoall(send.bytes, arrived);
    spoil(send.bytes);
    expect_same(arrived, row_to(block, size, transport.rank(), transport.size(), number).bytes);
}

void do_reduce(Transport& transport, std::size_t size, int root, int number) {
    const bool at_root = transport.rank() == root;
    const Fold fold = fold_for(size);
    Bytes send = pattern(size, transport.rank(), number), result(at_root ? size : 0);
    transport.reduce(send, result, fold, root);
    expect_pattern(send, size, transport.rank(), number);
    spoil(send);
    if (at_root) expect_same(result, folded(size, transport.size(), number, fold));
}

void do_reduce_in_place(Transport& transport, std::size_t size, int root, int number) {
    const Fold fold = fold_for(size);
    Bytes row = pattern(size, transport.rank(), number);
    transport.reduce(row, row, fold, root);
    expect_same(row, transport.rank() == root ? folded(size, transport.size(), number, fold) : pattern(size, transport.rank(), number));
    spoil(row);
}

void do_allreduce(Transport& transport, std::size_t size, int, int number) {
    const Fold fold = fold_for(size);
    Bytes send = pattern(size, transport.rank(), number), result(size);
    transport.allreduce(send, result, fold);
    expect_pattern(send, size, transport.rank(), number);
    spoil(send);
    expect_same(result, folded(size, transport.size(), number, fold));
}

void do_allreduce_in_place(Transport& transport, std::size_t size, int, int number) {
    const Fold fold = fold_for(size);
    Bytes row = pattern(size, transport.rank(), number);
    transport.allreduce(row, row, fold);
    expect_same(row, folded(size, transport.size(), number, fold));
    spoil(row);
}

void do_bcastv(Transport& transport, std::size_t size, int root, int number) {
    const bool at_root = transport.rank() == root;
    Bytes send = at_root ? pattern(size, root, number) : Bytes{};
    Arrival arrival;
    transport.bcastv(send, arrival.place(), root, 1);
    spoil(send);
    if (at_root)
        EXPECT_EQ(arrival.calls, 0);
    else
        arrival.expect(single(pattern(size, root, number)));
}

void do_scatterv(Transport& transport, std::size_t size, int root, int number) {
    Row send;
    if (transport.rank() == root) send = row_from(part, size, root, transport.size(), number);
    Arrival arrival;
    transport.scatterv(send.bytes.data(), send.sizes, arrival.place(), root, 1);
    spoil(send.bytes);
    arrival.expect(single(part(size, root, transport.rank(), number)));
}

void do_gatherv(Transport& transport, std::size_t size, int root, int number) {
    Bytes send = part(size, transport.rank(), root, number);
    Arrival arrival;
    transport.gatherv(send, arrival.place(), root, 1);
    spoil(send);
    if (transport.rank() == root)
        arrival.expect(row_to(part, size, root, transport.size(), number));
    else
        EXPECT_EQ(arrival.calls, 0);
}

void do_allgatherv(Transport& transport, std::size_t size, int, int number) {
    Bytes send = part(size, transport.rank(), 0, number);
    Arrival arrival;
    transport.allgatherv(send, arrival.place(), 1);
    spoil(send);
    arrival.expect(row_to(part, size, 0, transport.size(), number));
}

void do_alltoallv(Transport& transport, std::size_t size, int, int number) {
    Row send = row_from(part, size, transport.rank(), transport.size(), number);
    Arrival arrival;
    transport.alltoallv(send.bytes.data(), send.sizes, arrival.place(), 1);
    spoil(send.bytes);
    arrival.expect(row_to(part, size, transport.rank(), transport.size(), number));
}

struct Collective {
    const char* name;
    bool has_root;
    void (*run)(Transport& transport, std::size_t size, int root, int number);
};
constexpr std::array collectives{
    Collective{"Barrier", false, do_barrier},
    Collective{"Bcast", true, do_bcast},
    Collective{"Scatter", true, do_scatter},
    Collective{"Gather", true, do_gather},
    Collective{"Allgather", false, do_allgather},
    Collective{"Alltoall", false, do_alltoall},
    Collective{"Reduce", true, do_reduce},
    Collective{"ReduceInPlace", true, do_reduce_in_place},
    Collective{"Allreduce", false, do_allreduce},
    Collective{"AllreduceInPlace", false, do_allreduce_in_place},
    Collective{"Bcastv", true, do_bcastv},
    Collective{"Scatterv", true, do_scatterv},
    Collective{"Gatherv", true, do_gatherv},
    Collective{"Allgatherv", false, do_allgatherv},
    Collective{"Alltoallv", false, do_alltoallv},
};

// Around everything that is decided by size: a slot (104 bytes; 13 of each of 8 ranks), a cell (32 KiB; 4 KiB of each of 8
// ranks), what a reduction's root folds alone (8 KiB), and far beyond.
constexpr std::size_t block_sizes[]{0, 1, 8, 13, 104, 105, 4 << 10, (8 << 10) + 8, 32 << 10, (32 << 10) + 1, 300'000};

// ---- collectives: in every setting ----

enum class Copying : std::uint8_t { single, refused };
// How ranks hear of each other's arrival is decided by the number of CPUs; here it is decided by the test.
enum class Hearing : std::uint32_t { one_by_one = 1, counted = 2 };

void decide(const JobMemory& memory, Hearing hearing) {
    CollectiveArea(memory.area(0, memory.ranks()), memory.ranks()).header().counted = static_cast<std::uint32_t>(hearing);
}

using Setting = std::tuple<int, Copying, Hearing>;
std::string name_of(const Setting& setting) {
    const auto [ranks, copying, hearing] = setting;
    return std::to_string(ranks) + (copying == Copying::single ? "SingleCopy" : "Messages") +
           (hearing == Hearing::counted ? "Counted" : "OneByOne");
}
void run_job_in(const Setting& setting, const Body& body) {
    const auto [ranks, copying, hearing] = setting;
    const JobMemory memory = JobMemory::create(ranks);
    decide(memory, hearing);
    run_whole_job(memory, [&, refused = copying == Copying::refused](ShmTransport& transport) {
        if (refused) refuse_single_copy(memory, transport.rank());
        body(transport);
    });
}
const auto all_settings = testing::Combine(testing::Values(1, 2, 3, 5, 8), testing::Values(Copying::single, Copying::refused),
                                           testing::Values(Hearing::one_by_one, Hearing::counted));

class ShmEachCollective : public testing::TestWithParam<std::tuple<Setting, Collective>> {};
INSTANTIATE_TEST_SUITE_P(Settings, ShmEachCollective, testing::Combine(all_settings, testing::ValuesIn(collectives)),
                         [](const auto& test) { return name_of(std::get<0>(test.param)) + std::get<1>(test.param).name; });

TEST_P(ShmEachCollective, BringsBlocksOfEverySizeFromEveryRoot) {
    const auto& setting = std::get<0>(GetParam());
    const auto& collective = std::get<1>(GetParam());
    run_job_in(setting, [&](ShmTransport& transport) {
        int number = 0;
        for (const std::size_t size : block_sizes)
            for (int root = 0; root < (collective.has_root ? transport.size() : 1); ++root) {
                SCOPED_TRACE(testing::Message() << size << " bytes, root " << root << ", at rank " << transport.rank());
                collective.run(transport, size, root, ++number);
                if (number % 3 == 0) transport.barrier();  // operations of two steps begin with even ones, too
            }
    });
}

// The first operation of a job, when it is not yet known whether there is single copy.
TEST_P(ShmEachCollective, CanBeTheFirstOne) {
    const auto& setting = std::get<0>(GetParam());
    const auto& collective = std::get<1>(GetParam());
    for (const std::size_t size : {std::size_t{8}, std::size_t{100'000}})
        run_job_in(setting, [&](ShmTransport& transport) { collective.run(transport, size, transport.size() - 1, 1); });
}

class ShmCollectives : public testing::TestWithParam<Setting> {};
INSTANTIATE_TEST_SUITE_P(Settings, ShmCollectives, all_settings, [](const auto& test) { return name_of(test.param); });

TEST_P(ShmCollectives, NobodyPassesABarrierBeforeEverybodyHasComeToIt) {
    std::atomic<int> arrived{0};
    run_job_in(GetParam(), [&](ShmTransport& transport) {
        for (int round = 1; round <= 100; ++round) {
            ++arrived;
            transport.barrier();
            EXPECT_GE(arrived, round * transport.size());
            transport.barrier();
            EXPECT_LE(arrived, round * transport.size());
            transport.barrier();
        }
    });
}

// Operation number `number` of a sequence with changing roots and sizes, in which every kind follows every other.
constexpr int all_pairs = static_cast<int>(2 * collectives.size() * collectives.size());
void do_number(Transport& transport, int number, std::size_t largest) {
    const auto count = static_cast<int>(collectives.size());
    const Collective& collective = collectives[index_of((number / 2 + (number % 2 == 0 ? 0 : number / 2 / count)) % count)];
    std::size_t size = block_sizes[index_of(number * 7 % static_cast<int>(std::size(block_sizes)))];
    if (size > largest) size = index_of(number) % (largest + 1);
    const int root = (number + number / 3) % transport.size();
    SCOPED_TRACE(testing::Message() << collective.name << ", number " << number << ", " << size << " bytes, root " << root << ", at rank "
                                    << transport.rank());
    collective.run(transport, size, root, number);
}

TEST_P(ShmCollectives, OperationsOfAllKindsInARowDoNotMix) {
    run_job_in(GetParam(), [](ShmTransport& transport) {
        for (int number = 0; number < all_pairs; ++number) do_number(transport, number, 40'000);
    });
}

TEST_P(ShmCollectives, SmallOperationsOfAllKindsInARowDoNotMix) {
    run_job_in(GetParam(), [](ShmTransport& transport) {
        for (int number = 0; number < 2 * all_pairs; ++number) do_number(transport, number, 105);
    });
}

TEST_P(ShmCollectives, ARankMayBeLateEveryTime) {
    for (int late = 0; late < std::get<0>(GetParam()); late += 2)
        run_job_in(GetParam(), [&](ShmTransport& transport) {
            for (int number = 0; number < 100; ++number) {
                if (transport.rank() == late) be_late();
                do_number(transport, number, 40'000);
            }
        });
}

TEST_P(ShmCollectives, AnotherRankMayBeLateEachTime) {
    run_job_in(GetParam(), [](ShmTransport& transport) {
        for (int number = 0; number < 225; ++number) {
            if (number % 5 % transport.size() == transport.rank()) be_late();
            do_number(transport, number, 5'000);
        }
    });
}

// ---- collectives: running ahead ----

// Of these, every rank's contributions are where it needs not wait for their readers.
constexpr std::size_t sizes_ahead[]{8, 0, 104, 105, 4'000, 32 << 10, 1};
std::size_t size_ahead(int number) { return sizes_ahead[index_of(number) % std::size(sizes_ahead)]; }

TEST_P(ShmCollectives, ARootRunsAheadOfItsReaders) {
    run_job_in(GetParam(), [](ShmTransport& transport) {
        const int root = transport.size() / 2;
        for (int number = 0; number < 100; ++number) {
            if (transport.rank() != root) be_late(20);
            do_bcast(transport, size_ahead(number), root, number);
        }
    });
}

TEST_P(ShmCollectives, RanksRunAheadOfTheRootThatGathers) {
    run_job_in(GetParam(), [](ShmTransport& transport) {
        const int root = transport.size() / 2;
        for (int number = 0; number < 100; ++number) {
            if (transport.rank() == root) be_late(20);
            (number % 3 == 0 ? do_reduce : number % 3 == 1 ? do_gather : do_gatherv)(transport, size_ahead(number) / 4, root, number);
        }
    });
}

TEST_P(ShmCollectives, ScattersAndGathersMixAndRunAhead) {
    run_job_in(GetParam(), [](ShmTransport& transport) {
        for (int number = 0; number < 200; ++number) {
            const int root = number / 10 % transport.size();
            if (number / 25 % transport.size() == transport.rank()) be_late(20);
            (number % 2 == 0 ? do_scatter : do_gather)(transport, size_ahead(number) / 8, root, number);
        }
    });
}

// As many operations as half of the slots are done without a rank that only reads, and it finds what they brought.
TEST_P(ShmCollectives, NobodyNeedsAReaderToGoOn) {
    constexpr int ahead = static_cast<int>(slots_per_rank) / 2;
    std::atomic<int> done{0};
    run_job_in(GetParam(), [&](ShmTransport& transport) {
        const int reader = transport.size() - 1;
        for (int round = 0; round < 10; ++round) {
            const bool gathers = round % 2 == 1;
            for (int number = 0; number <= round % 4; ++number) transport.barrier();
            if (transport.rank() == reader && reader > 0) await_count(done, (round + 1) * ahead * reader);
            for (int number = 0; number < ahead; ++number) {
                if (gathers)
                    do_gather(transport, size_ahead(number + round), reader, number);
                else
                    do_bcast(transport, size_ahead(number + round), 0, number);
                if (transport.rank() != reader) ++done;
            }
        }
    });
}

// A rank that only reads comes to operations whose number falls on the slot of one that is not over: it may be counted
// there, but must not be taken for the one that is missing.
TEST_P(ShmCollectives, ARankThatIsFarAheadIsNotTakenForTheOneThatIsMissing) {
    std::atomic<int> far_ahead{0};
    run_job_in(GetParam(), [&](ShmTransport& transport) {
        const int gatherer = 0, source = transport.size() > 2 ? 1 : 0, missing = transport.size() - 1;
        const bool reads_only = transport.rank() != gatherer && transport.rank() != source && transport.rank() != missing;
        constexpr int slots = static_cast<int>(slots_per_rank);
        for (int round = 0; round < 20; ++round) {
            for (int number = 0; number <= round % 4; ++number) transport.barrier();
            if (transport.rank() == missing && transport.size() > 3) {
                await_count(far_ahead, (round + 1) * (transport.size() - 3));
                be_late(200);
            }
            do_gather(transport, 8, gatherer, round);
            for (int number = 0; number < slots; ++number) {
                if (reads_only && number == slots / 2 - 1) ++far_ahead;
                do_bcast(transport, 8, source, number);
            }
        }
    });
}

// ---- collectives: reductions ----

// No operation whose brackets could be moved.
void subtract(const void*, std::byte* left, const std::byte* right, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        double a = 0, b = 0;
        std::memcpy(&a, left + i * sizeof a, sizeof a);
        std::memcpy(&b, right + i * sizeof b, sizeof b);
        a -= b;
        std::memcpy(left + i * sizeof a, &a, sizeof a);
    }
}

TEST_P(ShmCollectives, ReductionsFoldFromTheLeft) {
    run_job_in(GetParam(), [](ShmTransport& transport) {
        const Fold fold{.element_size = sizeof(double), .apply = subtract, .name = "minus"};
        const auto value = [](int rank, std::size_t at) { return 1000.0 * rank * rank + static_cast<double>(at); };
        for (const std::size_t count : {std::size_t{1}, std::size_t{300}, std::size_t{2'000}, std::size_t{30'000}}) {
            std::vector<double> row(count), all(count), at_root(count), expected(count);
            for (std::size_t at = 0; at < count; ++at) {
                row[at] = value(transport.rank(), at);
                expected[at] = value(0, at);
                for (int rank = 1; rank < transport.size(); ++rank) expected[at] -= value(rank, at);
            }
            transport.allreduce(std::as_bytes(std::span(row)), std::as_writable_bytes(std::span(all)), fold);
            EXPECT_EQ(all, expected);
            transport.reduce(std::as_bytes(std::span(row)), std::as_writable_bytes(std::span(at_root)), fold, 0);
            EXPECT_TRUE(transport.rank() != 0 || at_root == expected);
        }
    });
}

// Of elements that are larger than what is folded at once, and of fewer elements than ranks.
TEST_P(ShmCollectives, ReductionsOfLargeElements) {
    run_job_in(GetParam(), [](ShmTransport& transport) {
        int number = 0;
        constexpr std::pair<std::size_t, std::size_t> cases[]{{3, 1}, {3, 7}, {7'001, 1}, {7'001, 9}, {100'000, 1}, {100'000, 3}};
        for (const auto& [element, count] : cases) {
            const Fold fold = fold_of_bytes(element);
            const std::size_t size = element * count;
            const Bytes send = pattern(size, transport.rank(), ++number), expected = folded(size, transport.size(), number, fold);
            Bytes all(size), at_root(size);
            transport.allreduce(send, all, fold);
            expect_same(all, expected);
            for (int round = 0; round < 3; ++round) {
                transport.reduce(send, at_root, fold, transport.size() - 1);
                if (transport.rank() == transport.size() - 1) expect_same(at_root, expected);
                transport.barrier();
            }
        }
    });
}

// ---- collectives: other settings ----

// Smaller cells, and ranks that are counted in any case.
TEST(ShmManyRanks, DoEveryCollective) {
    constexpr int ranks = 20;
    const std::size_t cell = CollectiveArea::cell_bytes_for(ranks);
    for (const Copying copying : {Copying::single, Copying::refused})
        run_job_in({ranks, copying, Hearing::counted}, [&](ShmTransport& transport) {
            int number = 0;
            for (const Collective& collective : collectives)
                for (const std::size_t size : {std::size_t{8}, std::size_t{1000}, cell, cell + 1}) {
                    collective.run(transport, size, number % ranks, number);
                    ++number;
                }
        });
}

TEST(ShmSingleCopy, IsUsedWhereItIsPossible) {
    for (const Copying copying : {Copying::single, Copying::refused}) {
        const JobMemory memory = JobMemory::create(2);
        run_whole_job(memory, [&](ShmTransport& transport) {
            if (copying == Copying::refused) refuse_single_copy(memory, transport.rank());
            do_bcast(transport, 100'000, 0, 1);
            if (transport.rank() > 0) return;
            const auto& slots = CollectiveArea(memory.area(0, 2), 2).state(0).slots;
            const auto shows = [&](Form form) { return std::ranges::find(slots, form, &rankpool::shm::Slot::form) != std::end(slots); };
            EXPECT_EQ(shows(Form::elsewhere), copying == Copying::single);
            EXPECT_EQ(shows(Form::by_message), copying == Copying::refused);
        });
    }
}

// Where one rank cannot be read, nobody is.
TEST(ShmSingleCopy, IsForAllOrForNobody) {
    for (int unreadable = 0; unreadable < 3; ++unreadable) {
        const JobMemory memory = JobMemory::create(3);
        run_whole_job(memory, [&](ShmTransport& transport) {
            if (transport.rank() == unreadable) refuse_single_copy(memory, unreadable);
            for (int number = 0; number < 45; ++number) do_number(transport, number, 300'000);
            const auto halves = transport.split(transport.rank() / 2, 0);
            for (int number = 0; number < 45; ++number) do_number(*halves, number, 300'000);
        });
    }
}

// An operation that throws on one rank only: the others' calls end too, those that copy at the same time included.
TEST(ShmReduce, WhoseOperationThrowsOnOneRankEndsOnAll) {
    constexpr int ranks = 3, root = 1;
    for (const Hearing hearing : {Hearing::one_by_one, Hearing::counted})
        for (int thrower = 0; thrower < ranks; ++thrower)
            run_job_in({ranks, Copying::single, hearing}, [&](ShmTransport& transport) {
                const bool throws = transport.rank() == thrower;
                Fold fold;
                fold.element_size = 8;
                fold.op = &throws;
                fold.apply = [](const void* op, std::byte*, const std::byte*, std::size_t) {
                    if (*static_cast<const bool*>(op)) throw std::domain_error("no sum");
                };
                const Bytes row(1'200'000);
                Bytes result(transport.rank() == root ? row.size() : 0);
                if (throws)
                    EXPECT_THROW(transport.reduce(row, result, fold, root), std::domain_error);
                else if (transport.rank() == root)
                    EXPECT_THROW(transport.reduce(row, result, fold, root), Error);
                else
                    EXPECT_NO_THROW(transport.reduce(row, result, fold, root));
                transport.barrier();
                do_allgather(transport, 8, 0, 1);
            });
}

TEST(ShmCollectivesOfDifferentSizes, AreRefused) {
    const auto expect_disagreement = [](const std::function<void()>& operation) {
        try {
            operation();
            ADD_FAILURE() << "no error";
        } catch (const RankDeparted& error) {
            ADD_FAILURE() << error.what();
        } catch (const Error& error) {
            EXPECT_NE(std::string(error.what()).find("the ranks disagree in "), std::string::npos) << error.what();
        }
    };
    for (const Hearing hearing : {Hearing::one_by_one, Hearing::counted})
        for (const std::size_t size : {std::size_t{40}, std::size_t{20'000}})
            run_job_in({2, Copying::single, hearing}, [&](ShmTransport& transport) {
                const int me = transport.rank();
                const Fold fold = fold_for(8);
                Bytes bytes(size + 8 * index_of(me)), twice(2 * bytes.size());
                if (me == 0)
                    transport.bcast(bytes, 0);
                else
                    expect_disagreement([&] { transport.bcast(bytes, 0); });
                if (me == 0)
                    transport.scatter(twice, bytes, 0);
                else
                    expect_disagreement([&] { transport.scatter({}, bytes, 0); });
                if (me == 0)
                    expect_disagreement([&] { transport.gather(bytes, twice, 0); });
                else
                    transport.gather(bytes, {}, 0);
                transport.barrier();
                expect_disagreement([&] { transport.allgather(bytes, twice); });
                transport.barrier();
                expect_disagreement([&] { transport.alltoall(twice, twice); });
                transport.barrier();
                expect_disagreement([&] { transport.allreduce(bytes, bytes, fold); });
                transport.barrier();
                do_allgather(transport, size, 0, 1);
            });
}

TEST(ShmTransport, MessagesAndCollectivesDoNotDisturbEachOther) {
    run_job_with_and_without_single_copy(3, [](ShmTransport& transport) {
        const int me = transport.rank(), next = (me + 1) % 3, previous = (me + 2) % 3;
        for (int number = 0; number < 60; ++number) {
            const std::size_t size = number % 4 == 0 ? 100'000 : index_of(number);
            const auto receive = transport.start_receive(any, any, std::nullopt);
            const auto send = transport.start_send(next, number, buffer_of(pattern(size, me, number)));
            do_number(transport, number, 100'000);
            receive->wait();
            send->wait();
            const Message message = receive->take();
            EXPECT_EQ(message.source, previous);
            EXPECT_EQ(message.tag, number);
            expect_pattern(message.bytes, size, previous, number);
        }
    });
}

// ---- communicators ----

// What the job's memory says of its areas.
class Areas {
  public:
    explicit Areas(const JobMemory& memory)
        : mapping_(memory.fd(), 0, rankpool::os::whole_pages(sizeof(Directory)), rankpool::os::Mapping::Access::read_write) {}
    auto used() const {
        return std::ranges::count_if(directory().places, [](const AreaPlace& place) { return place.used != 0; });
    }
    auto made() const {
        return std::ranges::count_if(directory().places, [](const AreaPlace& place) { return place.bytes != 0; });
    }
    void use_all(std::uint32_t used) {
        for (auto& place : directory().places) place.used = used;
    }

  private:
    Directory& directory() const { return *reinterpret_cast<Directory*>(mapping_.data()); }
    rankpool::os::Mapping mapping_;
};

void expect_place(const std::shared_ptr<Transport>& transport, int rank, int size) {
    ASSERT_NE(transport, nullptr);
    EXPECT_EQ(transport->rank(), rank);
    EXPECT_EQ(transport->size(), size);
    EXPECT_EQ(transport->local_size(), size);
}

class ShmSplit : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, ShmSplit, testing::Values(1, 2, 3, 5, 8), testing::PrintToStringParamName());

TEST_P(ShmSplit, ByParity) {
    run_job(GetParam(), [](ShmTransport& transport) {
        const int me = transport.rank(), parity = me % 2;
        const auto half = transport.split(parity, 0);
        expect_place(half, me / 2, (transport.size() + 1 - parity) / 2);
        for (int number = 0; number < 100; ++number) do_number(*half, number, 50'000);
        transport.barrier();
    });
}

TEST_P(ShmSplit, TheKeyOrders) {
    run_job(GetParam(), [](ShmTransport& transport) {
        const int me = transport.rank(), size = transport.size();
        const auto reversed = transport.split(-7, -me);
        expect_place(reversed, size - 1 - me, size);
        const auto same = transport.split(INT_MAX, 3), node = transport.node();
        expect_place(same, me, size);
        expect_place(node, me, size);
        const auto middle_first = transport.split(INT_MIN, me == size / 2 ? INT_MIN : INT_MAX);
        expect_place(middle_first, me == size / 2 ? 0 : me < size / 2 ? me + 1 : me, size);
        for (const auto& other : {reversed, same, node, middle_first})
            for (int number = 0; number < 40; ++number) do_number(*other, number, 1'000);
        int ranks = -1;
        const auto add = [](const void*, std::byte* left, const std::byte* right, std::size_t) {  // digits, in rank order
            int a = 0, b = 0;
            std::memcpy(&a, left, sizeof a);
            std::memcpy(&b, right, sizeof b);
            a = 10 * a + b;
            std::memcpy(left, &a, sizeof a);
        };
        const Fold fold{.element_size = sizeof(int), .apply = add, .name = "digits"};
        reversed->allreduce(bytes_of(me), std::as_writable_bytes(std::span(&ranks, 1)), fold);
        int expected = 0;
        for (int rank = size - 1; rank >= 0; --rank) expected = 10 * expected + rank;
        EXPECT_EQ(ranks, expected);
    });
}

TEST_P(ShmSplit, WhoGivesNoColorGetsNothing) {
    run_job(GetParam(), [](ShmTransport& transport) {
        const int me = transport.rank();
        EXPECT_EQ(transport.split(std::nullopt, 0), nullptr);
        const auto others = transport.split(me == 0 ? std::nullopt : std::optional(0), 0);
        if (me == 0)
            EXPECT_EQ(others, nullptr);
        else
            expect_place(others, me - 1, transport.size() - 1);
        if (others) do_allgather(*others, 1'000, 0, 1);
        const auto alone = transport.split(me, 0);
        expect_place(alone, 0, 1);
        for (int number = 0; number < 40; ++number) do_number(*alone, number, 50'000);
    });
}

TEST_P(ShmSplit, ACommunicatorCanBeSplit) {
    run_job(GetParam(), [](ShmTransport& transport) {
        std::shared_ptr<Transport> part = transport.split(0, -transport.rank());
        while (part->size() > 1) {
            const int half = part->size() / 2, rank = part->rank();
            auto next = part->split(rank < half ? 0 : 1, 0);
            expect_place(next, rank < half ? rank : rank - half, rank < half ? half : part->size() - half);
            part = std::move(next);
            do_allgather(*part, 40'000, 0, 1);
        }
    });
}

TEST_P(ShmSplit, MessagesStayInTheirCommunicator) {
    run_job(GetParam(), [](ShmTransport& transport) {
        const int me = transport.rank(), size = transport.size(), mine = size - 1 - me;
        const auto reversed = transport.split(0, -me);
        for (int to = 0; to < size; ++to) {
            transport.send(to, tag, bytes_of(1000 + me));
            reversed->send(to, tag, bytes_of(2000 + mine));
        }
        for (int from = 0; from < size; ++from) {
            const Status status = reversed->probe(from, any);
            EXPECT_EQ(status.source, from);
            const auto receive = reversed->start_receive(from, tag, std::nullopt);
            receive->wait();
            const Message message = receive->take();
            EXPECT_EQ(message.source, from);
            EXPECT_EQ(value_of<int>(message), 2000 + from);
        }
        EXPECT_FALSE(reversed->try_receive(any, any).has_value());
        EXPECT_FALSE(reversed->try_probe(any, any).has_value());
        for (int i = 0; i < size; ++i) {
            const Message message = transport.receive(any, tag);
            EXPECT_EQ(value_of<int>(message), 1000 + message.source);
        }
        reversed->start_send(mine, tag, buffer_of(bytes_of(mine)))->wait();
        const auto own = reversed->try_receive(any, any);
        ASSERT_TRUE(own.has_value());
        EXPECT_EQ(own->source, mine);
    });
}

TEST(ShmSplitMany, LargeMessagesAndOperationsInOrder) {
    run_job_with_and_without_single_copy(4, [](ShmTransport& transport) {
        const int me = transport.rank();
        const auto pair = transport.split(me / 2, -me);
        const int mine = pair->rank(), other = 1 - mine;
        for (int round = 0; round < 10; ++round) {
            const auto send = pair->start_send(other, round, buffer_of(pattern(150'000, me, round)));
            do_number(transport, round, 100'000);
            expect_pattern(pair->receive(other, round).bytes, 150'000, me ^ 1, round);
            send->wait();
            do_number(*pair, round, 100'000);
        }
    });
}

TEST(ShmSplitMany, CommunicatorsMadeAndDroppedLeaveNoAreaUsed) {
    for (const int ranks : {1, 3}) {
        const JobMemory memory = JobMemory::create(ranks);
        Areas areas(memory);
        run_whole_job(memory, [&](ShmTransport& transport) {
            std::shared_ptr<Transport> previous;  // dropped by some ranks when others are further on
            for (int round = 0; round < 1'100; ++round) {
                const auto color = round % 7 == transport.rank() ? std::nullopt : std::optional(transport.rank() % (round % 3 + 1));
                auto next = transport.split(color, 0);
                if (next && round % 2 == 0) do_allgather(*next, 8, 0, round);
                if (next && round % 100 == 0) do_number(*next, round / 100, 300'000);
                previous = std::move(next);
            }
        });
        EXPECT_EQ(areas.used(), 0);
        EXPECT_GE(areas.made(), 1);
        EXPECT_LE(areas.made(), 4 * ranks) << "places are not used again";
    }
}

TEST(ShmSplitMany, ManyCommunicatorsAtOnce) {
    const JobMemory memory = JobMemory::create(3);
    Areas areas(memory);
    run_whole_job(memory, [&](ShmTransport& transport) {
        std::vector<std::shared_ptr<Transport>> all;
        for (int i = 0; i < 60; ++i) all.push_back(transport.split(transport.rank() == 0 ? 0 : i % 2, i % 3 * transport.rank()));
        for (int number = 0; number < 30; ++number)
            for (const auto& one : all) do_number(*one, number, 105);
        transport.barrier();
        EXPECT_GE(areas.used(), 60);
        transport.barrier();
    });
    EXPECT_EQ(areas.used(), 0);
}

TEST(ShmSplitMany, WhereThereIsNoPlaceItIsAnErrorForTheWholeGroup) {
    const JobMemory memory = JobMemory::create(3);
    Areas areas(memory);
    areas.use_all(1);
    run_whole_job(memory, [&](ShmTransport& transport) {
        for (int round = 0; round < 3; ++round) {
            if (transport.rank() == 1) {
                EXPECT_EQ(transport.split(std::nullopt, 0), nullptr);
                continue;
            }
            try {
                (void)transport.split(0, 0);
                ADD_FAILURE() << "no error";
            } catch (const Error& error) {
                EXPECT_NE(std::string(error.what()).find("1024 communicators"), std::string::npos) << error.what();
            }
        }
        transport.barrier();
        if (transport.rank() == 0) areas.use_all(0);
        transport.barrier();
        do_allgather(*transport.split(0, 0), 8, 0, 1);
    });
}

TEST(ShmSplitMany, ACommunicatorMayOutliveTheOneItWasMadeOf) {
    const JobMemory memory = JobMemory::create(2);
    std::shared_ptr<Transport> left[2];
    run_some_ranks(memory, 2, [&](ShmTransport& transport) { left[transport.rank()] = transport.split(0, 0); });
    for (const int rank : {0, 1}) EXPECT_EQ(memory.presence(rank), Presence::present);
    std::thread other([&] {
        for (int number = 0; number < 60; ++number) do_number(*left[1], number, 50'000);
        left[1]->send(0, tag, bytes_of(1));
    });
    for (int number = 0; number < 60; ++number) do_number(*left[0], number, 50'000);
    EXPECT_EQ(value_of<int>(left[0]->receive(1, tag)), 1);
    other.join();
    left[0].reset();
    EXPECT_EQ(memory.presence(0), Presence::left);
    EXPECT_EQ(memory.presence(1), Presence::present);
}

// ---- several threads of one rank, each with a communicator of its own ----

using ThreadBody = std::function<void(Transport&, int thread)>;

// `threads` threads in each of `ranks` ranks; threads of the same number have a communicator of all ranks, in an order of its own.
void run_threads(int ranks, int threads, Copying copying, const ThreadBody& body) {
    const JobMemory memory = JobMemory::create(ranks);
    run_whole_job(memory, [&](ShmTransport& transport) {
        if (copying == Copying::refused) refuse_single_copy(memory, transport.rank());
        std::vector<std::shared_ptr<Transport>> own;
        for (int thread = 0; thread < threads; ++thread)
            own.push_back(transport.split(0, thread % 2 == 0 ? transport.rank() : -transport.rank()));
        std::vector<std::thread> running;
        for (int thread = 0; thread < threads; ++thread)
            running.emplace_back([&, thread] {
                try {
                    body(*own[index_of(thread)], thread);
                } catch (const std::exception& error) {
                    ADD_FAILURE() << "thread " << thread << " of rank " << transport.rank() << ": " << error.what();
                }
            });
        for (std::thread& one : running) one.join();
    });
}

TEST(ShmThreads, EachDoesCollectivesAtOnce) {
    for (const Copying copying : {Copying::single, Copying::refused})
        run_threads(3, 3, copying, [](Transport& transport, int thread) {
            for (int number = 0; number < 150; ++number) do_number(transport, number + 10 * thread, 40'000);
        });
}

TEST(ShmThreads, EachExchangesMessagesAtOnce) {
    for (const Copying copying : {Copying::single, Copying::refused})
        run_threads(2, 3, copying, [](Transport& transport, int thread) {
            const int me = transport.rank(), other = 1 - me;
            for (int round = 0; round < 100; ++round) {
                const std::size_t size = round % 5 == thread ? 100'000 : index_of(round);
                transport.send(other, tag, pattern(size, me, round + 1000 * thread));
                const Message message = transport.receive(any, any);
                EXPECT_EQ(message.source, other);
                expect_pattern(message.bytes, size, other, round + 1000 * thread);
            }
        });
}

TEST(ShmThreads, EachMixesBegunMessagesAndCollectives) {
    for (const Copying copying : {Copying::single, Copying::refused})
        run_threads(3, 2, copying, [](Transport& transport, int thread) {
            const int me = transport.rank(), next = (me + 1) % 3, previous = (me + 2) % 3;
            for (int number = 0; number < 60; ++number) {
                const std::size_t size = number % 4 == thread ? 100'000 : index_of(number);
                const auto receive = transport.start_receive(previous, number, std::nullopt);
                const auto send = transport.start_send(next, number, buffer_of(pattern(size, me, number)));
                do_number(transport, number, 40'000);
                while (!receive->test()) std::this_thread::yield();
                expect_pattern(receive->take().bytes, size, previous, number);
                send->wait();
            }
        });
}

TEST(ShmThreads, EachSplitsAtOnce) {
    run_threads(3, 3, Copying::single, [](Transport& transport, int thread) {
        for (int round = 0; round < 60; ++round) {
            const auto part = transport.split((transport.rank() + round) % 2, -round);
            do_allgather(*part, index_of(100 * thread + round), 0, round);
            part->send(part->rank(), tag, bytes_of(round));
            EXPECT_EQ(value_of<int>(part->receive(any, any)), round);
        }
    });
}

// Each thread sleeps until something may have come for it; what the others take in meanwhile may be its own.
TEST(ShmThreads, EachWaitsForItsOwnMessages) {
    constexpr auto limit = 5s;
    std::atomic<int> lost{0};
    run_threads(2, 3, Copying::single, [&](Transport& transport, int thread) {
        const int me = transport.rank(), other = 1 - me;
        const auto await_message = [&] {
            for (;;) {
                if (auto message = transport.try_receive(any, tag)) return std::move(*message);
                const auto begin = std::chrono::steady_clock::now();
                transport.wait(lost == 0 ? std::chrono::nanoseconds(limit) : 1ms);
                if (std::chrono::steady_clock::now() - begin >= limit) ++lost;
            }
        };
        for (int round = 0; round < 1'000; ++round) {
            if (me == thread % 2) transport.send(other, tag, bytes_of(round));
            EXPECT_EQ(value_of<int>(await_message()), round);
            if (me != thread % 2) transport.send(other, tag, bytes_of(round));
        }
    });
    EXPECT_EQ(lost, 0) << "a wake-up was lost";
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

// It names who has gone; any: everybody.
void expect_departure(const std::function<void()>& waiting, int rank, const std::string& how = {}) {
    const std::string text = text_of_departure(waiting);
    const std::string who = rank == any ? "any other rank" : " rank " + std::to_string(rank) + ", which has";
    EXPECT_NE(text.find(who), std::string::npos) << text;
    EXPECT_NE(text.find(how), std::string::npos) << text;
}
// Of an operation that this rank may end, or not.
void end_of(const std::function<void()>& operation) {
    try {
        operation();
    } catch (const RankDeparted&) {
    }
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

TEST(ShmDeparture, AProbeOfARankThatLeavesNamesIt) {
    const JobMemory memory = JobMemory::create(2);
    run_some_ranks(memory, 2, [](ShmTransport& transport) {
        if (transport.rank() == 1) return;
        expect_departure([&] { (void)transport.probe(1, tag); }, 1);
        expect_departure([&] { (void)transport.probe(any, tag); }, any);
        const auto receive = transport.start_receive(1, tag, std::nullopt);
        EXPECT_FALSE(receive->test());
        expect_departure([&] { receive->wait(); }, 1);
        const auto send = transport.start_send(1, tag, buffer_of(Bytes(1 << 20)));
        expect_departure([&] { send->wait(); }, 1);
    });
}

TEST(ShmDeparture, WhoWaitsForItselfIsTold) {
    run_job(1, [](ShmTransport& transport) {
        EXPECT_THROW((void)transport.receive(0, tag), Error);
        EXPECT_THROW((void)transport.receive(any, any), Error);
        EXPECT_THROW((void)transport.probe(any, any), Error);
        transport.send(0, 6, {});
        EXPECT_THROW((void)transport.receive(0, tag), Error);
        EXPECT_THROW(transport.start_receive(0, tag, std::nullopt)->wait(), Error);
        EXPECT_TRUE(transport.try_receive(0, 6).has_value());
    });
}

// In a communicator, ranks are named as in the job.
TEST(ShmDeparture, IsSeenInOtherCommunicators) {
    const JobMemory memory = JobMemory::create(4);
    run_some_ranks(memory, 4, [](ShmTransport& transport) {
        const int me = transport.rank();
        const auto half = transport.split(me % 2, -me);
        if (me >= 2) return;
        expect_departure([&] { (void)half->receive(0, tag); }, me + 2);
        expect_departure([&] { (void)half->receive(any, tag); }, any);
        expect_departure([&] { half->barrier(); }, me + 2);
    });
}

// How one rank waits for another in an operation: those who wait for the rank that is not there are told its name.
struct Waiting {
    const char* name;
    bool (*waits)(int rank, int missing);
    std::function<void(Transport&, int missing)> run;
};
constexpr std::size_t with_elsewhere = 200'000;
bool others(int rank, int missing) { return rank != missing; }
bool rank_0(int rank, int) { return rank == 0; }

const std::vector<Waiting>& waitings() {
    static const std::vector<Waiting> all{
        {"Barrier", others, [](Transport& t, int) { t.barrier(); }},
        {"BcastFromIt", others, [](Transport& t, int missing) { do_bcast(t, 8, missing, 1); }},
        {"LargeBcastFromIt", others, [](Transport& t, int missing) { do_bcast(t, with_elsewhere, missing, 1); }},
        {"LargeBcastToIt", rank_0, [](Transport& t, int) { do_bcast(t, with_elsewhere, 0, 1); }},
        {"Bcastv", others, [](Transport& t, int missing) { do_bcastv(t, 8, missing, 1); }},
        {"Scatter", others, [](Transport& t, int missing) { do_scatter(t, 8, missing, 1); }},
        {"LargeScatterToIt", rank_0, [](Transport& t, int) { do_scatter(t, with_elsewhere, 0, 1); }},
        {"Scatterv", others, [](Transport& t, int missing) { do_scatterv(t, 8, missing, 1); }},
        {"Gather", rank_0, [](Transport& t, int) { do_gather(t, 8, 0, 1); }},
        {"LargeGatherAtIt", others, [](Transport& t, int missing) { do_gather(t, with_elsewhere, missing, 1); }},
        {"Gatherv", rank_0, [](Transport& t, int) { do_gatherv(t, 8, 0, 1); }},
        {"Allgather", others, [](Transport& t, int) { do_allgather(t, 8, 0, 1); }},
        {"Allgatherv", others, [](Transport& t, int) { do_allgatherv(t, 8, 0, 1); }},
        {"Alltoall", others, [](Transport& t, int) { do_alltoall(t, 8, 0, 1); }},
        {"Alltoallv", others, [](Transport& t, int) { do_alltoallv(t, 8, 0, 1); }},
        {"Reduce", rank_0, [](Transport& t, int) { do_reduce(t, 8, 0, 1); }},
        {"Allreduce", others, [](Transport& t, int) { do_allreduce(t, 8, 0, 1); }},
        {"Split", others, [](Transport& t, int) { (void)t.split(0, 0); }},
    };
    return all;
}

class ShmMissing : public testing::TestWithParam<std::tuple<Setting, Waiting>> {};
INSTANTIATE_TEST_SUITE_P(Settings, ShmMissing,
                         testing::Combine(testing::Combine(testing::Values(4), testing::Values(Copying::single, Copying::refused),
                                                           testing::Values(Hearing::one_by_one, Hearing::counted)),
                                          testing::ValuesIn(waitings())),
                         [](const auto& test) { return name_of(std::get<0>(test.param)) + std::get<1>(test.param).name; });

// The last rank does not come to the operation. The others wait, until it leaves or, where `die` is given, dies by that.
void run_with_one_missing(const JobMemory& memory, const Setting& setting, const Waiting& waiting,
                          const std::function<void()>& die = nullptr) {
    const auto [ranks, copying, hearing] = setting;
    const int missing = ranks - 1;
    std::atomic<int> begun{0}, ended{0};
    decide(memory, hearing);
    run_some_ranks(memory, ranks, [&, count = ranks, refused = copying == Copying::refused](ShmTransport& transport) {
        if (refused) refuse_single_copy(memory, transport.rank());
        transport.barrier();
        const int me = transport.rank();
        if (me == missing) {
            await_count(begun, count - 1);
            be_late();
            if (!die) return;
            die();
            await_count(ended, count - 1);
            return;
        }
        ++begun;
        if (waiting.waits(me, missing))
            expect_departure([&] { waiting.run(transport, missing); }, missing, die ? "ended" : "left");
        else
            end_of([&] { waiting.run(transport, missing); });
        ++ended;
        await_count(ended, count - 1);  // or the others would be told of this rank, too
    });
}

TEST_P(ShmMissing, ARankThatLeavesIsNamedToThoseWhoWait) {
    const auto& [setting, waiting] = GetParam();
    run_with_one_missing(JobMemory::create(std::get<0>(setting)), setting, waiting);
}

TEST_P(ShmMissing, ARankThatDiesIsNamedToThoseWhoWait) {
    const auto& [setting, waiting] = GetParam();
    const JobMemory memory = JobMemory::create(std::get<0>(setting));
    run_with_one_missing(memory, setting, waiting, [&] { memory.mark_gone(memory.ranks() - 1); });
}

TEST(ShmDeparture, AnOperationWithARankThatWasNeverThereIsAnError) {
    for (const Hearing hearing : {Hearing::one_by_one, Hearing::counted}) {
        const JobMemory memory = JobMemory::create(4);
        decide(memory, hearing);
        std::atomic<int> begun{0};
        std::thread launcher([&] {
            await_count(begun, 3);
            memory.mark_gone(3);
        });
        run_some_ranks(memory, 3, [&](ShmTransport& transport) {
            ++begun;
            // Whoever waits for rank 3 learns of it, and then whoever waits for those.
            EXPECT_THROW(do_bcast(transport, 8, 0, 1), RankDeparted);
        });
        launcher.join();
    }
}

// A process can end anywhere: here between being counted and saying so, and before.
TEST(ShmDeparture, ARankThatDiesInTheMidstOfAnOperationIsNamed) {
    for (const bool is_counted : {false, true}) {
        const JobMemory memory = JobMemory::create(3);
        decide(memory, Hearing::counted);
        const CollectiveArea area(memory.area(0, 3), 3);
        if (is_counted) area.header().arrivals[0].count.arrive(3);
        memory.set_presence(2, Presence::present);
        memory.mark_gone(2);
        std::atomic<int> ended{0};
        run_some_ranks(memory, 2, [&](ShmTransport& transport) {
            expect_departure([&] { transport.barrier(); }, 2, "ended");
            ++ended;
            await_count(ended, 2);
        });
    }
}

TEST(ShmDeparture, ARootThatRunsAheadOfAReaderThatLeavesIsTold) {
    const JobMemory memory = JobMemory::create(3);
    run_some_ranks(memory, 3, [](ShmTransport& transport) {
        for (int number = 0; number < 3; ++number) do_bcast(transport, 8, 0, number);
        if (transport.rank() == 2) return;
        const auto go_on = [&] {
            for (int number = 0;; ++number) do_bcast(transport, 8, 0, number);
        };
        if (transport.rank() == 0)
            expect_departure(go_on, 2);
        else
            EXPECT_THROW(go_on(), RankDeparted);  // of rank 2, or of the root when that has given up
    });
}

// Who leaves has sent something to everybody, and they get it.
TEST(ShmDeparture, WhatWasContributedBeforeLeavingIsStillThere) {
    for (const Hearing hearing : {Hearing::one_by_one, Hearing::counted})
        for (const std::size_t size : {std::size_t{8}, std::size_t{5'000}, std::size_t{200'000}}) {
            const JobMemory memory = JobMemory::create(3);
            decide(memory, hearing);
            run_some_ranks(memory, 3, [&](ShmTransport& transport) {
                if (transport.rank() != 1) be_late(200);
                do_bcast(transport, size, 1, 1);
                do_gather(transport, size, 0, 2);
                if (transport.rank() == 1) return;
                expect_departure([&] { (void)transport.receive(1, tag); }, 1);
            });
        }
}

TEST_P(ShmJob, FinishBringsTheFirstCodeThatIsNotZero) {
    for (int first = 0; first <= GetParam(); ++first)
        run_some_ranks(JobMemory::create(GetParam()), GetParam(), [first, size = GetParam()](ShmTransport& transport) {
            const int me = transport.rank();
            EXPECT_EQ(transport.finish(me < first ? 0 : 100 + me), first < size ? 100 + first : 0);
        });
}

// What was begun still moves then.
TEST(ShmTransport, FinishWaitsForMessagesOnTheirWay) {
    run_job_with_and_without_single_copy(3, [](ShmTransport& transport) {
        const int me = transport.rank();
        if (me == 2) {
            for (int round = 0; round < 5; ++round)
                for (const int to : {0, 1}) (void)transport.start_send(to, round, buffer_of(pattern(300'000, to, round)));
        } else {
            for (int round = 4; round >= 0; --round) {
                be_late();
                expect_pattern(transport.receive(2, round).bytes, 300'000, me, round);
            }
        }
    });
}

TEST(ShmDeparture, ARankThatFinishesIsNotWaitedFor) {
    const JobMemory memory = JobMemory::create(3);
    run_some_ranks(memory, 3, [](ShmTransport& transport) {
        transport.barrier();
        if (transport.rank() == 2) {
            transport.send(0, tag, bytes_of(1));
            EXPECT_THROW((void)transport.finish(0), RankDeparted);
        } else if (transport.rank() == 1) {
            expect_departure([&] { (void)transport.receive(2, tag); }, 2, "left");
            expect_departure([&] { transport.barrier(); }, 2, "left");
            expect_departure([&] { transport.send(2, tag, Bytes(200'000)); }, 2, "left");
            transport.send(0, tag, {});
        } else {
            (void)transport.receive(1, tag);
            EXPECT_EQ(value_of<int>(transport.receive(2, tag)), 1);
            expect_departure([&] { (void)transport.receive(2, any); }, 2, "left");
        }
    });
}

// A rank that has ended owes answers that nobody will give; those who are there end all the same.
TEST(ShmDeparture, FinishWithoutARankIsAnError) {
    const JobMemory memory = JobMemory::create(4);
    run_some_ranks(memory, 4, [](ShmTransport& transport) {
        const int me = transport.rank();
        if (me == 0) {
            // The second one, when it is known that it can be read, waits to be copied by its receiver.
            transport.send(3, tag, Bytes(100'000));
            (void)transport.receive(3, tag);
            (void)transport.start_send(3, tag, buffer_of(Bytes(100'000)));
        }
        if (me == 3) {
            (void)transport.receive(0, tag);
            transport.send(0, tag, {});
            return;
        }
        EXPECT_THROW((void)transport.finish(0), RankDeparted);
    });
}

// ---- what another rank wrote is not believed ----

// As the endpoint has it.
struct RawHeader {
    std::uint16_t kind, unused;
    std::uint32_t context;
    std::int32_t tag;
    std::uint32_t number;
    std::uint64_t bytes, address;
};
constexpr std::uint16_t inline_bytes = 1, elsewhere = 2, answer = 3;

// As rank 1 would, but wrong.
void write_raw(const JobMemory& memory, const RawHeader& header) {
    std::memcpy(memory.ring_bytes(1, 0), &header, sizeof header);
    memory.ring(1, 0).tail.store(sizeof header);
}

TEST(ShmDamage, TheFormOfMessagesIsTheOneThatIsDamagedHere) {
    const JobMemory memory = JobMemory::create(2);
    ShmTransport transport(memory.share(), 0);
    write_raw(memory, {inline_bytes, 0, 0, tag, 0, 0, 0});
    EXPECT_TRUE(transport.try_receive(1, tag).has_value());
}

TEST(ShmDamage, ImpossiblePositionsAreRefused) {
    for (const std::uint64_t position : {std::uint64_t{1} << 40, ~std::uint64_t{0} - (std::uint64_t{1} << 30)}) {
        const JobMemory memory = JobMemory::create(2);
        ShmTransport transport(memory.share(), 0);
        memory.ring(1, 0).tail = position;
        EXPECT_THROW((void)transport.try_receive(any, any), Error);
        memory.ring(0, 1).head = position;
        EXPECT_THROW(transport.send(1, tag, bytes_of(1)), Error);
    }
}

TEST(ShmDamage, AMessageOfUnknownFormIsRefused) {
    for (const std::uint16_t kind : {std::uint16_t{0}, std::uint16_t{99}}) {
        const JobMemory memory = JobMemory::create(2);
        ShmTransport transport(memory.share(), 0);
        write_raw(memory, {kind, 0, 0, tag, 0, 0, 0});
        EXPECT_THROW((void)transport.try_receive(any, any), Error);
    }
}

TEST(ShmDamage, AMessageOfImpossibleSizeIsRefused) {
    for (const std::uint16_t kind : {inline_bytes, elsewhere}) {
        const JobMemory memory = JobMemory::create(2);
        ShmTransport transport(memory.share(), 0);
        write_raw(memory, {kind, 0, 0, tag, 0, std::uint64_t{1} << 60, 0});
        EXPECT_THROW((void)transport.try_receive(any, any), Error);
    }
}

TEST(ShmDamage, AMessageAtAnAddressThatCannotBeReadIsRefused) {
    const JobMemory memory = JobMemory::create(2);
    ShmTransport transport(memory.share(), 0);
    const ShmTransport sender(memory.share(), 1);
    write_raw(memory, {elsewhere, 0, 0, tag, 41, 100'000, 16});
    EXPECT_THROW((void)transport.try_receive(any, any), Error);
}

TEST(ShmDamage, AnAnswerToNothingIsRefused) {
    const JobMemory memory = JobMemory::create(2);
    ShmTransport transport(memory.share(), 0);
    write_raw(memory, {answer, 0, 0, 0, 41, 0, 0});
    EXPECT_THROW((void)transport.try_receive(any, any), Error);
}

// Rank 1 comes to the first operation with something that cannot be.
TEST(ShmDamage, AnImpossibleContributionIsRefused) {
    constexpr std::uint64_t huge = std::uint64_t{1} << 60;
    const std::pair<Form, std::uint64_t> impossible[]{{Form{0}, 1},         {Form{99}, 1},
                                                      {Form::in_slot, 105}, {Form::in_cell, (32 << 10) + 1},
                                                      {Form::elsewhere, huge}, {Form::in_slot, 3}};
    for (const auto& [form, bytes] : impossible) {
        const JobMemory memory = JobMemory::create(2);
        decide(memory, Hearing::one_by_one);
        ShmTransport transport(memory.share(), 0);
        auto& slot = CollectiveArea(memory.area(0, 2), 2).state(1).slots[0];
        slot.form = form;
        slot.bytes = bytes;
        slot.word.publish(1);
        EXPECT_THROW(transport.barrier(), Error);
    }
}

}  // namespace
