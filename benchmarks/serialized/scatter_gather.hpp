// rankpool: scatterv, gatherv, between the ranks of rankrun or of mpirun.
#pragma once

#include <rankpool/rankpool.hpp>

#include "repetitions.hpp"
#include "serialized/work.hpp"

namespace bench {

/// The program, with what `make()` returns.
template <class Make>
int scatter_and_gather(int argc, char** argv, Make make) {
    return rankpool::spmd(argc, argv, [&](rankpool::Communicator& world) {
        using Items = std::invoke_result_t<Make&>;
        const Arguments arguments(argc, argv);
        if (arguments.workers != 0 && arguments.workers != world.size()) throw std::invalid_argument("benchmark: another number of ranks was asked for");
        const Items items = world.rank() == 0 ? make() : Items();
        Items back;
        const auto work = [&] {
            const auto start = Clock::now();
            back = world.gatherv(world.scatterv(items));
            return nanoseconds_since(start);
        };
        const auto measure = [&] {
            world.barrier();
            return work();
        };
        if (world.rank() == 0)
            repeat_measured(arguments, measure, [&] { return std::exchange(back, {}) == items; });
        else
            for (int i = 0; i < arguments.warm_ups + arguments.repetitions; ++i) (void)measure();
    });
}

}  // namespace bench
