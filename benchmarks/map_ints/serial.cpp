// A plain loop in one thread over two existing vectors.
#include "map_ints/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    const bench::Arguments arguments(argc, argv);
    const std::vector<int> in = bench::make_items();
    std::vector<int> out(bench::count);
    const auto square_all = [from = in.data(), to = out.data()] {
        for (std::size_t i = 0; i < bench::count; ++i) to[i] = bench::Square{}(from[i]);
    };
    bench::repeat(arguments, 1, square_all, [&] { return bench::take_right(out); });
}
