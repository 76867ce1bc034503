#!/usr/bin/env python3
"""What it costs to start a job: rankrun against Open MPI's mpirun and MPICH's, in turns.

    python3 benchmarks/launch.py                 1 to 64 ranks, programs from build/release
    python3 benchmarks/launch.py --ranks 2,8 --rounds 21

The time is that of a whole job, from the start of the launcher to its end. The job does the least there is: every rank
comes to one barrier and returns. There is a table for each number of ranks. In a round each launcher starts one job; every second round goes backwards (A B B A).
A ratio is the median of the rounds' ratios; rankrun's job runs twice in a round, and the row A/A compares the two.

Ends with 1 when a job failed. A missing launcher, or a missed target, is told in the table.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from collectives import launcher_command
from run import (FEWEST_ROUNDS, HERE, Competitor, Missing, OthersLoad, Table, Target, measure, milliseconds, output_of,
                 shown_path, tell, tell_machine)

RANKRUN = Competitor("rankrun", "bench_launch_hello")
OPEN_MPI = Competitor("Open MPI's mpirun", "bench_launch_hello_mpi_openmpi")
MPICH = Competitor("MPICH's mpirun", "bench_launch_hello_mpi_mpich")
LAUNCHERS = {RANKRUN: "rankrun", OPEN_MPI: "mpirun.openmpi", MPICH: "mpirun.mpich"}


class Runner:
    def __init__(self, build, ranks):
        self.build, self.ranks = build, ranks
        self.warm = set()

    def run(self, competitor):
        """Nanoseconds of a job. The first one of each is not counted: it reads the programs from the disk."""
        program = self.build / "bench" / competitor.program
        if not program.exists():
            raise Missing(f"not built: there is no {shown_path(program)}")
        command = [*launcher_command(LAUNCHERS[competitor], self.build, self.ranks), str(program), str(self.ranks)]
        if competitor not in self.warm:
            output_of(command)
            self.warm.add(competitor)
        start = time.perf_counter_ns()
        output_of(command)
        return time.perf_counter_ns() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", default="1,2,4,8,16,32,64", help="numbers, with commas between; 1,2,4,8,16,32,64 by default")
    parser.add_argument("--rounds", type=int, default=FEWEST_ROUNDS, help=f"{FEWEST_ROUNDS} by default")
    parser.add_argument("--build", type=Path, default=HERE.parent / "build" / "release", help="the build directory")
    options = parser.parse_args()
    numbers = options.ranks.split(",")
    if options.rounds < 1 or not all(number.isdecimal() and int(number) > 0 for number in numbers):
        parser.error("--rounds and --ranks take numbers from 1 on")

    load = os.getloadavg()[0]
    others = OthersLoad()
    build = options.build.resolve()
    failed = False
    for ranks in map(int, numbers):
        targets = tuple(Target(RANKRUN, 1 / 20, f"at least 20 times faster than {peer.name}", peer)
                        for peer in (OPEN_MPI, MPICH)) if ranks == 8 else ()
        table = Table("launch", f"a job of {ranks} rank{'s' if ranks > 1 else ''} with one barrier", "start to end", milliseconds, (RANKRUN,), (OPEN_MPI, MPICH), targets)
        print(f"### {table.benchmark}: {table.title}\n")
        failed |= tell(table, measure(table, Runner(build, ranks), options.rounds))
        sys.stdout.flush()
    tell_machine(build, f"{options.ranks} ranks", options.rounds, load, others.share())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
