"""mpi4py.futures' map of strings: a peer of rankpool.cpp, same arguments, same strings, same output.

Started as `mpirun -n W+1 python3 -m mpi4py.futures mpi4py_futures.py W`: one rank runs this program, the others are its
workers. Items travel in chunks of the size that Python's Pool.map chooses; by itself mpi4py sends one at a time.
"""

import sys
import time

from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor

COUNT = 100_000


def shout(text):
    return text.upper()


def main(workers, repetitions=5, warm_ups=2):
    items = [f"{i}: " + "some words " * (i % 8 + 1) for i in range(COUNT)]
    expected = [shout(item) for item in items]
    if MPI.COMM_WORLD.Get_size() != workers + 1:
        sys.exit(f"benchmark: {workers} workers were asked for, there are {MPI.COMM_WORLD.Get_size() - 1}")
    with MPIPoolExecutor() as executor:
        chunksize = -(-COUNT // (4 * workers))
        for i in range(-warm_ups, repetitions):
            start = time.perf_counter_ns()
            results = list(executor.map(shout, items, chunksize=chunksize))
            nanoseconds = time.perf_counter_ns() - start
            if results != expected:
                sys.exit("benchmark: the result is wrong")
            if i >= 0:
                print(nanoseconds, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
