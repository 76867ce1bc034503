// The forms that write into memory of the caller: what arrives, and that nothing else is touched.
#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <numeric>
#include <span>

#include "comm/values.hpp"

namespace {

using namespace comm_test;

/// Memory with a margin around it that must keep its value.
template <class T>
class Guarded {
  public:
    explicit Guarded(std::size_t count) : all_(count + 2 * margin, guard()) {}
    ~Guarded() {
        for (std::size_t i = 0; i < margin; ++i) {
            EXPECT_EQ(all_[i], guard()) << "written before the span";
            EXPECT_EQ(all_[all_.size() - 1 - i], guard()) << "written behind the span";
        }
    }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;
    std::span<T> span() { return std::span<T>(all_).subspan(margin, all_.size() - 2 * margin); }
    std::vector<T> values() { return std::vector<T>(span().begin(), span().end()); }
    static T guard() { return sample<T>(77, 5); }

  private:
    static constexpr std::size_t margin = 3;
    std::vector<T> all_;
};

/// `count` values for `receiver`.
template <class T>
std::vector<T> block_of(int sender, int receiver, std::size_t count) {
    std::vector<T> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(sample<T>(sender + static_cast<int>(i), receiver));
    return all;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& block) {
    to.insert(to.end(), block.begin(), block.end());
}

constexpr std::size_t counts[] = {0, 1, 5, 1000};

template <class T>
class Into : public testing::Test {};
using BytesKinds = testing::Types<int, Point, Id>;
TYPED_TEST_SUITE(Into, BytesKinds, KindName);

TYPED_TEST(Into, Bcast) {
    using T = TypeParam;
    for (int root = 0; root < ranks(); ++root) {
        for (const std::size_t count : counts) {
            Guarded<T> buffer(count);
            const std::vector<T> own = block_of<T>(rank(), root, count);
            std::copy(own.begin(), own.end(), buffer.span().begin());
            world().bcast_into(buffer.span(), root);
            EXPECT_EQ(buffer.values(), block_of<T>(root, root, count)) << "root " << root;
        }
    }
}

TYPED_TEST(Into, ScatterAndGather) {
    using T = TypeParam;
    for (int root = 0; root < ranks(); ++root) {
        for (const std::size_t count : counts) {
            std::vector<T> send, expected;
            for (int r = 0; r < ranks() && rank() == root; ++r) append(send, block_of<T>(root, r, count));
            Guarded<T> part(count);
            world().scatter_into(send, part.span(), root);
            EXPECT_EQ(part.values(), block_of<T>(root, rank(), count)) << "root " << root;

            for (int r = 0; r < ranks() && rank() == root; ++r) append(expected, block_of<T>(r, root, count));
            Guarded<T> all(expected.size());
            world().gather_into(block_of<T>(rank(), root, count), all.span(), root);
            EXPECT_EQ(all.values(), expected) << "root " << root;
        }
    }
}

TYPED_TEST(Into, AllgatherAndAlltoall) {
    using T = TypeParam;
    for (const std::size_t count : counts) {
        std::vector<T> send, expected, gathered;
        for (int other = 0; other < ranks(); ++other) {
            append(send, block_of<T>(rank(), other, count));
            append(expected, block_of<T>(other, rank(), count));
            append(gathered, block_of<T>(other, 3, count));
        }
        Guarded<T> all(gathered.size());
        world().allgather_into(block_of<T>(rank(), 3, count), all.span());
        EXPECT_EQ(all.values(), gathered) << count;
        Guarded<T> exchanged(expected.size());
        const std::vector<T> before = send;
        world().alltoall_into(send, exchanged.span());
        EXPECT_EQ(exchanged.values(), expected) << count;
        EXPECT_EQ(send, before) << count;
    }
}

// Large blocks that lie, by their place in a page, a little ahead of what they are copied from.
TEST(IntoPlaces, InEveryWayAPageCanBeMet) {
    // Of a period that no page, and no number of pages, is a multiple of.
    const auto value = [](std::size_t i, int sender) { return static_cast<unsigned char>((i * 7 + static_cast<std::size_t>(sender)) % 251); };
    constexpr std::size_t page = 4096;
    for (const std::size_t bytes : {3000u, 40'000u, 300'001u}) {
        for (const std::size_t from : {0u, 16u}) {
            for (const std::size_t ahead : {0u, 1u, 16u, 4080u}) {
                const auto memory = [&](std::size_t at, std::size_t length) {
                    std::vector<unsigned char> all(length + 2 * page);
                    at += page - reinterpret_cast<std::uintptr_t>(all.data()) % page;
                    return std::pair(std::move(all), at);
                };
                auto [sent, send_at] = memory(from, bytes);
                auto [received, receive_at] = memory(from + ahead, bytes);
                const std::span<unsigned char> send(sent.data() + send_at, bytes), receive(received.data() + receive_at, bytes);
                for (std::size_t i = 0; i < bytes; ++i) send[i] = value(i, rank());
                const int next = (rank() + 1) % ranks(), previous = (rank() + ranks() - 1) % ranks();
                const auto is_from = [&](int sender) {
                    for (std::size_t i = 0; i < bytes; ++i)
                        if (receive[i] != value(i, sender)) return false;
                    return true;
                };
                auto arriving = world().irecv<std::vector<unsigned char>>(previous);
                world().send(std::vector(send.begin(), send.end()), next);
                std::ranges::copy(arriving.wait(), receive.begin());
                EXPECT_TRUE(is_from(previous)) << bytes << " bytes, sent";

                std::ranges::copy(send, receive.begin());
                world().bcast_into(rank() == 0 ? send : receive);
                EXPECT_TRUE(rank() == 0 || is_from(0)) << bytes << " bytes, from root";

                auto [gathered, all_at] = memory(from + ahead, rank() == 0 ? bytes * static_cast<std::size_t>(ranks()) : 0);
                const std::span<unsigned char> all(gathered.data() + all_at, gathered.size() - 2 * page);
                world().gather_into(send, all);
                for (int r = 0; r < ranks() && rank() == 0; ++r) {
                    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(bytes) * r, bytes, receive.begin());
                    EXPECT_TRUE(is_from(r)) << bytes << " bytes, to root";
                }
                world().scatter_into(all, receive);
                EXPECT_TRUE(is_from(rank())) << bytes << " bytes, scattered";
                std::vector<unsigned char> most(bytes);
                world().allreduce_into(send, most, [](unsigned char a, unsigned char b) { return std::max(a, b); });
                for (std::size_t i = 0; i < bytes; ++i) {
                    unsigned char expected = 0;
                    for (int r = 0; r < ranks(); ++r) expected = std::max(expected, value(i, r));
                    ASSERT_EQ(most[i], expected) << bytes << " bytes, reduced";
                }
            }
        }
    }
}

