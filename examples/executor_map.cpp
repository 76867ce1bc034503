// ProcessPoolExecutor.map: long loops on worker processes, results in the order of the input.
//
// Sums i * i for i below one, two and three million and prints the three sums.
//
//     ./executor_map                   alone: a worker process for every usable CPU
//     rankrun -n 4 ./executor_map      workers on four ranks of this machine
//     mpirun -n 4 ./executor_map       the same over MPI
#include <cstdint>
#include <iostream>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

/// The task: runs in a worker.
std::int64_t sum_of_squares(std::int64_t limit) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < limit; ++i) sum += i * i;
    return sum;
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [] {
        rankpool::ProcessPoolExecutor executor;
        const std::vector<std::int64_t> limits = {1'000'000, 2'000'000, 3'000'000};
        const char* before = "[";
        for (const std::int64_t sum : executor.map(sum_of_squares, limits)) {
            std::cout << before << sum;
            before = ", ";
        }
        std::cout << "]\n";
    });
}
