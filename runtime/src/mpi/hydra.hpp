// The end of a job that MPICH's mpirun started on several machines.
#pragma once

#include <mpi.h>

namespace rankpool::mpi {

/// Notes how to reach the launcher, before anybody clears the environment.
void note_hydra();

/// Leaves the job in place of MPI_Finalize, where that may wait for ever. Collective; the process may not use MPI any more. False
/// when MPI_Finalize does it. Throws MpiError.
///
/// MPICH 4.0 over UCX closes its connections one by one, and each waits for an answer of the other side, which may be past that
/// and answer no more (with any program; mended in MPICH in 2023). So the connections are left to the end of the process here:
/// the launcher is told by its own protocol (PMI 1) that this rank is done, once all are.
bool leave_by_hydra(MPI_Comm all);

}  // namespace rankpool::mpi
