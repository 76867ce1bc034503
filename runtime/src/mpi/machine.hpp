// Which ranks really share memory: a probe, not a comparison of names.
#pragma once

#include <mpi.h>

#include <rankpool/comm/transport.hpp>

namespace rankpool::mpi {

/// Of the ranks that MPI puts on this one's machine the smallest, which is the leader too if this process sees its memory.
/// Ranks that do not, in containers say, lead themselves. Collective. Throws MpiError.
comm::Neighbours neighbours(MPI_Comm communicator);

}  // namespace rankpool::mpi
