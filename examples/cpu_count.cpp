// How many CPUs there are, how many of them are ours, and who the workers of a pool are.
//
// Pool() starts a worker for every CPU that this process may use: the affinity mask and the limits of containers and
// batch systems count, not the size of the machine. In a job it is every rank's share of the CPUs of its machine, at
// least one worker a rank.
//
//     ./cpu_count                         alone
//     RANKPOOL_CPU_COUNT=3 ./cpu_count    as if three CPUs were ours
//     rankrun -n 4 ./cpu_count            workers on four ranks of this machine
//     mpirun -n 4 ./cpu_count             the same over MPI
#include <cstdio>

#include <rankpool/rankpool.hpp>

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [] {
        std::printf("CPUs of this machine:      %d\n", rankpool::cpu_count());
        std::printf("CPUs this process may use: %d\n", rankpool::process_cpu_count());

        const rankpool::Pool pool;
        std::printf("workers of a pool:         %d\n", pool.size());
        for (const rankpool::WorkerInfo& worker : pool.workers()) {
            std::printf("  worker %d: pid %d on %s", worker.index, static_cast<int>(worker.pid), worker.host.c_str());
            if (worker.rank >= 0) std::printf(", rank %d", worker.rank);  // -1: a program that runs alone has no ranks
            std::printf("\n");
        }
    });
}