TEST(IntoReduce, AtRootAndEverywhere) {
    for (const std::size_t count : {0u, 1u, 7u, 1000u}) {
        std::vector<double> own(count), sums(count);
        for (std::size_t i = 0; i < count; ++i) {
            const auto value = [i](int r) { return r % 3 == 1 ? 1e16 : r % 3 == 2 ? -1e16 : 0.1 * (r + 1) + static_cast<double>(i); };
            own[i] = value(rank());
            sums[i] = value(0);
            for (int r = 1; r < ranks(); ++r) sums[i] += value(r);
        }
        const std::vector<double> before = own;
        std::vector<double> everywhere(count, -1);
        world().allreduce_into(own, everywhere, std::plus<>{});
        EXPECT_EQ(everywhere, sums);
        for (int root = 0; root < ranks(); ++root) {
            // Off root the receive buffer may be there or not; it is not written.
            std::vector<double> at_root(rank() == root || rank() % 2 == 0 ? count : 0, -1);
            world().reduce_into(own, at_root, std::plus<>{}, root);
            EXPECT_EQ(at_root, rank() == root ? sums : std::vector<double>(at_root.size(), -1)) << "root " << root;
        }
        EXPECT_EQ(own, before);
    }
}

TEST(IntoReduce, IntsLambdasAndNative) {
    const std::array own{rank() + 1, -rank(), 5};
    const int sum = ranks() * (ranks() + 1) / 2;
    std::array<int, 3> result{};
    world().allreduce_into(own, result, std::plus<>{});
    EXPECT_EQ(result, (std::array{sum, ranks() - sum, 5 * ranks()}));
    result = {};
    world().allreduce_into(own, result, rankpool::native(std::plus<>{}));
    EXPECT_EQ(result, (std::array{sum, ranks() - sum, 5 * ranks()}));
    world().allreduce_into(own, result, [](int a, int b) { return std::max(a, b); });
    EXPECT_EQ(result, (std::array{ranks(), 0, 5}));
    world().allreduce_into(own, result, [](int, int b) { return b; });
    EXPECT_EQ(result, (std::array{ranks(), 1 - ranks(), 5}));
    const int root = ranks() - 1;
    result = {};
    world().reduce_into(own, result, rankpool::native(std::plus<>{}), root);
    EXPECT_EQ(result, rank() == root ? (std::array{sum, ranks() - sum, 5 * ranks()}) : (std::array{0, 0, 0}));
}

