// rankpool's collectives into buffers that are there. With --native, reductions are MPI's own (under mpirun).
#include <algorithm>
#include <functional>
#include <span>

#include <rankpool/rankpool.hpp>

#include "collectives/cases.hpp"

namespace {

using Send = std::span<const double>;
using Receive = std::span<double>;

template <class Plus>
struct Ranks {
    rankpool::Communicator& world;
    Plus plus;

    int rank() const { return world.rank(); }
    int size() const { return world.size(); }
    void barrier() { world.barrier(); }
    void bcast(Receive block) { world.bcast_into(block); }
    void scatter(Send send, Receive receive) { world.scatter_into(send, receive); }
    void gather(Send send, Receive receive) { world.gather_into(send, receive); }
    void allgather(Send send, Receive receive) { world.allgather_into(send, receive); }
    void alltoall(Send send, Receive receive) { world.alltoall_into(send, receive); }
    void reduce(Send send, Receive receive) { world.reduce_into(send, receive, plus); }
    void allreduce(Send send, Receive receive) { world.allreduce_into(send, receive, plus); }
    double sum(double x) { return world.allreduce(x, std::plus<>{}); }
    double maximum(double x) {
        return world.allreduce(x, [](double a, double b) { return std::max(a, b); });
    }
};

template <class Plus>
void measure_all(rankpool::Communicator& world, Plus plus, const bench::collectives::Arguments& arguments) {
    bench::collectives::run(Ranks<Plus>{world, plus}, arguments);
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::spmd(argc, argv, [&](rankpool::Communicator& world) {
        const bench::collectives::Arguments arguments(argc, argv);
        if (arguments.native)
            measure_all(world, rankpool::native(std::plus<>{}), arguments);
        else
            measure_all(world, std::plus<>{}, arguments);
    });
}
