// What the competitors of the benchmark `collectives` do: each operation on each size, in the way of the OSU
// micro-benchmarks. A competitor hands over its ranks as a class, and this calls them:
//
//     struct Ranks {
//         int rank() const;                   // and size()
//         void barrier();
//         void bcast(std::span<double> block);
//         void scatter(std::span<const double> send, std::span<double> receive);   // gather, allgather, alltoall too
//         void reduce(std::span<const double> send, std::span<double> receive);    // the sum; allreduce too
//         double sum(double x);               // over all ranks, on all ranks; also maximum(x)
//     };
//     bench::collectives::run(Ranks{…}, bench::collectives::Arguments(argc, argv));
//
// An operation is warmed up, then called many times in a row, with nothing in between: a rank may run ahead of the
// others as far as the operation lets it. Roots are rank 0. Before each call the first element of every block that a
// rank sends is written anew, so that no result can be one of a call before; those of the last call are checked.
//
// Rank 0 prints a line for each operation and size: `operation bytes nanoseconds cpu_nanoseconds`. The bytes are those
// of a block, which is what one rank gets from another: alltoall sends one to every rank. The time is that of the loop
// over the number of calls, on the rank where it took longest; the CPU time is that of all ranks together, for a call.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "repetitions.hpp"

namespace bench::collectives {

/// What every program takes: [--native] [--only OPERATION] [BYTES...]. Without BYTES: all sizes of the benchmark.
struct Arguments {
    Arguments(int argc, char** argv) {
        const std::string usage = "usage: PROGRAM [--native] [--only OPERATION] [BYTES...], BYTES a multiple of 8";
        for (int i = 1; i < argc; ++i) {
            const std::string_view argument = argv[i];
            if (argument == "--native") {
                native = true;
            } else if (argument == "--only" && i + 1 < argc) {
                only = argv[++i];
            } else {
                char* end = nullptr;
                const long long value = std::strtoll(argv[i], &end, 10);
                if (end == argv[i] || *end != '\0' || value < 8 || value % 8 != 0 || value > (1LL << 30))
                    throw std::invalid_argument(usage);
                sizes.push_back(static_cast<std::size_t>(value));
            }
        }
        if (sizes.empty()) sizes = {8, 512, 4096, 65'536, 1'048'576, 16'777'216};
    }

    bool native = false;  // for rankpool over MPI: reductions in MPI's own way
    std::string only;     // empty: all operations
    std::vector<std::size_t> sizes;
};

/// Nanoseconds of one call.
struct Times {
    double wall, cpu;
};

inline double cpu_nanoseconds() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    const auto nanoseconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
    };
    return nanoseconds(used.ru_utime) + nanoseconds(used.ru_stime);
}

