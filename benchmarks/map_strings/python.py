"""Python's Pool.map of strings: a peer of rankpool.cpp, same arguments, same strings, same output."""

import multiprocessing
import sys
import time

COUNT = 100_000


def shout(text):
    return text.upper()


def main(workers=0, repetitions=5, warm_ups=2):
    items = [f"{i}: " + "some words " * (i % 8 + 1) for i in range(COUNT)]
    expected = [shout(item) for item in items]
    with multiprocessing.Pool(workers or None) as pool:
        for i in range(-warm_ups, repetitions):
            start = time.perf_counter_ns()
            results = pool.map(shout, items)
            nanoseconds = time.perf_counter_ns() - start
            if results != expected:
                sys.exit("benchmark: the result is wrong")
            if i >= 0:
                print(nanoseconds, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
