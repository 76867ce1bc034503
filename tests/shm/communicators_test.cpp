// Communicators that are split, and several threads of a rank, each with one of its own.
#include "shm/each_collective.hpp"

namespace {

using namespace shm_test;

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
    EXPECT_EQ(transport->neighbours().leader, 0);
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
                transport.wait(lost == 0 ? std::chrono::nanoseconds(limit) : 1ms, limit);
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

}  // namespace
