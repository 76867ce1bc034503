// Messages over shared memory, with ranks as threads.
#include "shm/ranks_as_threads.hpp"

namespace {

using namespace shm_test;

// ---- two ranks ----

TEST(ShmTransport, KnowsItsPlace) {
    run_job(3, [](ShmTransport& transport) {
        EXPECT_EQ(transport.size(), 3);
        EXPECT_EQ(transport.neighbours().leader, 0);
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
                while (!(message = transport.try_receive(any, tag))) transport.wait(long_enough, long_enough);
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
                transport.wait(long_enough, long_enough);
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
        transport.wait(5ms, 5ms);
        EXPECT_LT(std::chrono::steady_clock::now() - begin, long_enough);
    });
}

// ---- operations that were begun, probes ----


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

// ---- the end ----

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

}  // namespace
