// MPI's collectives by hand: one call for each operation. Compiled for Open MPI and for MPICH.
#include <mpi.h>

#include <cstdio>
#include <exception>
#include <span>
#include <stdexcept>

#include "collectives/cases.hpp"

namespace {

using Send = std::span<const double>;
using Receive = std::span<double>;

int count_of(Send block) { return static_cast<int>(block.size()); }

struct Ranks {
    int rank() const { return rank_; }
    int size() const { return size_; }
    void barrier() { MPI_Barrier(MPI_COMM_WORLD); }
    void bcast(Receive block) { MPI_Bcast(block.data(), count_of(block), MPI_DOUBLE, 0, MPI_COMM_WORLD); }
    void scatter(Send send, Receive receive) {
        const int count = count_of(receive);
        MPI_Scatter(send.data(), count, MPI_DOUBLE, receive.data(), count, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    }
    void gather(Send send, Receive receive) {
        const int count = count_of(send);
        MPI_Gather(send.data(), count, MPI_DOUBLE, receive.data(), count, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    }
    void allgather(Send send, Receive receive) {
        const int count = count_of(send);
        MPI_Allgather(send.data(), count, MPI_DOUBLE, receive.data(), count, MPI_DOUBLE, MPI_COMM_WORLD);
    }
    void alltoall(Send send, Receive receive) {
        const int count = count_of(send) / size_;
        MPI_Alltoall(send.data(), count, MPI_DOUBLE, receive.data(), count, MPI_DOUBLE, MPI_COMM_WORLD);
    }
    void reduce(Send send, Receive receive) {
        MPI_Reduce(send.data(), receive.data(), count_of(send), MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    }
    void allreduce(Send send, Receive receive) {
        MPI_Allreduce(send.data(), receive.data(), count_of(send), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    }
    double sum(double x) { return over_all(x, MPI_SUM); }
    double maximum(double x) { return over_all(x, MPI_MAX); }

    Ranks() {
        MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
        MPI_Comm_size(MPI_COMM_WORLD, &size_);
    }

  private:
    static double over_all(double x, MPI_Op operation) {
        double result = 0;
        MPI_Allreduce(&x, &result, 1, MPI_DOUBLE, operation, MPI_COMM_WORLD);
        return result;
    }

    int rank_ = 0, size_ = 1;
};

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    try {
        const bench::collectives::Arguments arguments(argc, argv);
        if (arguments.native) throw std::invalid_argument("raw_mpi: --native is for rankpool; this is MPI anyway");
        bench::collectives::run(Ranks(), arguments);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
}
