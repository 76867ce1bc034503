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
/// initialised. MPICH reports some errors (a message longer than its irecv) to the handlers of MPI_COMM_WORLD and
/// MPI_COMM_SELF, which by default end the program. Throws MpiError for MPI's errors, and LaunchError when rankpool has no module for this MPI. Collective.
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
    auto transport = comm::adopt_mpi(name, &existing);
    const bool checked = comm::any_wants_checks(*transport, comm::wants_checks(debug));
    return Communicator(std::move(transport), checked);
}

}  // namespace rankpool::mpi
