// Boost.MPI: the items cut into a block for each rank, scatter, gather, the blocks joined again.
#pragma once

#include <boost/mpi.hpp>

#include <iterator>

#include "peers/raw_mpi.hpp"
#include "serialized/work.hpp"

namespace bench {

/// The program, with what `make()` returns.
template <class Make>
int scatter_and_gather(int argc, char** argv, Make make) {
    const boost::mpi::environment environment(argc, argv);
    const boost::mpi::communicator world;
    const Arguments arguments(argc, argv);
    require_ranks(arguments, world.size());
    using Items = std::invoke_result_t<Make&>;
    const auto ranks = static_cast<std::size_t>(world.size());
    const Items items = world.rank() == 0 ? make() : Items();
    Items back;
    const auto work = [&] {
        std::vector<Items> blocks(ranks);
        for (std::size_t r = 0; r < ranks; ++r) {
            const auto place = [&](std::size_t rank) { return items.begin() + static_cast<std::ptrdiff_t>(items.size() * rank / ranks); };
            blocks[r].assign(place(r), place(r + 1));
        }
        Items mine;
        if (world.rank() == 0)
            boost::mpi::scatter(world, blocks, mine, 0);
        else
            boost::mpi::scatter(world, mine, 0);
        if (world.rank() != 0) {
            boost::mpi::gather(world, mine, 0);
            return;
        }
        boost::mpi::gather(world, mine, blocks, 0);
        back.reserve(items.size());
        for (Items& block : blocks) std::move(block.begin(), block.end(), std::back_inserter(back));
    };
    repeat_on_ranks(arguments, world.rank(), work, [&] { return std::exchange(back, {}) == items; });
    return 0;
}

}  // namespace bench
