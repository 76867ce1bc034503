// Behind <rankpool/mpi.hpp>.
#pragma once

#include <memory>

#include <rankpool/comm/transport.hpp>

namespace rankpool::comm {

/// A duplicate of the MPI_Comm that `communicator` points to; `mpi` is "openmpi" or "mpich". `debug`: checks unless told.
std::shared_ptr<Transport> adopt_mpi(const char* mpi, const void* communicator, bool debug);

}  // namespace rankpool::comm
