// Pool.map: a vector of strings in, a new one out.
#include <rankpool/rankpool.hpp>
#include "map_strings/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        const bench::Arguments arguments(argc, argv);
        rankpool::Pool pool(arguments.workers);
        const std::vector<std::string> in = bench::make_items();
        std::vector<std::string> out;
        bench::repeat(
            arguments, 1, [&] { out = pool.map(bench::Shout{}, in); }, [&] { return bench::take_right(out); });
    });
}
