// For programs that use MPI themselves: rankpool's collectives over a communicator of theirs.
//
//     MPI_Init(&argc, &argv);
//     {
//         rankpool::Communicator world = rankpool::mpi::communicator(MPI_COMM_WORLD);
//         const std::vector<std::string> names = world.gather(std::string("…"));
//     }
//     MPI_Finalize();
//
// Link with rankpool::rankpool and your MPI; with CMake, the target rankpool::mpi is both, for the MPI that find_package(MPI)
// finds. Start the program with that MPI's mpirun as ever: rankpool::run() and spmd() have no part in it.
#pragma once

#include <mpi.h>

#include <rankpool/comm/adopt.hpp>
#include <rankpool/communicator.hpp>

namespace rankpool::mpi {

/// A communicator of the same ranks, over a duplicate of `existing`: messages and operations of the two do not mix. MPI
/// must be initialised, and is not finalised by it; let the communicator go before MPI_Finalize. Threads: as MPI was
/// initialised. Throws MpiError for MPI's errors, and LaunchError when rankpool has no module for this MPI. Collective.
inline Communicator communicator(MPI_Comm existing) {
#if defined(OPEN_MPI)
    constexpr const char* name = "openmpi";
#else
    constexpr const char* name = "mpich";
#endif
#ifdef NDEBUG
    constexpr bool debug = false;
#else
    constexpr bool debug = true;
#endif
    return Communicator(comm::adopt_mpi(name, &existing), comm::wants_checks(debug));
}

}  // namespace rankpool::mpi
