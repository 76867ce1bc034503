// The time from a submit to its result: one future after the other. python.py and mpi4py_futures.py do the same.
#include <rankpool/rankpool.hpp>
#include "repetitions.hpp"

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        const bench::Arguments arguments(argc, argv);
        rankpool::ProcessPoolExecutor executor(arguments.workers);
        bench::repeat_calls(arguments, [&](long x) { return executor.submit([](long y) { return y * y; }, x).result(); });
    });
}
