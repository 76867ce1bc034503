"""mpi4py.futures' map, one item at a time: a peer of rankpool.cpp, same arguments, same output, fewer items.

Started as `mpirun -n W+1 python3 -m mpi4py.futures mpi4py_futures.py W`: one rank runs this program, the others are its
workers.
"""

import sys
import time

from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor

COUNT = 5_000


def square(x):
    return x * x


def main(workers, repetitions=5, warm_ups=2):
    if MPI.COMM_WORLD.Get_size() != workers + 1:
        sys.exit(f"benchmark: {workers} workers were asked for, there are {MPI.COMM_WORLD.Get_size() - 1}")
    expected = [x * x for x in range(COUNT)]
    with MPIPoolExecutor() as executor:
        for i in range(-warm_ups, repetitions):
            start = time.perf_counter_ns()
            squares = list(executor.map(square, range(COUNT)))
            nanoseconds = time.perf_counter_ns() - start
            if squares != expected:
                sys.exit("benchmark: the result is wrong")
            if i >= 0:
                print(nanoseconds / COUNT, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
