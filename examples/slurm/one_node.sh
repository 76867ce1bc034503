#!/bin/sh
# A pool on all CPUs that Slurm gives us on one machine.
#
#     sbatch --cpus-per-task=64 one_node.sh ./word_count /data/texts
#
# The program is not started by srun, so it runs alone, and its pools have a worker for each CPU of the allocation. This
# needs no MPI.
#SBATCH --job-name=one_node
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00

exec "$@"
