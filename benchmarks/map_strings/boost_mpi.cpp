// Boost.MPI: scatter, each rank does its own, gather.
#include "map_strings/work.hpp"
#include "peers/boost_mpi.hpp"

int main(int argc, char** argv) {
    return bench::map_with_boost_mpi(
        argc, argv, bench::make_items, [](std::string& text) { text = bench::Shout{}(std::move(text)); },
        [](const auto&, auto& out) { return bench::take_right(out); });
}
