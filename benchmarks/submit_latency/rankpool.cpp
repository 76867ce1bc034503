// The time from a submit to its result: one future after the other. A repetition's line is the median of its calls.
// python.py and mpi4py_futures.py do the same.
#include <rankpool/rankpool.hpp>
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        constexpr long calls = 2'000;
        const bench::Arguments arguments(argc, argv);
        rankpool::ProcessPoolExecutor executor(arguments.workers);
        bool right = true;
        std::vector<double> times(calls);
        bench::repeat_measured(
            arguments,
            [&] {
                for (long x = 0; x < calls; ++x) {
                    const auto start = bench::Clock::now();
                    const long square = executor.submit([](long y) { return y * y; }, x).result();
                    times[static_cast<std::size_t>(x)] = bench::nanoseconds_since(start);
                    right = right && square == x * x;
                }
                return bench::median(times);
            },
            [&] { return right; });
    });
}