/// The calls that are measured, unless they take too long.
inline long calls_for(std::size_t bytes) {
    if (bytes <= 4096) return 20'000;
    if (bytes <= 65'536) return 2'000;
    if (bytes <= 1'048'576) return 200;
    return 20;
}

inline constexpr double longest_loop = 0.25e9;  // nanoseconds: where a call takes milliseconds, there are fewer of them
inline constexpr long fewest_calls = 5;

/// `calls(stamp)` in loops, and the line of the last one. `is_right(stamp)` is asked on every rank after it.
template <class Ranks, class Call, class Check>
void measure(Ranks& ranks, std::string_view operation, std::size_t bytes, Call&& call, Check&& is_right) {
    double stamp = 0;  // another one for each call
    const auto loop = [&](long calls) {
        ranks.barrier();
        const double cpu = cpu_nanoseconds();
        const auto start = Clock::now();
        for (long i = 0; i < calls; ++i) call(++stamp);
        const double wall = nanoseconds_since(start);
        const double used = cpu_nanoseconds() - cpu;
        return Times{ranks.maximum(wall) / static_cast<double>(calls), ranks.sum(used) / static_cast<double>(calls)};
    };
    // All ranks have the same times, and so they agree on the number of calls.
    const auto affordable = [](double budget, const Times& each, long most) {
        const double calls = budget / std::max(each.wall, 1.0);
        return calls >= static_cast<double>(most) ? most : std::max(fewest_calls, static_cast<long>(calls));
    };
    const long most = calls_for(bytes);
    const Times cold = loop(2);
    const Times warm = loop(affordable(longest_loop / 5, cold, std::max(fewest_calls, most / 10)));
    const Times each = loop(affordable(longest_loop, warm, most));

    if (ranks.maximum(is_right(stamp) ? 0 : 1) != 0)
        throw std::runtime_error("benchmark: the result of " + std::string(operation) + " is wrong");
    if (ranks.rank() != 0) return;
    std::printf("%.*s %zu %.1f %.1f\n", static_cast<int>(operation.size()), operation.data(), bytes, each.wall,
                each.cpu);
    std::fflush(stdout);
}

/// Element `i` of the block that rank `from` sends to rank `to`. A small whole number: sums of them are exact.
inline double element(int from, int to, std::size_t i) {
    return 1009.0 * from + 101.0 * to + static_cast<double>(i % 97);
}

/// The blocks that rank `from` sends, one to each of `to` ranks.
class Blocks {
  public:
    Blocks(int from, int to, std::size_t count) : from_(from), to_(to), count_(count) {
        elements_.reserve(count * static_cast<std::size_t>(to));
        for (int r = 0; r < to; ++r)
            for (std::size_t i = 0; i < count; ++i) elements_.push_back(element(from, r, i));
    }

    /// Writes to the first element of each block.
    void stamp(double value) {
        std::size_t first = 0;
        for (int r = 0; r < to_; ++r, first += count_) elements_[first] = element(from_, r, 0) + value;
    }

    operator std::span<double>() { return elements_; }
    operator std::span<const double>() const { return elements_; }

  private:
    int from_, to_;
    std::size_t count_;
    std::vector<double> elements_;
};

/// Whether this is the block that rank `from` sent to rank `to` when it had the stamp.
inline bool is_block(std::span<const double> block, int from, int to, double stamp) {
    for (std::size_t i = 0; i < block.size(); ++i)
        if (block[i] != element(from, to, i) + (i == 0 ? stamp : 0)) return false;
    return true;
}

/// Whether these are the blocks that the ranks sent: number r that of rank r to rank `to`.
inline bool are_blocks(std::span<const double> blocks, int ranks, int to, double stamp) {
    const std::size_t count = blocks.size() / static_cast<std::size_t>(ranks);
    for (int r = 0; r < ranks; ++r)
        if (!is_block(blocks.subspan(static_cast<std::size_t>(r) * count, count), r, to, stamp)) return false;
    return true;
}

/// Whether this is the sum of the blocks that the ranks had for rank 0.
inline bool is_sum(std::span<const double> block, int ranks, double stamp) {
    for (std::size_t i = 0; i < block.size(); ++i) {
        double sum = 0;
        for (int r = 0; r < ranks; ++r) sum += element(r, 0, i) + (i == 0 ? stamp : 0);
        if (block[i] != sum) return false;
    }
    return true;
}

/// All operations on blocks of `bytes`.
template <class Ranks>
void run_size(Ranks& ranks, std::size_t bytes, std::string_view only) {
    using Block = std::vector<double>;
    const std::size_t count = bytes / sizeof(double);
    const int rank = ranks.rank(), size = ranks.size();
    const std::size_t all = count * static_cast<std::size_t>(size);
    const bool root = rank == 0;
    const auto wanted = [&](std::string_view operation) { return only.empty() || only == operation; };

    if (wanted("bcast")) {
        Blocks block(root ? 0 : -1, 1, count);  // elsewhere: something else, that it must replace
        const auto call = [&](double stamp) {
            if (root) block.stamp(stamp);
            ranks.bcast(block);
        };
        measure(ranks, "bcast", bytes, call, [&](double stamp) { return is_block(block, 0, 0, stamp); });
    }
    if (wanted("scatter")) {
        Blocks send(rank, root ? size : 0, count);
        Block receive(count);
        const auto call = [&](double stamp) {
            send.stamp(stamp);
            ranks.scatter(send, receive);
        };
        measure(ranks, "scatter", bytes, call, [&](double stamp) { return is_block(receive, 0, rank, stamp); });
    }
    if (wanted("gather")) {
        Blocks send(rank, 1, count);
        Block receive(root ? all : 0);
        const auto call = [&](double stamp) {
            send.stamp(stamp);
            ranks.gather(send, receive);
        };
        measure(ranks, "gather", bytes, call,
                [&](double stamp) { return !root || are_blocks(receive, size, 0, stamp); });
    }
    if (wanted("allgather")) {
        Blocks send(rank, 1, count);
        Block receive(all);
        const auto call = [&](double stamp) {
            send.stamp(stamp);
            ranks.allgather(send, receive);
        };
        measure(ranks, "allgather", bytes, call, [&](double stamp) { return are_blocks(receive, size, 0, stamp); });
    }
    if (wanted("alltoall")) {
        Blocks send(rank, size, count);
        Block receive(all);
        const auto call = [&](double stamp) {
            send.stamp(stamp);
            ranks.alltoall(send, receive);
        };
        measure(ranks, "alltoall", bytes, call, [&](double stamp) { return are_blocks(receive, size, rank, stamp); });
    }
    if (wanted("reduce")) {
        Blocks send(rank, 1, count);
        Block receive(root ? count : 0);
        const auto call = [&](double stamp) {
            send.stamp(stamp);
            ranks.reduce(send, receive);
        };
        measure(ranks, "reduce", bytes, call, [&](double stamp) { return !root || is_sum(receive, size, stamp); });
    }
    if (wanted("allreduce")) {
        Blocks send(rank, 1, count);
        Block receive(count);
        const auto call = [&](double stamp) {
            send.stamp(stamp);
            ranks.allreduce(send, receive);
        };
        measure(ranks, "allreduce", bytes, call, [&](double stamp) { return is_sum(receive, size, stamp); });
    }
}

/// Everything that the arguments ask for. Throws std::runtime_error, on all ranks, when a result was wrong.
template <class Ranks>
void run(Ranks ranks, const Arguments& arguments) {
    if (arguments.only.empty() || arguments.only == "barrier")
        measure(
            ranks, "barrier", 0, [&](double) { ranks.barrier(); }, [](double) { return true; });
    for (const std::size_t bytes : arguments.sizes) run_size(ranks, bytes, arguments.only);
}

}  // namespace bench::collectives
