"""What the peers of rankpool.cpp measure, with any executor of concurrent.futures' kind."""

import sys
import time

COUNT = 10_000


def double(x):
    return 2 * x


def measure(executor, repetitions, warm_ups):
    for i in range(-warm_ups, repetitions):
        start = time.perf_counter_ns()
        futures = [executor.submit(double, x) for x in range(COUNT)]
        total = sum(future.result() for future in futures)
        nanoseconds = time.perf_counter_ns() - start
        if total != COUNT * (COUNT - 1):
            sys.exit("benchmark: the result is wrong")
        if i >= 0:
            print(nanoseconds / COUNT, flush=True)
