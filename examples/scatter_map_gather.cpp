// The same work as pool_map, in the style of MPI: every rank runs the same code on its own part of the data.
//
// Rank 0 has the numbers 0 to 7. They are scattered over all ranks, every rank squares its own, with 0.1 s of work
// each, and the squares are gathered at rank 0. Nothing says how many numbers go where: the lengths travel with the
// data.
//
//     ./scatter_map_gather                   alone: one rank that does it all
//     rankrun -n 4 ./scatter_map_gather      four ranks on this machine, over shared memory
//     mpirun -n 4 ./scatter_map_gather       the same over MPI
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
    return rankpool::spmd(argc, argv, [](rankpool::Communicator& world) {
        std::vector<int> numbers;
        if (world.rank() == 0) numbers = {0, 1, 2, 3, 4, 5, 6, 7};

        world.barrier();  // so that the time is that of the work, not of ranks that started late
        const auto start = Clock::now();
        std::vector<int> mine = world.scatterv(numbers);
        for (int& x : mine) x = slow_square(x);
        const std::vector<int> squares = world.gatherv(mine);
        const double together = seconds_since(start);

        // The same in one line, each rank with its own function: world.map(slow_square, numbers)

        if (world.rank() != 0) return 0;
        const auto alone = Clock::now();
        std::vector<int> expected;
        for (const int x : numbers) expected.push_back(slow_square(x));
        std::printf("sequential:   %.2f s\n", seconds_since(alone));
        std::printf("on %d rank(s): %.2f s\n", world.size(), together);
        print(squares);
        return squares == expected ? 0 : 1;
    });
}
