// How many tasks a second: all are submitted one by one, then all results are read. python.py and mpi4py_futures.py do
// the same.
#include <numeric>
#include <utility>
#include <vector>

#include <rankpool/rankpool.hpp>
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        constexpr std::size_t count = 10'000;
        const bench::Arguments arguments(argc, argv);
        rankpool::ProcessPoolExecutor executor(arguments.workers);
        long sum = 0;
        bench::repeat(
            arguments, count,
            [&] {
                std::vector<rankpool::Future<long>> futures;
                futures.reserve(count);
                for (std::size_t x = 0; x < count; ++x) futures.push_back(executor.submit([](long y) { return 2 * y; }, static_cast<long>(x)));
                sum = std::accumulate(futures.begin(), futures.end(), 0L, [](long so_far, auto& future) { return so_far + future.result(); });
            },
            [&] { return std::exchange(sum, 0) == static_cast<long>(count * (count - 1)); });
    });
}
