// MPI by hand: MPI_Scatterv, each rank squares its block, MPI_Gatherv; all memory is there before. Rank 0 tells the
// time from a barrier to the end of its own gather.
#include <mpi.h>

#include "map_ints/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int rank = 0, size = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const bench::Arguments arguments(argc, argv);
    if (arguments.workers != 0 && arguments.workers != size) {
        std::fprintf(stderr, "raw_mpi: %d ranks were asked for, there are %d\n", arguments.workers, size);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }

    std::vector<int> counts, displacements;
    int given = 0;
    for (int r = 0; r < size; ++r) {
        const int total = static_cast<int>(bench::count);
        counts.push_back(total / size + (r < total % size ? 1 : 0));
        displacements.push_back(given);
        given += counts.back();
    }
    const int mine = counts[static_cast<std::size_t>(rank)];
    std::vector<int> block(static_cast<std::size_t>(mine));
    std::vector<int> in, out;
    if (rank == 0) {
        in = bench::make_items();
        out.resize(bench::count);
    }
    const auto scatter_square_gather = [&] {
        MPI_Scatterv(in.data(), counts.data(), displacements.data(), MPI_INT, block.data(), mine, MPI_INT, 0,
                     MPI_COMM_WORLD);
        for (int& x : block) x = bench::Square{}(x);
        MPI_Gatherv(block.data(), mine, MPI_INT, out.data(), counts.data(), displacements.data(), MPI_INT, 0,
                    MPI_COMM_WORLD);
    };
    if (rank == 0) {
        bench::repeat_measured(
            arguments,
            [&] {
                MPI_Barrier(MPI_COMM_WORLD);
                const auto start = bench::Clock::now();
                scatter_square_gather();
                return bench::nanoseconds_since(start);
            },
            [&] { return bench::take_right(out); });
    } else {
        for (int i = 0; i < arguments.warm_ups + arguments.repetitions; ++i) {
            MPI_Barrier(MPI_COMM_WORLD);
            scatter_square_gather();
        }
    }
    MPI_Finalize();
}
