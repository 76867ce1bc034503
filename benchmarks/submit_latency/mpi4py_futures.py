"""mpi4py.futures' executor: a peer of rankpool.cpp, same arguments, same output.

Started as `mpirun -n W+1 python3 -m mpi4py.futures mpi4py_futures.py W`: one rank runs this program, the others are its
workers.
"""

import sys

from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor

from work import measure


def main(workers, repetitions=5, warm_ups=2):
    if MPI.COMM_WORLD.Get_size() != workers + 1:
        sys.exit(f"benchmark: {workers} workers were asked for, there are {MPI.COMM_WORLD.Get_size() - 1}")
    with MPIPoolExecutor() as executor:
        measure(executor, repetitions, warm_ups)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
