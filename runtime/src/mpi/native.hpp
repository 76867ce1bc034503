// Reductions by MPI's own algorithms, for operations that are marked native.
#pragma once

#include <mpi.h>

#include <span>

#include <rankpool/comm/transport.hpp>

namespace rankpool::mpi {

/// False when the operation is not marked: nothing was done.
bool native_reduce(std::span<const std::byte> send, std::span<std::byte> receive, const comm::Fold& fold, int root, MPI_Comm communicator);
bool native_allreduce(std::span<const std::byte> send, std::span<std::byte> receive, const comm::Fold& fold, MPI_Comm communicator);

}  // namespace rankpool::mpi
