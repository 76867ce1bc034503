// Pool.map_into: from one existing vector to another, as the other competitors do it.
#include <rankpool/rankpool.hpp>
#include "map_ints/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        const bench::Arguments arguments(argc, argv);
        rankpool::Pool pool(arguments.workers);  // 0: process_cpu_count() of them
        const std::vector<int> in = bench::make_items();
        std::vector<int> out(bench::count);
        bench::repeat(
            arguments, 1, [&] { pool.map_into(bench::Square{}, in, out); }, [&] { return bench::take_right(out); });
    });
}
