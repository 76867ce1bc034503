// What MPI_Init promises and does not keep under one launcher.
#pragma once

namespace rankpool::mpi {

/// Returns when every rank has returned from MPI_Init. Collective; does nothing but under srun with Slurm's PMIx plugin.
///
/// Open MPI ends MPI_Init by a PMIx fence without data, and that of Slurm 22.05 lets ranks through before all are there. Their
/// first message then reaches a rank that has not yet said what receives messages, and kills it (Open MPI 4.1 calls address 0).
/// Fences that collect data take another way through Slurm, and hold.
void wait_until_all_are_initialised();

}  // namespace rankpool::mpi
