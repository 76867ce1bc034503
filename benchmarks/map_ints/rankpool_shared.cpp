// Pool.map_into between vectors that the workers share: items are read and results written where they lie.
#include <rankpool/rankpool.hpp>
#include "map_ints/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        const bench::Arguments arguments(argc, argv);
        rankpool::Pool pool(arguments.workers);  // 0: process_cpu_count() of them
        const auto in = rankpool::share(bench::make_items());
        rankpool::shared_vector<int> out(bench::count);
        bench::repeat(
            arguments, 1, [&] { pool.map_into(bench::Square{}, in, out); }, [&] { return bench::take_right(out); });
    });
}
