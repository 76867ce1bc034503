// How the benchmark programs measure: warm-ups, then repetitions, each checked, each with a line on standard output.
//
//     int main(int argc, char** argv) {
//         const bench::Arguments arguments(argc, argv);
//         std::vector<int> out(bench::count);
//         bench::repeat(arguments, 1, [&] { square_all(out); }, [&] { return bench::take_right(out); });
//     }
//
// A line is the nanoseconds of one operation. run.py takes the median of a process's lines, then that of the processes.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

inline double nanoseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

inline double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// What every program takes: [workers [repetitions [warm-ups]]]. 0 workers: the program's own default.
struct Arguments {
    Arguments(int argc, char** argv) {
        int* const places[] = {&workers, &repetitions, &warm_ups};
        if (argc > 4) throw std::invalid_argument("usage: PROGRAM [workers [repetitions [warm-ups]]]");
        for (int i = 1; i < argc; ++i) {
            char* end = nullptr;
            const long value = std::strtol(argv[i], &end, 10);
            if (end == argv[i] || *end != '\0' || value < 0 || value > 1'000'000)
                throw std::invalid_argument("usage: PROGRAM [workers [repetitions [warm-ups]]], each a number");
            *places[i - 1] = static_cast<int>(value);
        }
    }

    int workers = 0;
    int repetitions = 5;
    int warm_ups = 2;
};

/// Calls `measure()`, which returns the nanoseconds of one operation, and then `is_right()`, whose time does not count,
/// for each warm-up and each repetition. Throws std::runtime_error when the result was wrong, in a warm-up too.
template <class Measure, class Check>
void repeat_measured(const Arguments& arguments, Measure&& measure, Check&& is_right) {
    for (int i = -arguments.warm_ups; i < arguments.repetitions; ++i) {
        const double nanoseconds = measure();
        if (!is_right()) throw std::runtime_error("benchmark: the result is wrong");
        if (i < 0) continue;
        std::printf("%.1f\n", nanoseconds);
        std::fflush(stdout);
    }
}

/// The same for `work()`, timed as a whole: it does `operations` operations.
template <class Work, class Check>
void repeat(const Arguments& arguments, std::size_t operations, Work&& work, Check&& is_right) {
    repeat_measured(
        arguments,
        [&] {
            const auto start = Clock::now();
            work();
            return nanoseconds_since(start) / static_cast<double>(operations);
        },
        is_right);
}

/// The latency of `square(x)`, which does a trivial thing elsewhere: 2,000 calls, one after the other, of which the median
/// counts.
template <class Square>
void repeat_calls(const Arguments& arguments, Square&& square) {
    constexpr long calls = 2'000;
    bool right = true;
    std::vector<double> times(calls);
    repeat_measured(
        arguments,
        [&] {
            for (long x = 0; x < calls; ++x) {
                const auto start = Clock::now();
                const long result = square(x);
                times[static_cast<std::size_t>(x)] = nanoseconds_since(start);
                right = right && result == x * x;
            }
            return median(times);
        },
        [&] { return right; });
}

}  // namespace bench
