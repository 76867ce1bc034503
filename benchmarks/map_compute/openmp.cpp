// OpenMP's parallel loop over two existing vectors, in equal parts: all items take the same time.
#include <omp.h>

#include "map_compute/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    const bench::Arguments arguments(argc, argv);
    const int threads = arguments.workers > 0 ? arguments.workers : omp_get_max_threads();
    const std::vector<double> in = bench::make_items();
    std::vector<double> out(bench::count);
    const auto map = [&] {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (std::size_t i = 0; i < bench::count; ++i) out[i] = bench::Iterate{}(in[i]);
    };
    bench::repeat(arguments, 1, map, [&] { return bench::take_right(out); });
}
