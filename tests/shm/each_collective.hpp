// Every collective operation with what it has to bring, and the settings in which it has to.
#pragma once

#include "shm/ranks_as_threads.hpp"

namespace shm_test {

// ---- collectives: what each of them has to bring ----

// What `source` has for `destination` in an operation; `number` tells operations apart.
inline Bytes block(std::size_t size, int source, int destination, int number) { return pattern(size, source, 64 * number + destination); }

// Parts of any size: some are empty.
inline std::size_t part_size(std::size_t size, int source, int destination) {
    const int kind = (source + destination) % 4;
    return kind == 1 ? 0 : kind == 2 ? size / 2 : size;
}
inline Bytes part(std::size_t size, int source, int destination, int number) {
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
inline Row row_from(PartOf part_of, std::size_t size, int source, int ranks, int number) {
    Row row;
    for (int rank = 0; rank < ranks; ++rank) row.append(part_of(size, source, rank, number));
    return row;
}
inline Row row_to(PartOf part_of, std::size_t size, int destination, int ranks, int number) {
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
inline Row single(const Bytes& bytes) {
    Row row;
    row.append(bytes);
    return row;
}

// The caller's memory is its own again when an operation returns.
inline void spoil(Bytes& bytes) { std::fill(bytes.begin(), bytes.end(), std::byte{0xee}); }

// Functions x -> factor * x + summand, the left one applied first: the order counts, the brackets do not.
template <class Word>
struct Affine {
    Word factor, summand;
    static Affine composed(Affine first, Affine then) {
        return {static_cast<Word>(then.factor * first.factor), static_cast<Word>(then.factor * first.summand + then.summand)};
    }
};
inline void compose_words(const void*, std::byte* left, const std::byte* right, std::size_t count) {
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
inline void compose_bytes(const void* op, std::byte* left, const std::byte* right, std::size_t count) {
    using Function = Affine<unsigned>;
    const auto function_of = [](std::byte byte) {
        return Function{std::to_integer<unsigned>(byte) >> 4, std::to_integer<unsigned>(byte) & 15u};
    };
    for (std::size_t i = 0; i < count * *static_cast<const std::size_t*>(op); ++i) {
        const Function both = Function::composed(function_of(left[i]), function_of(right[i]));
        left[i] = static_cast<std::byte>((both.factor & 15u) << 4 | (both.summand & 15u));
    }
}
inline Fold fold_of_bytes(const std::size_t& element_size) {
    return {.element_size = element_size, .apply = compose_bytes, .op = &element_size, .name = "compose"};
}
inline Fold fold_for(std::size_t size) {
    static constexpr std::size_t one = 1;
    return size % 8 == 0 ? Fold{.element_size = 8, .apply = compose_words, .name = "compose"} : fold_of_bytes(one);
}
inline Bytes folded(std::size_t size, int ranks, int number, const Fold& fold) {
    Bytes left = pattern(size, 0, number);
    for (int rank = 1; rank < ranks; ++rank) fold(left.data(), pattern(size, rank, number).data(), size / fold.element_size);
    return left;
}

// One operation of each kind, with what arrives.

inline void do_barrier(Transport& transport, std::size_t, int, int) { transport.barrier(); }

inline void do_bcast(Transport& transport, std::size_t size, int root, int number) {
    Bytes bytes = transport.rank() == root ? pattern(size, root, number) : Bytes(size);
    transport.bcast(bytes, root);
    expect_pattern(bytes, size, root, number);
    spoil(bytes);
}

inline void do_scatter(Transport& transport, std::size_t size, int root, int number) {
    Row send;
    if (transport.rank() == root) send = row_from(block, size, root, transport.size(), number);
    Bytes arrived(size);
    transport.scatter(send.bytes, arrived, root);
    spoil(send.bytes);
    expect_same(arrived, block(size, root, transport.rank(), number));
}

inline void do_gather(Transport& transport, std::size_t size, int root, int number) {
    const bool at_root = transport.rank() == root;
    Bytes send = block(size, transport.rank(), root, number), arrived(at_root ? size * index_of(transport.size()) : 0);
    transport.gather(send, arrived, root);
    spoil(send);
    if (at_root) expect_same(arrived, row_to(block, size, root, transport.size(), number).bytes);
}

inline void do_allgather(Transport& transport, std::size_t size, int, int number) {
    Bytes send = block(size, transport.rank(), 0, number), arrived(size * index_of(transport.size()));
    transport.allgather(send, arrived);
    spoil(send);
    expect_same(arrived, row_to(block, size, 0, transport.size(), number).bytes);
}

inline void do_alltoall(Transport& transport, std::size_t size, int, int number) {
    Row send = row_from(block, size, transport.rank(), transport.size(), number);
    Bytes arrived(send.bytes.size());
    transport.alltoall(send.bytes, arrived);
    spoil(send.bytes);
    expect_same(arrived, row_to(block, size, transport.rank(), transport.size(), number).bytes);
}

inline void do_reduce(Transport& transport, std::size_t size, int root, int number) {
    const bool at_root = transport.rank() == root;
    const Fold fold = fold_for(size);
    Bytes send = pattern(size, transport.rank(), number), result(at_root ? size : 0);
    transport.reduce(send, result, fold, root);
    expect_pattern(send, size, transport.rank(), number);
    spoil(send);
    if (at_root) expect_same(result, folded(size, transport.size(), number, fold));
}

inline void do_reduce_in_place(Transport& transport, std::size_t size, int root, int number) {
    const Fold fold = fold_for(size);
    Bytes row = pattern(size, transport.rank(), number);
    transport.reduce(row, row, fold, root);
    expect_same(row, transport.rank() == root ? folded(size, transport.size(), number, fold) : pattern(size, transport.rank(), number));
    spoil(row);
}

inline void do_allreduce(Transport& transport, std::size_t size, int, int number) {
    const Fold fold = fold_for(size);
    Bytes send = pattern(size, transport.rank(), number), result(size);
    transport.allreduce(send, result, fold);
    expect_pattern(send, size, transport.rank(), number);
    spoil(send);
    expect_same(result, folded(size, transport.size(), number, fold));
}

inline void do_allreduce_in_place(Transport& transport, std::size_t size, int, int number) {
    const Fold fold = fold_for(size);
    Bytes row = pattern(size, transport.rank(), number);
    transport.allreduce(row, row, fold);
    expect_same(row, folded(size, transport.size(), number, fold));
    spoil(row);
}

inline void do_bcastv(Transport& transport, std::size_t size, int root, int number) {
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

inline void do_scatterv(Transport& transport, std::size_t size, int root, int number) {
    Row send;
    if (transport.rank() == root) send = row_from(part, size, root, transport.size(), number);
    Arrival arrival;
    transport.scatterv(send.bytes.data(), send.sizes, arrival.place(), root, 1);
    spoil(send.bytes);
    arrival.expect(single(part(size, root, transport.rank(), number)));
}

inline void do_gatherv(Transport& transport, std::size_t size, int root, int number) {
    Bytes send = part(size, transport.rank(), root, number);
    Arrival arrival;
    transport.gatherv(send, arrival.place(), root, 1);
    spoil(send);
    if (transport.rank() == root)
        arrival.expect(row_to(part, size, root, transport.size(), number));
    else
        EXPECT_EQ(arrival.calls, 0);
}

inline void do_allgatherv(Transport& transport, std::size_t size, int, int number) {
    Bytes send = part(size, transport.rank(), 0, number);
    Arrival arrival;
    transport.allgatherv(send, arrival.place(), 1);
    spoil(send);
    arrival.expect(row_to(part, size, 0, transport.size(), number));
}

inline void do_alltoallv(Transport& transport, std::size_t size, int, int number) {
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
inline constexpr std::array collectives{
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
inline constexpr std::size_t block_sizes[]{0, 1, 8, 13, 104, 105, 4 << 10, (8 << 10) + 8, 32 << 10, (32 << 10) + 1, 300'000};

// ---- collectives: in every setting ----

enum class Copying : std::uint8_t { single, refused };
// How ranks hear of each other's arrival is decided by the number of CPUs; here it is decided by the test.
enum class Hearing : std::uint32_t { one_by_one = 1, counted = 2 };

inline void decide(const JobMemory& memory, Hearing hearing) {
    CollectiveArea(memory.area(0, memory.ranks()), memory.ranks()).header().counted = static_cast<std::uint32_t>(hearing);
}

using Setting = std::tuple<int, Copying, Hearing>;
inline std::string name_of(const Setting& setting) {
    const auto [ranks, copying, hearing] = setting;
    return std::to_string(ranks) + (copying == Copying::single ? "SingleCopy" : "Messages") +
           (hearing == Hearing::counted ? "Counted" : "OneByOne");
}
inline void run_job_in(const Setting& setting, const Body& body) {
    const auto [ranks, copying, hearing] = setting;
    const JobMemory memory = JobMemory::create(ranks);
    decide(memory, hearing);
    run_whole_job(memory, [&, refused = copying == Copying::refused](ShmTransport& transport) {
        if (refused) refuse_single_copy(memory, transport.rank());
        body(transport);
    });
}
inline const auto all_settings = testing::Combine(testing::Values(1, 2, 3, 5, 8), testing::Values(Copying::single, Copying::refused),
                                           testing::Values(Hearing::one_by_one, Hearing::counted));

// Operation number `number` of a sequence with changing roots and sizes, in which every kind follows every other.
inline constexpr int all_pairs = static_cast<int>(2 * collectives.size() * collectives.size());
inline void do_number(Transport& transport, int number, std::size_t largest) {
    const auto count = static_cast<int>(collectives.size());
    const Collective& collective = collectives[index_of((number / 2 + (number % 2 == 0 ? 0 : number / 2 / count)) % count)];
    std::size_t size = block_sizes[index_of(number * 7 % static_cast<int>(std::size(block_sizes)))];
    if (size > largest) size = index_of(number) % (largest + 1);
    const int root = (number + number / 3) % transport.size();
    SCOPED_TRACE(testing::Message() << collective.name << ", number " << number << ", " << size << " bytes, root " << root << ", at rank "
                                    << transport.rank());
    collective.run(transport, size, root, number);
}

}  // namespace shm_test
