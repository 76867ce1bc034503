// Pool.map, as in Python: one function over many items, on worker processes, results in the order of the items.
//
// Squares the numbers 0 to 7, each with 0.1 s of work, first one after the other, then with four workers.
//
//     ./pool_map                   alone: the pool starts four worker processes of its own
//     rankrun -n 4 ./pool_map      four ranks on this machine: each of them runs one of the workers
//     mpirun -n 4 ./pool_map       the same over MPI
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <thread>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using Clock = std::chrono::steady_clock;

int slow_square(int x) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return x * x;
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void print(const std::vector<int>& numbers) {
    std::printf("[");
    for (std::size_t i = 0; i < numbers.size(); ++i) std::printf("%s%d", i == 0 ? "" : ", ", numbers[i]);
    std::printf("]\n");
}

}  // namespace

int main(int argc, char** argv) {
    // Only rank 0 (or the program, when it runs alone) comes into this function; the other ranks serve its pools.
    return rankpool::run(argc, argv, [] {
        const std::vector<int> numbers = {0, 1, 2, 3, 4, 5, 6, 7};

        auto start = Clock::now();
        std::vector<int> expected;
        for (const int x : numbers) expected.push_back(slow_square(x));
        std::printf("sequential:     %.2f s\n", seconds_since(start));

        start = Clock::now();
        rankpool::Pool pool(4);
        const std::vector<int> squares = pool.map(slow_square, numbers);
        std::printf("with 4 workers: %.2f s\n", seconds_since(start));

        print(squares);
        return squares == expected ? 0 : 1;
    });
}
