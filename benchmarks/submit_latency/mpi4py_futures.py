"""mpi4py.futures' executor: a peer of rankpool.cpp, same arguments, same output."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "peers"))

import mpi4py_executor
from work import measure

if __name__ == "__main__":
    mpi4py_executor.run(lambda executor, workers, *times: measure(executor, *times))
