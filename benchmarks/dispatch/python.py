"""Python's Pool.map with chunksize 1: the peer of rankpool.cpp, same arguments, same output."""

import multiprocessing
import sys
import time

COUNT = 100_000


def square(x):
    return x * x


def main(workers=0, repetitions=5, warm_ups=2):
    expected = [x * x for x in range(COUNT)]
    items = list(range(COUNT))
    with multiprocessing.Pool(workers or None) as pool:
        for i in range(-warm_ups, repetitions):
            start = time.perf_counter_ns()
            squares = pool.map(square, items, chunksize=1)
            nanoseconds = time.perf_counter_ns() - start
            if squares != expected:
                sys.exit("benchmark: the result is wrong")
            if i >= 0:
                print(nanoseconds / COUNT, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
