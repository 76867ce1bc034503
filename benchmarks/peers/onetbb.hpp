// How a benchmark's work is done with oneTBB's parallel_for, from one existing vector to another.
//
//     return bench::map_with_onetbb(argc, argv, bench::make_items(), bench::Square{}, bench::take_right);
#pragma once

#include <tbb/blocked_range.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <cstddef>
#include <type_traits>
#include <vector>

#include "repetitions.hpp"

namespace bench {

/// The program: `function` on each of `items`; `take_right` says whether the results are right, and spoils them.
template <class Item, class F, class Check>
int map_with_onetbb(int argc, char** argv, const std::vector<Item>& items, F function, Check take_right) {
    const Arguments arguments(argc, argv);
    tbb::task_arena threads(arguments.workers > 0 ? arguments.workers : tbb::info::default_concurrency());
    std::vector<std::invoke_result_t<F&, const Item&>> out(items.size());
    const auto map = [&] {
        tbb::parallel_for(
            tbb::blocked_range<std::size_t>(0, items.size()),
            [function, from = items.data(), to = out.data()](const tbb::blocked_range<std::size_t>& range) {
                for (std::size_t i = range.begin(); i != range.end(); ++i) to[i] = function(from[i]);
            });
    };
    repeat(
        arguments, 1, [&] { threads.execute(map); }, [&] { return take_right(out); });
    return 0;
}

}  // namespace bench
