#!/usr/bin/env python3
"""Pools over two nodes, against MPI by hand and mpi4py.futures: on the cluster of namespaces that the tests use.

    sudo python3 benchmarks/cluster.py              one rank on each of two nodes, programs from build/release
    sudo python3 benchmarks/cluster.py --rounds 11

Nodes are connected by a bridge; MPI between them is Open MPI over TCP. Both nodes share this machine's CPUs, so there are as
many ranks as CPUs, and no more, and none is bound: each node would take the first CPU. Each competitor is a job of its own,
started by mpirun from the head node; the rest is as in run.py. The ideal of cluster_map runs on one node: it has no
messages.

Ends with 1 when a competitor failed, with 77 when this machine cannot have such a cluster.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import run
from run import (FEWEST_ROUNDS, HERE, Competitor, Missing, OthersLoad, Table, Target, items_a_second, measure,
                 milliseconds, tell, tell_machine)

CLUSTER = HERE.parent / "tests" / "cluster" / "cluster.sh"


def tables():
    ours = Competitor("rankpool map", "bench_map_skewed_rankpool", mpirun=True)
    raw_mpi = Competitor("raw MPI scatter, compute, gather", "bench_map_skewed_raw_mpi", mpirun=True)
    ideal = Competitor("ideal: equal shares, dealt beforehand", "bench_map_skewed_ideal")
    yield Table(
        "cluster_map", "two nodes, 10,000 items, 1 % of them 100 times longer", "time of a call", milliseconds,
        (ours,), (raw_mpi, ideal),
        (Target(ours, 1, "faster than raw MPI's equal blocks", raw_mpi), Target(ours, 1.1, "at most 1.1 times the ideal", ideal)),
    )
    ours = Competitor("rankpool map", "bench_dispatch_rankpool", mpirun=True)
    futures = Competitor("mpi4py.futures map", "dispatch/mpi4py_futures.py", mpirun=True, module="mpi4py.futures")
    yield Table(
        "manager_rate", "two nodes, trivial items, chunksize 1", "items of a call, over its time", items_a_second,
        (ours,), (futures,), (), run.SPARE_RANK,
    )


class Runner(run.Runner):
    def command(self, competitor):
        words = super().command(competitor)
        if not competitor.mpirun:
            return words
        program = words.index("-n") + 2
        ranks = int(words[program - 1])
        # The last node has what is left over: a rank that only runs the program.
        here = ranks // 2
        return [words[0], "--host", f"node1:{ranks - here},node2:{here}", "--bind-to", "none", "-x", "RANKPOOL_THREADS", "-n", str(ranks), *words[program:]]


def inside(options):
    load, others = os.getloadavg()[0], OthersLoad()
    build = options.build.resolve()
    runner = Runner(build, len(os.sched_getaffinity(0)) // 2 * 2)
    if runner.workers < 2:
        raise Missing("two CPUs are needed")
    failed = False
    for table in tables():
        print(f"### {table.benchmark}: {table.title}\n")
        failed |= tell(table, measure(table, runner, options.rounds))
        sys.stdout.flush()
    tell_machine(build, f"{runner.workers} ranks on two nodes", options.rounds, load, others.share())
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=FEWEST_ROUNDS, help=f"{FEWEST_ROUNDS} by default")
    parser.add_argument("--build", type=Path, default=HERE.parent / "build" / "release", help="the build directory")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds takes numbers from 1 on")
    if "CLUSTER" in os.environ:
        return inside(options)
    words = [sys.executable, str(Path(__file__).resolve()), "--rounds", str(options.rounds), "--build", str(options.build.resolve())]
    return subprocess.run([shutil.which("sh"), str(CLUSTER), "run", *words]).returncode


if __name__ == "__main__":
    sys.exit(main())
