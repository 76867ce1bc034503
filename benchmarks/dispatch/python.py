"""Python's Pool.map with chunksize 1: a peer of rankpool.cpp, same arguments, same output."""

import multiprocessing
import sys

from work import measure, square


def main(workers=0, repetitions=5, warm_ups=2):
    with multiprocessing.Pool(workers or None) as pool:
        measure(lambda items: pool.map(square, items, chunksize=1), 100_000, repetitions, warm_ups)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
