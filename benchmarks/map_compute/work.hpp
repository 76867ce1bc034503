// The work that all competitors of map_compute do: 200,000 numbers, each with about a microsecond of arithmetic.
#pragma once

#include <cstddef>
#include <vector>

namespace bench {

inline constexpr std::size_t count = 200'000;

/// The logistic map, 500 times: each step waits for the one before. Not inlined, so that no competitor's compiler does
/// several items at a time.
struct Iterate {
    [[gnu::noinline]] double operator()(double x) const {
        for (int step = 0; step < 500; ++step) x = 3.9 * x * (1 - x);
        return x;
    }
};

inline std::vector<double> make_items() {
    std::vector<double> items(count);
    for (std::size_t i = 0; i < count; ++i) items[i] = (static_cast<double>(i) + 0.5) / count;
    return items;
}

/// Whether these are the results. Then overwrites them, so that the next repetition cannot pass by doing nothing.
inline bool take_right(std::vector<double>& results) {
    static const std::vector<double> expected = [] {
        std::vector<double> items = make_items();
        for (double& x : items) x = Iterate{}(x);
        return items;
    }();
    const bool right = results == expected;
    results.assign(count, -1);
    return right;
}

}  // namespace bench
