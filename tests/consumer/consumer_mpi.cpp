// A user's program that initialises MPI itself, and keeps it.
#include <cstdio>

#include <mpi.h>

#include <rankpool/mpi.hpp>
#include <rankpool/rankpool.hpp>

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    {
        rankpool::Communicator world = rankpool::mpi::communicator(MPI_COMM_WORLD);
        const int sum = world.allreduce(world.rank() + 1, std::plus<>{});
        // A pool beside MPI, of processes of this rank's own.
        rankpool::Pool pool(rankpool::PoolOptions{.processes = 1, .backend = rankpool::Backend::processes});
        const int square = pool.apply([](int x) { return x * x; }, sum);
        if (rank == 0) std::printf("sum %d square %d\n", sum, square);
    }
    MPI_Finalize();
}
