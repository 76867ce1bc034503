#!/bin/sh
# A pool on several machines: one rank on each, and its CPUs for the workers there.
#
#     sbatch --nodes=8 --cpus-per-task=64 several_nodes.sh ./word_count /data/texts
#
# The main program runs on the first machine. srun offers the connection between the ranks (`srun --mpi=list` shows which
# kinds it has): pmix is for Open MPI.
#SBATCH --job-name=several_nodes
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00

# When a rank is killed the others end too, instead of waiting for it. And since version 22.05 srun does not take the CPUs
# of a task from the allocation by itself.
exec srun --mpi=pmix --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" "$@"
