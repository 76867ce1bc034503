"""What the peers in Python have in common: the strings of work.hpp, what is done with them, and how long it takes."""

import sys
import time

COUNT = 100_000


def shout(text):
    return text.upper()


def measure(shout_all, repetitions, warm_ups):
    """Prints the nanoseconds of each call of shout_all(items), whose result must be right."""
    items = [f"{i}: " + "some words " * (i % 8 + 1) for i in range(COUNT)]
    expected = [shout(item) for item in items]
    for i in range(-warm_ups, repetitions):
        start = time.perf_counter_ns()
        results = shout_all(items)
        nanoseconds = time.perf_counter_ns() - start
        if results != expected:
            sys.exit("benchmark: the result is wrong")
        if i >= 0:
            print(nanoseconds, flush=True)
