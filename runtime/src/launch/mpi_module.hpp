// The MPI part of the library, a shared module of its own for each MPI, loaded only when an MPI launcher started us.
#pragma once

#include <memory>

#include "launch/launch.hpp"
#include "mpi/module.hpp"
#include <rankpool/comm/transport.hpp>

namespace rankpool::launch {

/// Loads the module that fits the launcher (or the one RANKPOOL_MPI names), initialises MPI on this thread, and checks
/// that MPI's world is the launcher's. `threads`: which will use communicators. Throws LaunchError saying what is missing.
std::unique_ptr<comm::Transport> open_mpi_transport(const Launch& launch, mpi::Threads threads);

}  // namespace rankpool::launch
