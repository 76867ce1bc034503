// The work that all competitors of map_skewed do: 10,000 items of about 20 us, of which one in a hundred takes 100
// times as long. Half of all the work is in those, in places that look random.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

inline constexpr std::size_t count = 10'000;
inline constexpr int few_steps = 10'000, many_steps = 100 * few_steps;

/// The logistic map, as many times as the item says: each step waits for the one before.
struct Iterate {
    [[gnu::noinline]] double operator()(int steps) const {
        double x = 0.3;
        for (int step = 0; step < steps; ++step) x = 3.9 * x * (1 - x);
        return x;
    }
};

/// Of each hundred items exactly one is long.
inline std::vector<int> make_items() {
    std::vector<int> items(count, few_steps);
    std::uint64_t random = 1;
    for (std::size_t hundred = 0; hundred < count; hundred += 100) {
        random = random * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
        items[hundred + (random >> 32) % 100] = many_steps;
    }
    return items;
}

/// Whether these are the results. Then overwrites them, so that the next repetition cannot pass by doing nothing.
inline bool take_right(std::vector<double>& results) {
    static const std::vector<int> items = make_items();
    static const double of_few = Iterate{}(few_steps), of_many = Iterate{}(many_steps);
    bool right = results.size() == count;
    for (std::size_t i = 0; i < results.size() && right; ++i)
        right = results[i] == (items[i] == few_steps ? of_few : of_many);
    results.assign(count, -1);
    return right;
}

}  // namespace bench
