"""What the peers that use mpi4py.futures have in common.

Started as `mpirun -n W+1 python3 -m mpi4py.futures SCRIPT W [repetitions [warm-ups]]`: one rank runs the script, the others
are its workers.
"""

import sys

from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor


def run(measure):
    """Calls measure(executor, workers, repetitions, warm_ups), as the command line says."""
    start(measure, *map(int, sys.argv[1:]))


def start(measure, workers, repetitions=5, warm_ups=2):
    if MPI.COMM_WORLD.Get_size() != workers + 1:
        sys.exit(f"benchmark: {workers} workers were asked for, there are {MPI.COMM_WORLD.Get_size() - 1}")
    with MPIPoolExecutor() as executor:
        measure(executor, workers, repetitions, warm_ups)
