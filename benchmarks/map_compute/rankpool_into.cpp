// Pool.map_into: from one existing vector to another, as the other competitors do it.
#include <rankpool/rankpool.hpp>
#include "map_compute/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        const bench::Arguments arguments(argc, argv);
        rankpool::Pool pool(arguments.workers);
        const std::vector<double> in = bench::make_items();
        std::vector<double> out(bench::count);
        bench::repeat(
            arguments, 1, [&] { pool.map_into(bench::Iterate{}, in, out); }, [&] { return bench::take_right(out); });
    });
}
