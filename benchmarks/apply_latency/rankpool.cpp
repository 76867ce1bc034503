// The time from a call to its result: Pool.apply of a trivial function, one call after the other. A repetition's line
// is the median of its calls. python.py does the same.
#include <rankpool/rankpool.hpp>
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        constexpr long calls = 2'000;
        const bench::Arguments arguments(argc, argv);
        rankpool::Pool pool(arguments.workers);
        bool right = true;
        std::vector<double> times(calls);
        bench::repeat_measured(
            arguments,
            [&] {
                for (long x = 0; x < calls; ++x) {
                    const auto start = bench::Clock::now();
                    const long square = pool.apply([](long y) { return y * y; }, x);
                    times[static_cast<std::size_t>(x)] = bench::nanoseconds_since(start);
                    right = right && square == x * x;
                }
                return bench::median(times);
            },
            [&] { return right; });
    });
}
