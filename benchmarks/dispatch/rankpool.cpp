// What it costs to hand an item to a worker and its result back: trivial items, one at a time. python.py does the same.
#include <utility>

#include <rankpool/rankpool.hpp>
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        constexpr std::size_t count = 100'000;
        const bench::Arguments arguments(argc, argv);
        rankpool::Pool pool(arguments.workers);
        std::vector<long> in(count), expected(count), out;
        for (std::size_t i = 0; i < count; ++i) {
            in[i] = static_cast<long>(i);
            expected[i] = in[i] * in[i];
        }
        bench::repeat(
            arguments, count, [&] { out = pool.map([](long x) { return x * x; }, in, {.chunksize = 1}); },
            [&] { return std::exchange(out, {}) == expected; });
    });
}
