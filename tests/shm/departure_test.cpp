// Ranks that leave or die while others wait for them.
#include "shm/each_collective.hpp"

namespace {

using namespace shm_test;

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
            for (;;) transport.send(1, tag, bytes);  // rank 1 may take many of them in before it leaves
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

}  // namespace
