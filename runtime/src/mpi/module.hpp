// What the library looks up in an MPI module after loading it.
#pragma once

#include <rankpool/comm/transport.hpp>

namespace rankpool::mpi {

/// Changes whenever Transport or this does: a module of another version is refused.
inline constexpr int module_version = 5;

/// Which threads call MPI: the only one that the program has, as far as MPI can tell; one of several; several.
enum class Threads : int { only, one, several };

struct Module {
    int version = module_version;
    const char* name;  // "openmpi", "mpich"
    /// Initialises MPI on this thread and opens the world. Throws LaunchError or MpiError.
    comm::Transport* (*open)(int expected_rank, int expected_size, Threads threads);
    /// A communicator of a program that has initialised MPI itself: `communicator` points to its MPI_Comm, which is
    /// duplicated. Collective. Throws MpiError.
    comm::Transport* (*adopt)(const void* communicator);
};

inline constexpr const char* module_symbol = "rankpool_mpi_module";

}  // namespace rankpool::mpi
