// Pool.map: a vector in, a new vector out. Its memory is taken and touched within the measured time.
#include <rankpool/rankpool.hpp>
#include "map_ints/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        const bench::Arguments arguments(argc, argv);
        rankpool::Pool pool(arguments.workers);  // 0: process_cpu_count() of them
        const std::vector<int> in = bench::make_items();
        std::vector<int> out;
        bench::repeat(
            arguments, 1, [&] { out = pool.map(bench::Square{}, in); },
            [&] {
                const bool right = bench::take_right(out);
                out = {};
                return right;
            });
    });
}
