"""Python's Pool.apply of a trivial function: the peer of rankpool.cpp, same arguments, same output."""

import multiprocessing
import statistics
import sys
import time

CALLS = 2_000


def square(x):
    return x * x


def main(workers=0, repetitions=5, warm_ups=2):
    with multiprocessing.Pool(workers or None) as pool:
        for i in range(-warm_ups, repetitions):
            times = []
            for x in range(CALLS):
                start = time.perf_counter_ns()
                result = pool.apply(square, (x,))
                times.append(time.perf_counter_ns() - start)
                if result != x * x:
                    sys.exit("benchmark: the result is wrong")
            if i >= 0:
                print(statistics.median(times), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
