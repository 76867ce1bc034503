"""mpi4py.futures' map, one item at a time: a peer of rankpool.cpp, same arguments, same output, fewer items."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "peers"))

import mpi4py_executor
from work import measure, square


def run(executor, workers, repetitions, warm_ups):
    measure(lambda items: list(executor.map(square, items)), 5_000, repetitions, warm_ups)


if __name__ == "__main__":
    mpi4py_executor.run(run)
