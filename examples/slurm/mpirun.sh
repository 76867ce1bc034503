#!/bin/sh
# The same by mpirun, where srun offers nothing that the MPI speaks.
#
#     sbatch --nodes=8 --ntasks-per-node=64 mpirun.sh ./word_count /data/texts
#
# mpirun finds out by itself on which machines it may start how many ranks.
#SBATCH --job-name=mpirun
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --time=01:00:00

exec mpirun "$@"
