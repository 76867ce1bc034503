// Pool.map: a vector in, a new vector out.
#include <rankpool/rankpool.hpp>
#include "map_skewed/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        const bench::Arguments arguments(argc, argv);
        rankpool::Pool pool(arguments.workers);
        const std::vector<int> in = bench::make_items();
        std::vector<double> out;
        bench::repeat(
            arguments, 1, [&] { out = pool.map(bench::Iterate{}, in); }, [&] { return bench::take_right(out); });
    });
}
