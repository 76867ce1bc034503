"""What the peers of rankpool.cpp measure: the time of an item in a map of trivial ones."""

import sys
import time


def square(x):
    return x * x


def measure(square_all, count, repetitions, warm_ups):
    items = list(range(count))
    expected = [square(x) for x in items]
    for i in range(-warm_ups, repetitions):
        start = time.perf_counter_ns()
        squares = square_all(items)
        nanoseconds = time.perf_counter_ns() - start
        if squares != expected:
            sys.exit("benchmark: the result is wrong")
        if i >= 0:
            print(nanoseconds / count, flush=True)
