"""Python's ProcessPoolExecutor: a peer of rankpool.cpp, same arguments, same output."""

import concurrent.futures
import sys

from work import measure


def main(workers=0, repetitions=5, warm_ups=2):
    with concurrent.futures.ProcessPoolExecutor(workers or None) as executor:
        measure(executor, repetitions, warm_ups)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
