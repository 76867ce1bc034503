// How a benchmark's work is done with Boost.MPI: the items cut into a block for each rank, scatter, each rank does its own,
// gather, the blocks joined again.
#pragma once

#include <boost/mpi.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>

#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>

#include "peers/raw_mpi.hpp"

namespace bench {

/// The program: `change` is called with each of make_items(), where it is; `take_right` says whether the results are right, and
/// takes them away.
template <class Make, class Change, class Check>
int map_with_boost_mpi(int argc, char** argv, Make make_items, Change change, Check take_right) {
    const boost::mpi::environment environment(argc, argv);
    const boost::mpi::communicator world;
    const Arguments arguments(argc, argv);
    require_ranks(arguments, world.size());
    using Items = std::invoke_result_t<Make&>;
    const auto ranks = static_cast<std::size_t>(world.size());
    const Items in = world.rank() == 0 ? make_items() : Items();
    Items out;
    const auto scatter_change_gather = [&] {
        std::vector<Items> blocks(ranks);
        for (std::size_t r = 0; r < ranks; ++r) {
            const auto place = [&](std::size_t rank) { return in.begin() + static_cast<std::ptrdiff_t>(in.size() * rank / ranks); };
            blocks[r].assign(place(r), place(r + 1));
        }
        Items mine;
        if (world.rank() == 0)
            boost::mpi::scatter(world, blocks, mine, 0);
        else
            boost::mpi::scatter(world, mine, 0);
        for (auto& item : mine) change(item);
        if (world.rank() != 0) {
            boost::mpi::gather(world, mine, 0);
            return;
        }
        boost::mpi::gather(world, mine, blocks, 0);
        out.reserve(in.size());
        for (Items& block : blocks) std::move(block.begin(), block.end(), std::back_inserter(out));
    };
    repeat_on_ranks(arguments, world.rank(), scatter_change_gather, [&] { return take_right(in, out); });
    return 0;
}

}  // namespace bench
