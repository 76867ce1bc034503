// oneTBB's parallel_for over two existing vectors.
#include <tbb/blocked_range.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include "map_ints/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    const bench::Arguments arguments(argc, argv);
    tbb::task_arena threads(arguments.workers > 0 ? arguments.workers : tbb::info::default_concurrency());
    const std::vector<int> in = bench::make_items();
    std::vector<int> out(bench::count);
    const auto square_all = [&] {
        tbb::parallel_for(tbb::blocked_range<std::size_t>(0, bench::count),
                          [from = in.data(), to = out.data()](const tbb::blocked_range<std::size_t>& range) {
                              for (std::size_t i = range.begin(); i != range.end(); ++i)
                                  to[i] = bench::Square{}(from[i]);
                          });
    };
    bench::repeat(
        arguments, 1, [&] { threads.execute(square_all); }, [&] { return bench::take_right(out); });
}
