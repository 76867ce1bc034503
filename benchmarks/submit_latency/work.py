"""What the peers of rankpool.cpp measure, with any executor of concurrent.futures' kind."""

import statistics
import sys
import time

CALLS = 2_000


def square(x):
    return x * x


def measure(executor, repetitions, warm_ups):
    for i in range(-warm_ups, repetitions):
        times = []
        for x in range(CALLS):
            start = time.perf_counter_ns()
            result = executor.submit(square, x).result()
            times.append(time.perf_counter_ns() - start)
            if result != x * x:
                sys.exit("benchmark: the result is wrong")
        if i >= 0:
            print(statistics.median(times), flush=True)