TEST(IntoBuffers, EveryContiguousRangeWillDo) {
    std::array<int, 3> array{rank(), rank() + 1, rank() + 2};
    world().bcast_into(array, ranks() - 1);
    EXPECT_EQ(array, (std::array{ranks() - 1, ranks(), ranks() + 1}));
    std::vector<int> vector{rank(), 7 * rank()};
    world().bcast_into(vector);
    EXPECT_EQ(vector, (std::vector{0, 0}));
    int plain[] = {rank(), rank()};
    world().bcast_into(plain);
    EXPECT_EQ(plain[1], 0);
    world().bcast_into(std::span(vector).first(1));

    const std::array<int, 2> own{rank(), -rank()};
    std::vector<int> all(2 * index_of(ranks())), expected;
    for (int r = 0; r < ranks(); ++r) append(expected, {r, -r});
    world().allgather_into(own, all);
    EXPECT_EQ(all, expected);
    all.assign(all.size(), 0);
    world().allgather_into(std::span<const int, 2>(own), std::span<int>(all));
    EXPECT_EQ(all, expected);

    // Vectors to an array and back.
    std::array<int, 2> part{};
    world().scatter_into(rank() == 0 ? expected : std::vector<int>(), part);
    EXPECT_EQ(part, own);
    std::vector<int> back(rank() == 0 ? all.size() : 0);
    world().gather_into(part, back);
    EXPECT_EQ(back, rank() == 0 ? expected : std::vector<int>());
    std::vector<int> swapped(all.size());
    world().alltoall_into(std::span<const int>(expected), swapped);
    std::vector<int> mine;
    for (int r = 0; r < ranks(); ++r) append(mine, {rank(), -rank()});
    EXPECT_EQ(swapped, mine);
}

TEST(IntoBuffers, OffRootTheOtherBufferDoesNotCount) {
    const int root = ranks() / 2;
    const std::size_t n = index_of(ranks());
    std::vector<int> send(n);
    std::iota(send.begin(), send.end(), 100);
    std::array<int, 1> part{};
    world().scatter_into(rank() == root ? send : std::vector<int>(index_of(rank()), -1), part, root);
    EXPECT_EQ(part[0], 100 + rank());
    std::vector<int> receive(rank() == root ? n : index_of(rank()), -1);
    world().gather_into(part, receive, root);
    EXPECT_EQ(receive, rank() == root ? send : std::vector<int>(index_of(rank()), -1));
}

TEST(IntoBuffers, MegabytesArrive) {
    constexpr std::size_t count = 200'003;
    constexpr auto length = static_cast<std::ptrdiff_t>(count);
    std::vector<int> buffer(count, rank());
    world().bcast_into(buffer, ranks() - 1);
    EXPECT_TRUE(buffer == std::vector<int>(count, ranks() - 1));
    std::vector<int> all(rank() == 0 ? count * index_of(ranks()) : 0);
    buffer.assign(count, rank());
    world().gather_into(buffer, all);
    for (int r = 0; r < ranks() && rank() == 0; ++r)
        EXPECT_EQ(std::count(all.begin() + r * length, all.begin() + (r + 1) * length, r), length);
    buffer.assign(count, -1);
    world().scatter_into(all, buffer);
    EXPECT_TRUE(buffer == std::vector<int>(count, rank()));
}

TEST(IntoBuffers, WrongSizesAreRefused) {
    // On every rank alike, so that nobody waits for one that has thrown.
    const std::size_t n = index_of(ranks());
    std::vector<int> send(2), right_size(2 * n), short_by_one(2 * n - 1), long_by_one(2 * n + 1);
    expect_refused([&] { world().allgather_into(send, short_by_one); });
    expect_refused([&] { world().allgather_into(send, long_by_one); });
    expect_refused([&] { world().allgather_into(send, std::span<int>()); });
    expect_refused([&] { world().alltoall_into(right_size, short_by_one); });
    expect_refused([&] { world().alltoall_into(right_size, long_by_one); });
    if (ranks() > 1) {
        std::vector<int> receive(2 * n + 1);
        expect_refused([&] { world().alltoall_into(long_by_one, receive); });  // not the same number for every rank
    }
    expect_refused([&] { world().allreduce_into(right_size, short_by_one, std::plus<>{}); });
    expect_refused([&] { world().allreduce_into(right_size, long_by_one, std::plus<>{}); });
    if (ranks() == 1) {
        std::vector<int> three(3);
        expect_refused([&] { world().scatter_into(send, three); });
        expect_refused([&] { world().gather_into(send, three); });
        expect_refused([&] { world().reduce_into(send, three, std::plus<>{}); });
        expect_refused([&] { world().scatter_into(three, send); });
        expect_refused([&] { world().gather_into(three, send); });
        expect_refused([&] { world().reduce_into(three, send, std::plus<>{}); });
    }
    EXPECT_EQ(short_by_one, std::vector<int>(2 * n - 1));
    expect_works(world());
}

}  // namespace
