// The time from a call to its result: Pool.apply of a trivial function. python.py does the same.
#include <rankpool/rankpool.hpp>
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        const bench::Arguments arguments(argc, argv);
        rankpool::Pool pool(arguments.workers);
        bench::repeat_calls(arguments, [&](long x) { return pool.apply([](long y) { return y * y; }, x); });
    });
}
