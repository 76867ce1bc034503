#!/bin/sh
# Many jobs that differ in a number: here it is the seed of a simulation.
#
#     sbatch --array=1-100 --cpus-per-task=16 array.sh ./monte_carlo --paths 100000000
#
# Each is a job of its own, with a pool on the CPUs that it got, and runs when there is room for it.
#SBATCH --job-name=array
#SBATCH --array=1-4
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00

exec "$@" --seed "$SLURM_ARRAY_TASK_ID"
