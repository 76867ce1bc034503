#!/usr/bin/env python3
"""How many batches a second rank 0 can feed, and what follows from that for large jobs.

    python3 benchmarks/manager_rate.py                            1, 2, 4 and 8 ranks, programs from build/release
    python3 benchmarks/manager_rate.py --plot docs/scaling.svg    and draws the model

Every rank plays a node with one worker, under Open MPI on this machine. Batches have about one item, and items take no time:
what is seen is the manager. Ranks outnumber CPUs here, so the time of an item is mostly that of switching between them; the
CPU time that rank 0 uses for an item is what bounds a job with a CPU for each rank: R = 1 / that.

The model: N nodes of k cores, items of t seconds, b items a batch, ask N * k / (b * t) times a second, which must stay
below R.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

from collectives import launcher_command
from run import FEWEST_ROUNDS, HERE, OthersLoad, output_of, print_table, tell_machine

CORES = 64  # of a node, in the model
NODES = [1, 10, 100, 1_000, 10_000]
ITEMS = [("1 ms", 1e-3), ("10 ms", 1e-2), ("100 ms", 1e-1)]


def measure(build, ranks):
    program = build / "bench" / "bench_manager_rate_rankpool"
    os.environ["RANKPOOL_LEADERS"] = "rank"
    printed = output_of([*launcher_command("mpirun.openmpi", build, ranks), str(program)])
    lines = [tuple(map(float, line.split())) for line in printed.splitlines()]
    return statistics.median(wall for wall, _ in lines), statistics.median(cpu for _, cpu in lines)


def smallest_batch(rate, nodes, seconds):
    """Items that a batch must have at least."""
    return max(1.0, nodes * CORES / (seconds * rate))


def plot(rate, path):
    """Batch against nodes, both logarithmic, a line for each length of items."""
    from math import log10
    left, top, width, height = 70, 20, 420, 260
    x = lambda nodes: left + width * log10(nodes) / 4
    y = lambda batch: top + height * (1 - log10(batch) / 5)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="560" height="340" font-family="sans-serif" font-size="12">',
             '<rect width="560" height="340" fill="white"/>']
    for power in range(5):
        parts.append(f'<line x1="{x(10**power):.0f}" y1="{top}" x2="{x(10**power):.0f}" y2="{top + height}" stroke="#ddd"/>'
                     f'<text x="{x(10**power):.0f}" y="{top + height + 16}" text-anchor="middle">{10**power:,}</text>')
    for power in range(6):
        parts.append(f'<line x1="{left}" y1="{y(10**power):.0f}" x2="{left + width}" y2="{y(10**power):.0f}" stroke="#ddd"/>'
                     f'<text x="{left - 6}" y="{y(10**power) + 4:.0f}" text-anchor="end">{10**power:,}</text>')
    for (name, seconds), color in zip(ITEMS, ("#b03030", "#3060b0", "#308030")):
        points = " ".join(f"{x(n):.1f},{y(smallest_batch(rate, n, seconds)):.1f}" for n in [10 ** (i / 10) for i in range(41)])
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'
                     f'<text x="{left + width + 4}" y="{y(smallest_batch(rate, 10_000, seconds)) + 4:.0f}" fill="{color}">{name}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 36}" text-anchor="middle">nodes of {CORES} cores</text>'
                 f'<text x="16" y="{top + height / 2}" text-anchor="middle" transform="rotate(-90 16 {top + height / 2})">items a batch, at least</text></svg>')
    path.write_text("\n".join(parts) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=HERE.parent / "build" / "release", help="the build directory")
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    options = parser.parse_args()
    load, others = os.getloadavg()[0], OthersLoad()
    build = options.build.resolve()

    rows, cpu = [], {}
    for ranks in 1, 2, 4, 8:
        wall, cpu[ranks] = measure(build, ranks)
        rows.append([str(ranks), f"{1e9 / wall:,.0f}", f"{cpu[ranks] / 1e3:.2f} us"])
    print("### manager_rate: batches of one trivial item\n")
    print_table(["nodes", "items a second", "CPU time of rank 0 for one"], rows)
    rate = 1e9 / cpu[8]
    print(f"\nR, from 8 nodes: {rate:,.0f} batches a second.\n")
    print_table(["nodes", "cores", *(f"items of {name}" for name, _ in ITEMS)],
                [[f"{nodes:,}", f"{nodes * CORES:,}", *(f"{smallest_batch(rate, nodes, seconds):,.0f}" for _, seconds in ITEMS)] for nodes in NODES])
    print("\nItems that a batch must have at least.\n")
    if options.plot:
        plot(rate, options.plot)
    tell_machine(build, "1 to 8 ranks", FEWEST_ROUNDS, load, others.share())
    return 0


if __name__ == "__main__":
    sys.exit(main())
