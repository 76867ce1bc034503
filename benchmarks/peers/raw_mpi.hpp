// How a benchmark's work is done with MPI by hand: MPI_Scatterv, each rank does its block, MPI_Gatherv; all memory is
// there before. Rank 0 tells the time from a barrier to the end of its own gather.
//
//     return bench::map_with_raw_mpi(argc, argv, bench::make_items, bench::Square{}, bench::take_right);
#pragma once

#include <mpi.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <type_traits>
#include <vector>

#include "repetitions.hpp"

namespace bench {

inline MPI_Datatype mpi_type(int) { return MPI_INT; }
inline MPI_Datatype mpi_type(double) { return MPI_DOUBLE; }

/// A barrier and the work, rank 0 with the clock; the others as often, without.
template <class Work, class Check>
void repeat_on_ranks(const Arguments& arguments, int rank, Work&& work, Check&& is_right) {
    if (rank == 0) {
        repeat_measured(
            arguments,
            [&] {
                MPI_Barrier(MPI_COMM_WORLD);
                const auto start = Clock::now();
                work();
                return nanoseconds_since(start);
            },
            is_right);
    } else {
        for (int i = 0; i < arguments.warm_ups + arguments.repetitions; ++i) {
            MPI_Barrier(MPI_COMM_WORLD);
            work();
        }
    }
}

/// Ends the job when there are not as many ranks as the arguments ask for.
inline void require_ranks(const Arguments& arguments, int size) {
    if (arguments.workers == 0 || arguments.workers == size) return;
    std::fprintf(stderr, "benchmark: %d ranks were asked for, there are %d\n", arguments.workers, size);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/// The program: `function` on each of make_items(); `take_right` says whether the results are right, and spoils them.
template <class Make, class F, class Check>
int map_with_raw_mpi(int argc, char** argv, Make make_items, F function, Check take_right) {
    using Item = typename std::invoke_result_t<Make&>::value_type;
    using R = std::invoke_result_t<F&, const Item&>;
    MPI_Init(&argc, &argv);
    int rank = 0, size = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const Arguments arguments(argc, argv);
    require_ranks(arguments, size);

    std::vector<Item> in;
    if (rank == 0) in = make_items();
    int total = static_cast<int>(in.size());
    MPI_Bcast(&total, 1, MPI_INT, 0, MPI_COMM_WORLD);
    std::vector<int> counts, displacements;
    int given = 0;
    for (int r = 0; r < size; ++r) {
        counts.push_back(total / size + (r < total % size ? 1 : 0));
        displacements.push_back(given);
        given += counts.back();
    }
    const int mine = counts[static_cast<std::size_t>(rank)];
    std::vector<Item> block(static_cast<std::size_t>(mine));
    std::vector<R> results(block.size()), out(in.size());
    const MPI_Datatype item_type = mpi_type(Item()), result_type = mpi_type(R());
    const auto scatter_map_gather = [&] {
        MPI_Scatterv(in.data(), counts.data(), displacements.data(), item_type, block.data(), mine, item_type, 0,
                     MPI_COMM_WORLD);
        std::transform(block.begin(), block.end(), results.begin(), function);
        MPI_Gatherv(results.data(), mine, result_type, out.data(), counts.data(), displacements.data(), result_type, 0,
                    MPI_COMM_WORLD);
    };
    repeat_on_ranks(arguments, rank, scatter_map_gather, [&] { return take_right(out); });
    MPI_Finalize();
    return 0;
}

}  // namespace bench
