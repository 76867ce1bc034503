// Collective operations over shared memory, with ranks as threads.
#include "shm/each_collective.hpp"

namespace {

using namespace shm_test;

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

}  // namespace
