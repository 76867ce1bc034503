// Boost.MPI: scatter, gather.
#pragma once

#include "peers/boost_mpi.hpp"
#include "serialized/work.hpp"

namespace bench {

/// The program, with what `make()` returns.
template <class Make>
int scatter_and_gather(int argc, char** argv, Make make) {
    return map_with_boost_mpi(
        argc, argv, make, [](const auto&) {}, [](const auto& in, auto& out) { return std::exchange(out, {}) == in; });
}

}  // namespace bench
