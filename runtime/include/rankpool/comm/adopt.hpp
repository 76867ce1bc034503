// Behind <rankpool/mpi.hpp>.
#pragma once

#include <memory>

#include <rankpool/comm/transport.hpp>

namespace rankpool::comm {

/// Over a duplicate of the MPI_Comm that `communicator` points to; `mpi` is "openmpi" or "mpich".
std::shared_ptr<Transport> adopt_mpi(const char* mpi, const void* communicator);

}  // namespace rankpool::comm
