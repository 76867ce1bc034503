// Boost.MPI: the strings cut into a block for each rank, scatter, each rank does its own, gather, the blocks joined
// again.
#include <boost/mpi.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>

#include <iterator>

#include "map_strings/work.hpp"
#include "peers/raw_mpi.hpp"

int main(int argc, char** argv) {
    const boost::mpi::environment environment(argc, argv);
    const boost::mpi::communicator world;
    const bench::Arguments arguments(argc, argv);
    bench::require_ranks(arguments, world.size());
    using Strings = std::vector<std::string>;
    const auto ranks = static_cast<std::size_t>(world.size());
    const Strings in = world.rank() == 0 ? bench::make_items() : Strings();
    Strings out;

    const auto scatter_shout_gather = [&] {
        std::vector<Strings> blocks(ranks);
        for (std::size_t r = 0; r < ranks; ++r) {
            const auto place = [&](std::size_t rank) {
                return in.begin() + static_cast<std::ptrdiff_t>(in.size() * rank / ranks);
            };
            blocks[r].assign(place(r), place(r + 1));
        }
        Strings mine;
        if (world.rank() == 0)
            boost::mpi::scatter(world, blocks, mine, 0);
        else
            boost::mpi::scatter(world, mine, 0);
        for (std::string& text : mine) text = bench::Shout{}(std::move(text));
        if (world.rank() != 0) {
            boost::mpi::gather(world, mine, 0);
            return;
        }
        boost::mpi::gather(world, mine, blocks, 0);
        out.reserve(in.size());
        for (Strings& block : blocks) std::move(block.begin(), block.end(), std::back_inserter(out));
    };
    bench::repeat_on_ranks(arguments, world.rank(), scatter_shout_gather, [&] { return bench::take_right(out); });
}
