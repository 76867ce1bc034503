// What it costs rank 0 to give a batch to another rank and take its results: batches of about one item, one rank a node.
// Prints a line for each repetition: nanoseconds of an item, and nanoseconds of CPU time that rank 0 used for it (its
// workers, which are processes of their own, do not count).
#include <sys/resource.h>

#include <numeric>

#include <rankpool/rankpool.hpp>
#include "repetitions.hpp"

namespace {

double own_cpu_nanoseconds() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    const auto nanoseconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3; };
    return nanoseconds(used.ru_utime) + nanoseconds(used.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        constexpr int calls = 100;
        const bench::Arguments arguments(argc, argv);
        rankpool::Pool pool(arguments.workers);
        std::vector<long> items(static_cast<std::size_t>(16 * pool.size()));
        std::iota(items.begin(), items.end(), 0);
        const auto operations = static_cast<double>(items.size()) * calls;
        for (int i = -arguments.warm_ups; i < arguments.repetitions; ++i) {
            const auto start = bench::Clock::now();
            const double cpu = own_cpu_nanoseconds();
            bool right = true;
            for (int call = 0; call < calls; ++call) right = pool.map([](long x) { return x; }, items, {.chunksize = 1}) == items && right;
            if (!right) throw std::runtime_error("benchmark: the result is wrong");
            if (i >= 0) std::printf("%.1f %.1f\n", bench::nanoseconds_since(start) / operations, (own_cpu_nanoseconds() - cpu) / operations);
        }
    });
}
