// Which ranks really share memory: a probe, not a comparison of names.
#pragma once

#include <mpi.h>

namespace rankpool::mpi {

/// The smallest rank of `communicator` whose memory this process can see, itself if there is no smaller one. Ranks that MPI
/// puts on one machine but that see no memory of each other, in containers say, are alone. Collective. Throws MpiError.
int node_leader(MPI_Comm communicator);

}  // namespace rankpool::mpi
