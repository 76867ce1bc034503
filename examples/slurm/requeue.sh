#!/bin/sh
# A map that takes longer than the queue allows: the job comes back until all is done.
#
#     sbatch --cpus-per-task=64 --time=04:00:00 requeue.sh ./simulate settings.csv
#
# The program's map has a checkpoint (MapOptions::checkpoint). A minute before the end of the time Slurm sends SIGUSR1: the
# program ends with 75, its journal has all that was finished, and the job is put back into the queue, where the next run goes
# on. Any other exit code ends the job.
#SBATCH --job-name=requeue
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00
#SBATCH --signal=USR1@60
#SBATCH --requeue
#SBATCH --open-mode=append

srun --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" "$@"
code=$?
[ $code -ne 75 ] || exec scontrol requeue "$SLURM_JOB_ID"
exit $code
