// Messages from one rank to another: which one is received, in which order, and what is known of it.
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <thread>

#include "comm/values.hpp"

namespace {

using namespace comm_test;
using rankpool::any_source;
using rankpool::any_tag;
using rankpool::Status;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// Asks until there is an answer.
template <class Ask>
auto until(Ask&& ask) {
    auto answer = ask();
    while (!answer) {
        std::this_thread::yield();
        answer = ask();
    }
    return answer;
}

template <class T>
class Messages : public WithMessages {};
TYPED_TEST_SUITE(Messages, Kinds, KindName);

TYPED_TEST(Messages, GoAroundTheRing) {
    using T = TypeParam;
    const auto expect_from_left = [](const Status& status, int tag) {
        EXPECT_EQ(status.source, left());
        EXPECT_EQ(status.tag, tag);
    };
    if (ranks() > 1) {
        // A send may wait for its receiver: rank 0 opens the ring, the others answer.
        Status status{};
        if (rank() == 0) {
            world().send(sample<T>(0, right()), right(), 5);
            EXPECT_EQ(world().recv<T>(left(), 5, &status), sample<T>(left(), 0));
        } else {
            EXPECT_EQ(world().recv<T>(left(), 5, &status), sample<T>(left(), rank()));
            world().send(sample<T>(rank(), right()), right(), 5);
        }
        expect_from_left(status, 5);
    }
    auto sending = world().isend(sample<T>(rank(), right() + 1), right(), 6);
    Status status{};
    EXPECT_EQ(world().recv<T>(any_source, any_tag, &status), sample<T>(left(), rank() + 1));
    expect_from_left(status, 6);
    sending.wait();

    auto receiving = world().irecv<T>(left(), 7);
    auto again = world().isend(sample<T>(rank(), right() + 2), right(), 7);
    EXPECT_EQ(receiving.wait(), sample<T>(left(), rank() + 2));
    again.wait();
}

TYPED_TEST(Messages, SendrecvBothWays) {
    using T = TypeParam;
    EXPECT_EQ(world().sendrecv(sample<T>(rank(), right()), right(), left(), 8), sample<T>(left(), rank()));
    EXPECT_EQ(world().sendrecv(sample<T>(rank(), left()), left(), right()), sample<T>(right(), rank()));
    EXPECT_EQ(world().sendrecv(sample<T>(rank(), 4), rank(), rank(), 9), sample<T>(rank(), 4)) << "with itself";
}

TYPED_TEST(Messages, ToItself) {
    using T = TypeParam;
    auto sending = world().isend(sample<T>(rank(), 3), rank(), 10);
    EXPECT_EQ(world().recv<T>(rank(), 10), sample<T>(rank(), 3));
    sending.wait();
    auto receiving = world().irecv<T>(rank(), 11);
    auto later = world().isend(sample<T>(rank(), 2), rank(), 11);
    const std::optional<T> received = until([&] { return receiving.test(); });
    EXPECT_EQ(*received, sample<T>(rank(), 2));
    later.wait();
}

class Message : public WithMessages {};

TEST_F(Message, ValuesThatCanOnlyBeMoved) {
    auto sending = world().isend(std::make_unique<int>(rank() + 3), right());
    EXPECT_EQ(*world().recv<std::unique_ptr<int>>(left()), left() + 3);
    sending.wait();
    auto receiving = world().irecv<std::unique_ptr<std::string>>(left());
    auto again = world().isend(std::make_unique<std::string>("from " + std::to_string(rank())), right());
    EXPECT_EQ(*receiving.wait(), "from " + std::to_string(left()));
    again.wait();
}

TEST_F(Message, FromAnyRankWithAnyTag) {
    for (int receiver = 0; receiver < ranks(); receiver += std::max(1, ranks() / 3)) {
        if (rank() != receiver) {
            world().send(Point{1.0 * rank(), 0.5, receiver}, receiver, 20 + rank());
        } else {
            std::vector<int> sources;
            for (int i = 1; i < ranks(); ++i) {
                Status status{};
                const Point point = world().recv<Point>(any_source, any_tag, &status);
                EXPECT_EQ(point, (Point{1.0 * status.source, 0.5, receiver}));
                EXPECT_EQ(status.tag, 20 + status.source);
                EXPECT_EQ(status.bytes, sizeof(Point));
                sources.push_back(status.source);
            }
            sources.push_back(rank());
            std::sort(sources.begin(), sources.end());
            for (int r = 0; r < ranks(); ++r) EXPECT_EQ(sources.at(index_of(r)), r);
        }
        world().barrier();  // the next receiver's messages must not meet this one
    }
}

TEST_F(Message, FromOneRankWithAnyTagAndFromAnyRankWithOneTag) {
    auto first = world().isend(rank() + 100, right(), 3);
    auto second = world().isend(rank() + 200, right(), 4);
    Status status{};
    EXPECT_EQ(world().recv<int>(any_source, 4, &status), left() + 200);
    EXPECT_EQ(status.source, left());
    EXPECT_EQ(world().recv<int>(left(), any_tag, &status), left() + 100);
    EXPECT_EQ(status.tag, 3);
    first.wait();
    second.wait();
}

TEST_F(Message, OfOnePairAndTagKeepTheirOrder) {
    // Large ones do not overtake the others, nor are they overtaken.
    const auto text = [](int i) { return std::string(i % 10 == 7 ? 30'000 : 0, 'x') + std::to_string(i); };
    std::vector<rankpool::Request> sending;
    for (int i = 0; i < 100; ++i) sending.push_back(world().isend(text(i), right(), 1));
    for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(world().recv<std::string>(i % 2 == 0 ? left() : any_source, i % 3 == 0 ? 1 : any_tag) == text(i)) << i;
    for (auto& request : sending) request.wait();
}

TEST_F(Message, AreReceivedByTagOutOfTheOrderSent) {
    constexpr int count = 20;
    std::vector<rankpool::Request> sending;
    for (int tag = 0; tag < count; ++tag) sending.push_back(world().isend(std::string(index_of(tag), 'x'), right(), tag));
    for (int tag = count - 1; tag >= 0; --tag) EXPECT_EQ(world().recv<std::string>(left(), tag), std::string(index_of(tag), 'x'));
    for (auto& request : sending) request.wait();
}

TEST_F(Message, ManyPendingAtOnce) {
    constexpr int count = 50;
    std::vector<rankpool::RecvRequest<int>> receiving;
    std::vector<rankpool::Request> sending;
    for (int i = 0; i < count; ++i) receiving.push_back(world().irecv<int>(left(), i));
    for (int i = count - 1; i >= 0; --i) sending.push_back(world().isend(1000 * rank() + i, right(), i));
    for (int i = 0; i < count; ++i) {
        if (i % 2 == 0) {
            EXPECT_EQ(receiving[index_of(i)].wait(), 1000 * left() + i);
        } else {
            EXPECT_EQ(until([&] { return receiving[index_of(i)].test(); }), 1000 * left() + i);
        }
    }
    for (auto& request : sending) until([&] { return request.test(); });
}

TEST_F(Message, ReceivePostedBeforeTheSendAndAfter) {
    auto early = world().irecv<std::string>(left(), 1);
    EXPECT_FALSE(early.test().has_value());
    world().barrier();  // collectives are not disturbed by what is pending
    EXPECT_EQ(world().allgather(rank()).back(), ranks() - 1);
    auto first = world().isend("early " + std::to_string(rank()), right(), 1);
    auto second = world().isend("late " + std::to_string(rank()), right(), 2);
    world().barrier();
    EXPECT_EQ(world().bcast(rank() + 1), 1);
    auto late = world().irecv<std::string>(left(), 2);
    EXPECT_EQ(late.wait(), "late " + std::to_string(left()));
    EXPECT_EQ(early.wait(), "early " + std::to_string(left()));
    first.wait();
    second.wait();
}

TEST_F(Message, ReceivesMatchInTheOrderPosted) {
    // The first receive posted takes the first message, though it is the last one asked.
    auto text = world().irecv<std::string>(any_source, any_tag);
    auto number = world().irecv<int>(any_source, any_tag);
    auto list = world().irecv<std::vector<std::string>>(left(), any_tag);
    auto tagged = world().irecv<Point>(any_source, 9);
    world().barrier();
    const std::string words = "words of " + std::to_string(rank());
    std::vector<rankpool::Request> sending;
    sending.push_back(world().isend(words, right(), 9));
    sending.push_back(world().isend(rank() + 5, right(), 9));
    sending.push_back(world().isend(std::vector<std::string>{words, ""}, right(), 9));
    sending.push_back(world().isend(Point{0.5, 1.5, rank()}, right(), 9));
    const std::string from_left = "words of " + std::to_string(left());
    EXPECT_EQ(tagged.wait(), (Point{0.5, 1.5, left()}));
    EXPECT_EQ(list.wait(), (std::vector<std::string>{from_left, ""}));
    EXPECT_EQ(number.wait(), left() + 5);
    EXPECT_EQ(text.wait(), from_left);
    for (auto& request : sending) request.wait();
}

TEST_F(Message, ReceiveOfOneTagLeavesTheOthersToTheWildcard) {
    auto tagged = world().irecv<int>(left(), 2);
    auto any = world().irecv<std::string>(any_source, any_tag);
    auto first = world().isend(std::string("for the wildcard"), right(), 1);
    auto second = world().isend(rank(), right(), 2);
    EXPECT_EQ(tagged.wait(), left());
    EXPECT_EQ(any.wait(), "for the wildcard");
    first.wait();
    second.wait();
}

TEST_F(Message, OfNothing) {
    std::vector<rankpool::Request> sending;
    sending.push_back(world().isend(std::vector<int>(), right(), 1));
    sending.push_back(world().isend(std::string(), right(), 2));
    sending.push_back(world().isend(std::vector<std::string>(), right(), 3));
    sending.push_back(world().isend(std::vector<std::string>(3), right(), 4));
    sending.push_back(world().isend(std::vector<bool>(), right(), 5));
    EXPECT_EQ(world().recv<std::vector<bool>>(left(), 5), std::vector<bool>());
    EXPECT_EQ(world().recv<std::vector<std::string>>(left(), 4), std::vector<std::string>(3));
    EXPECT_EQ(world().recv<std::vector<std::string>>(left(), 3), std::vector<std::string>());
    EXPECT_EQ(world().recv<std::string>(left(), 2), "");
    EXPECT_EQ(world().recv<std::vector<int>>(left(), 1), std::vector<int>());
    for (auto& request : sending) request.wait();
    EXPECT_EQ(world().sendrecv(std::string(), right(), left()), "");
}

TEST_F(Message, ProbeTellsWhatWouldBeReceived) {
    EXPECT_FALSE(world().iprobe().has_value());
    EXPECT_FALSE(world().iprobe(left(), 6).has_value());
    world().barrier();
    auto first = world().isend(Point{1.5, 2.5, rank()}, right(), 6);
    auto second = world().isend(std::int64_t{1} << 40, right(), 7);

    const Status point = world().probe(left(), 6);
    EXPECT_EQ(point.source, left());
    EXPECT_EQ(point.tag, 6);
    EXPECT_EQ(point.bytes, sizeof(Point));
    const Status number = world().probe(any_source, 7);
    EXPECT_EQ(number.source, left());
    EXPECT_EQ(number.bytes, sizeof(std::int64_t));
    const Status next = world().probe();
    EXPECT_EQ(next.tag, 6);
    EXPECT_FALSE(world().iprobe(left(), 8).has_value());
    const std::optional<Status> again = until([] { return world().iprobe(any_source, 7); });
    EXPECT_EQ(again->source, left());
    EXPECT_EQ(again->bytes, sizeof(std::int64_t));

    // A probe takes nothing away.
    EXPECT_EQ(world().recv<Point>(point.source, point.tag), (Point{1.5, 2.5, left()}));
    EXPECT_EQ(world().recv<std::int64_t>(any_source, any_tag), std::int64_t{1} << 40);
    first.wait();
    second.wait();
}

TEST_F(Message, AMebibyteBothWaysAtOnce) {
    const int partner = rank() % 2 == 0 ? rank() + 1 : rank() - 1;
    if (partner < ranks()) {
        const std::string own(mebibyte, static_cast<char>('a' + rank())), theirs(mebibyte, static_cast<char>('a' + partner));
        auto sending = world().isend(own, partner, 1);
        auto receiving = world().irecv<std::string>(partner, 1);
        EXPECT_TRUE(receiving.wait() == theirs);
        sending.wait();

        auto earlier = world().irecv<std::string>(partner, 2);
        auto later = world().isend(own, partner, 2);
        later.wait();  // the other way around: the send first
        EXPECT_TRUE(earlier.wait() == theirs);
        EXPECT_TRUE(world().sendrecv(own, partner, partner, 3) == theirs);
    }
    expect_works(world());
}

TEST_F(Message, IsendOwnsItsBuffer) {
    std::vector<int> values(50'000, rank());
    auto sending = world().isend(values, right(), 1);
    values.assign(values.size(), -1);
    values.clear();
    values.shrink_to_fit();
    EXPECT_TRUE(world().recv<std::vector<int>>(left(), 1) == std::vector<int>(50'000, left()));
    sending.wait();
}

TEST_F(Message, ARequestDroppedWithoutWaitLosesNothing) {
    const std::string large(mebibyte / 4, 'l');
    if (rank() == 0) {
        for (int r = 1; r < ranks(); ++r) {
            static_cast<void>(world().isend(r, r, 1));
            static_cast<void>(world().isend(large, r, 2));
            auto replaced = world().isend(std::string("first"), r, 3);
            replaced = world().isend(std::string("second"), r, 3);
        }
    } else {
        EXPECT_EQ(world().recv<int>(0, 1), rank());
        EXPECT_TRUE(world().recv<std::string>(0, 2) == large);
        EXPECT_EQ(world().recv<std::string>(0, 3), "first");
        EXPECT_EQ(world().recv<std::string>(0, 3), "second");
    }
    auto receiving = world().irecv<int>(left(), 4);
    static_cast<void>(world().isend(rank(), right(), 4));
    EXPECT_EQ(receiving.wait(), left());
    expect_works(world());
}

TEST_F(Message, AReceiveThatIsDroppedTakesNothing) {
    { const auto dropped = world().irecv<int>(any_source, any_tag); }
    {
        auto replaced = world().irecv<std::string>(left(), 2);
        replaced = world().irecv<std::string>(left(), 3);
        auto third = world().isend(std::string("three"), right(), 3);
        EXPECT_EQ(replaced.wait(), "three");
        third.wait();
    }
    auto first = world().isend(rank(), right(), 1);
    auto second = world().isend(std::string("two"), right(), 2);
    EXPECT_EQ(world().recv<std::string>(left(), 2), "two");
    EXPECT_EQ(world().recv<int>(left(), 1), left());
    first.wait();
    second.wait();
}

TEST_F(Message, ARequestIsDoneOnce) {
    auto receiving = world().irecv<double>(any_source, any_tag);
    auto sending = world().isend(0.5 + rank(), right(), 4);
    EXPECT_EQ(receiving.wait(), 0.5 + left());
    EXPECT_EQ(receiving.status().source, left());
    EXPECT_EQ(receiving.status().tag, 4);
    EXPECT_EQ(receiving.status().bytes, sizeof(double));
    EXPECT_THROW(receiving.wait(), std::logic_error);
    EXPECT_THROW(receiving.test(), std::logic_error);
    sending.wait();
    sending.wait();
    EXPECT_TRUE(sending.test());
}

TEST_F(Message, OfAnotherTypeIsAnError) {
    std::vector<rankpool::Request> sending;
    sending.push_back(world().isend(1.5, right(), 1));
    sending.push_back(world().isend(1, right(), 2));
    sending.push_back(world().isend(std::string(100, 'x'), right(), 3));
    sending.push_back(world().isend(Point{1, 2, 3}, right(), 4));
    EXPECT_THROW(world().recv<int>(left(), 1), rankpool::Error);
    EXPECT_THROW(world().recv<double>(left(), 2), rankpool::Error);
    EXPECT_THROW(world().recv<int>(left(), 3), rankpool::Error);
    auto receiving = world().irecv<int>(left(), 4);
    EXPECT_THROW(receiving.wait(), rankpool::Error);
    for (auto& request : sending) request.wait();
    // Whether a message that was refused is gone is not said.
    while (world().iprobe(left())) world().recv<std::vector<char>>(left());
}

TEST_F(Message, WrongArgumentsAreRefusedBeforeAnythingIsSent) {
    const int n = ranks();
    constexpr int largest = std::numeric_limits<int>::max();
    for (const int nobody : {n, n + 5, largest, -1000}) {
        const std::vector<std::string> words{std::to_string(nobody), std::to_string(n - 1)};
        expect_refused([&] { return world().send(1, nobody); }, words);
        expect_refused([&] { return world().isend(std::string("x"), nobody); }, words);
        expect_refused([&] { return world().recv<int>(nobody); }, words);
        expect_refused([&] { return world().irecv<std::string>(nobody); }, words);
        expect_refused([&] { return world().sendrecv(1, nobody, left()); }, words);
        expect_refused([&] { return world().sendrecv(1, right(), nobody); }, words);
        expect_refused([&] { return world().probe(nobody); }, words);
        expect_refused([&] { return world().iprobe(nobody); }, words);
    }
    expect_refused([&] { return world().send(1, any_source); });  // a wildcard is for receiving
    expect_refused([&] { return world().isend(1, right(), any_tag); });
    expect_refused([&] { return world().send(1, right(), any_tag); });
    for (const int tag : {-1000, rankpool::largest_tag + 1, largest}) {
        expect_refused([&] { return world().send(1, right(), tag); }, {std::to_string(tag)});
        expect_refused([&] { return world().isend(1, right(), tag); }, {std::to_string(tag)});
        expect_refused([&] { return world().recv<int>(left(), tag); }, {std::to_string(tag)});
        expect_refused([&] { return world().irecv<int>(left(), tag); }, {std::to_string(tag)});
        expect_refused([&] { return world().sendrecv(1, right(), left(), tag); }, {std::to_string(tag)});
        expect_refused([&] { return world().probe(left(), tag); }, {std::to_string(tag)});
        expect_refused([&] { return world().iprobe(left(), tag); }, {std::to_string(tag)});
    }
    expect_works(world());
}

TEST_F(Message, TagsOfEverySize) {
    constexpr int tags[] = {0, 1, 255, 32'767, rankpool::largest_tag};
    std::vector<rankpool::Request> sending;
    for (const int tag : tags) sending.push_back(world().isend(tag, right(), tag));
    for (const int tag : {32'767, 255, rankpool::largest_tag, 0, 1}) EXPECT_EQ(world().recv<int>(left(), tag), tag);
    for (auto& request : sending) request.wait();
}

TEST_F(Message, DoNotMeetCollectives) {
    // Messages in flight on each side of collectives of the same communicator.
    for (int round = 0; round < 10; ++round) {
        auto sending = world().isend(rank() * 100 + round, right());
        EXPECT_EQ(world().allreduce(1, [](int a, int b) { return a + b; }), ranks());
        EXPECT_EQ(world().bcast(rank() + round, round % ranks()), round % ranks() + round);
        EXPECT_EQ(world().alltoall(samples_to_all<std::string>(rank())), samples_from_all<std::string>(rank()));
        EXPECT_EQ(world().recv<int>(any_source, any_tag), left() * 100 + round);
        sending.wait();
    }
}

// Deadlocked over MPI, which knew nothing of this receive: its rank waited for the sender, who waited for it.
TEST_F(Message, AReceiveFromAnywhereTakesItsMessageWhileItsRankIsInACollective) {
    using Large = std::array<int, 100'000>;  // more than an MPI sends before it is received
    static Large value{};
    value.fill(rank());
    const int sender = ranks() - 1;
    auto each = [&](auto&& meet) {
        rankpool::RecvRequest<Large> request;
        if (rank() == 0) request = world().irecv<Large>();
        if (rank() == sender) world().send(value, 0, 3);
        meet();
        if (rank() == 0) {
            EXPECT_EQ(request.wait()[99'999], sender);
        }
        world().barrier();
    };
    each([] { world().barrier(); });
    each([] { world().allreduce(1, std::plus<>{}); });
    each([] { world().allreduce(1, rankpool::native(std::plus<>{})); });
    each([] { world().allgather(std::string("x")); });
    each([] { world().alltoall(std::vector<int>(index_of(ranks()), 1)); });
    each([] { (void)world().dup(); });
}

TEST_F(Message, RequestsOfNothing) {
    rankpool::Request nothing;
    EXPECT_TRUE(nothing.test());
    nothing.wait();
    rankpool::RecvRequest<int> none;
    EXPECT_THROW(none.wait(), std::logic_error);
}

}  // namespace
