// The shortest time that there can be: threads whose shares of the work are equal, dealt out beforehand by somebody who
// knows how long each item takes. They run at the same time, so that CPUs which slow each other down do so here too.
#include <algorithm>
#include <numeric>
#include <thread>

#include "map_skewed/work.hpp"
#include "repetitions.hpp"

int main(int argc, char** argv) {
    const bench::Arguments arguments(argc, argv);
    const std::size_t threads =
        arguments.workers > 0 ? static_cast<std::size_t>(arguments.workers) : std::thread::hardware_concurrency();
    const std::vector<int> in = bench::make_items();
    std::vector<double> out(bench::count);

    std::vector<std::size_t> longest_first(bench::count);
    std::iota(longest_first.begin(), longest_first.end(), 0);
    std::stable_sort(longest_first.begin(), longest_first.end(),
                     [&](std::size_t a, std::size_t b) { return in[a] > in[b]; });
    std::vector<std::vector<std::size_t>> shares(threads);
    std::vector<long> steps(threads);
    for (const std::size_t item : longest_first) {  // each to the thread that has the least to do so far
        const auto least = std::min_element(steps.begin(), steps.end()) - steps.begin();
        shares[static_cast<std::size_t>(least)].push_back(item);
        steps[static_cast<std::size_t>(least)] += in[item];
    }

    const auto work_on = [&](const std::vector<std::size_t>& share) {
        for (const std::size_t item : share) out[item] = bench::Iterate{}(in[item]);
    };
    const auto work_on_all = [&] {
        std::vector<std::thread> others;
        for (std::size_t t = 1; t < threads; ++t) others.emplace_back([&, t] { work_on(shares[t]); });
        work_on(shares[0]);
        for (std::thread& other : others) other.join();
    };
    bench::repeat(arguments, 1, work_on_all, [&] { return bench::take_right(out); });
}
