"""mpi4py.futures' map of strings: a peer of rankpool.cpp, same arguments, same strings, same output.

Items travel in chunks of the size that Python's Pool.map chooses; by itself mpi4py sends one at a time.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "peers"))

import mpi4py_executor
from work import COUNT, measure, shout


def run(executor, workers, repetitions, warm_ups):
    chunksize = -(-COUNT // (4 * workers))
    measure(lambda items: list(executor.map(shout, items, chunksize=chunksize)), repetitions, warm_ups)


if __name__ == "__main__":
    mpi4py_executor.run(run)
