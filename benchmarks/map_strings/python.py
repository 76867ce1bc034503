"""Python's Pool.map of strings: a peer of rankpool.cpp, same arguments, same strings, same output."""

import multiprocessing
import sys

from work import measure, shout


def main(workers=0, repetitions=5, warm_ups=2):
    with multiprocessing.Pool(workers or None) as pool:
        measure(lambda items: pool.map(shout, items), repetitions, warm_ups)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
