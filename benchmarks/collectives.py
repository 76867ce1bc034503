#!/usr/bin/env python3
"""rankpool's collectives against Open MPI's and MPICH's, on the same work, in turns.

    python3 benchmarks/collectives.py                        2 ranks, all operations and sizes, from build/release
    python3 benchmarks/collectives.py --ranks 2,4,8
    python3 benchmarks/collectives.py --only allreduce --sizes 8,65536 --rounds 11

For each number of ranks it prints two tables: rankpool under rankrun against the better of the two MPIs, and rankpool
under Open MPI's mpirun (reductions marked `native`) against Open MPI itself. Below each stand the geometric means and
the cells that are slower.

In a round every competitor runs once, as a job of its own that does all operations; every second round goes backwards
(A B B A). A ratio is the median of the rounds' ratios. rankpool's jobs run twice in a round: the column A/A compares
them with themselves, and a difference that is not larger than there says nothing. CPU time is that of all ranks.

Ends with 1 when a competitor failed or gave a wrong result. A missing one, or a missed target, is told.
"""

import argparse
import math
import os
import re
import shutil
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from run import (FEWEST_ROUNDS, HERE, Failed, Missing, OthersLoad, Table, in_words, measure, microseconds,
                 milliseconds, output_of, print_table, ratio_of, shown_path, tell_machine)

OPERATIONS = ("barrier", "bcast", "scatter", "gather", "allgather", "alltoall", "reduce", "allreduce")
SIZES = (8, 512, 4096, 65_536, 1_048_576, 16_777_216)
SMALL = 4096  # sizes up to here are judged together, and those above
ROOTED = ("bcast", "scatter", "gather", "reduce")
SYMMETRIC = ("barrier", "allgather", "allreduce")


# ---- running ----


@dataclass(frozen=True)
class Competitor:
    name: str
    launcher: str
    program: str  # an executable in bench/ of the build directory
    options: tuple = ()


RANKPOOL = Competitor("rankpool", "rankrun", "bench_collectives_rankpool")
OPEN_MPI = Competitor("Open MPI", "mpirun.openmpi", "bench_collectives_raw_mpi_openmpi")
MPICH = Competitor("MPICH", "mpirun.mpich", "bench_collectives_raw_mpi_mpich")
NATIVE = Competitor("rankpool over Open MPI", "mpirun.openmpi", "bench_collectives_rankpool", ("--native",))


def launcher_command(launcher, build, ranks):
    """The words before a program's name. Ranks are bound to cores where there are enough of them."""
    bound = ranks <= len(os.sched_getaffinity(0))
    if launcher == "rankrun":
        path, options = build / "bin" / "rankrun", ["--bind", "core"] if bound else []
        if not path.exists():
            raise Missing(f"not built: there is no {shown_path(path)}")
    else:
        path = shutil.which(launcher)
        if path is None:
            raise Missing(f"{launcher} is not installed")
        if launcher == "mpirun.openmpi":
            options = ["--bind-to", "core"] if bound else ["--oversubscribe"]
        else:
            options = ["-bind-to", "core"] if bound else []
    return [str(path), *options, "-n", str(ranks)]


class Runner:
    def __init__(self, build, ranks, sizes, only):
        self.build, self.ranks, self.sizes, self.only = build, ranks, sizes, only
        self.cells = [(operation, size) for operation in ([only] if only else OPERATIONS)
                      for size in ([0] if operation == "barrier" else sizes)]

    def command(self, competitor):
        program = self.build / "bench" / competitor.program
        if not program.exists():
            raise Missing(f"not built: there is no {shown_path(program)}")
        only = ["--only", self.only] if self.only else []
        launcher = launcher_command(competitor.launcher, self.build, self.ranks)
        return [*launcher, str(program), *competitor.options, *only, *map(str, self.sizes)]

    def run(self, competitor):
        """(operation, size): nanoseconds of a call, and nanoseconds of CPU time."""
        times = {}
        for line in output_of(self.command(competitor)).splitlines():
            try:
                operation, size, wall, cpu = line.split()
                cell, seen = (operation, int(size)), (float(wall), max(float(cpu), 0.1))
            except ValueError:
                raise Failed(f"printed {line[:80]!r}") from None
            if cell in times:
                raise Failed("its ranks were not connected: more than one of them printed times")
            times[cell] = seen
        if set(times) != set(self.cells):
            raise Failed("did not print the times of all operations and sizes")
        return times


# ---- telling ----


def size_text(size):
    for unit, name in (1 << 20, "MiB"), (1 << 10, "KiB"):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B" if size else ""


def cell_text(cell):
    return f"{cell[0]} {size_text(cell[1])}".strip()


def median_text(times):
    if not times:
        return ""
    middle = statistics.median(times)
    if middle < 1e3:
        return f"{middle:.0f} ns"
    return microseconds(middle) if middle < 1e6 else milliseconds(middle)


def decimal(value):
    return f"{value:.2f}"


def several(words):
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0]


class Series:
    """A competitor's rounds. wall and cpu give a cell's nanoseconds, one a round; nothing when there was trouble."""

    def __init__(self, rounds):
        self.rounds = rounds

    def wall(self, cell):
        return [times[cell][0] for times in self.rounds]

    def cpu(self, cell):
        return [times[cell][1] for times in self.rounds]


def against_better(ours, peers, cell, kind):
    """Times that ours takes of the better peer's time, or None. The better one is that with the lower median."""
    own, others = kind(ours, cell), [times for times in (kind(peer, cell) for peer in peers) if times]
    if not own or not others:
        return None
    return ratio_of(own, min(others, key=statistics.median))[0]


def noise_of(ours, again, cell):
    pairs = list(zip(ours.wall(cell), again.wall(cell)))
    return statistics.median(max(a / b, b / a) for a, b in pairs) if pairs else None


def geometric_mean(ratios):
    return math.exp(statistics.fmean(map(math.log, ratios)))


def told(value, text):
    return "" if value is None else text(value)


def target_of(group, ranks):
    """From performance.md: how many times faster a group of cells is to be, and whether in CPU time too."""
    if ranks == 2:
        return {"small": (2, False), "tiny rooted": (4, False)}.get(group)
    if ranks in (4, 8, 16):
        return {"small symmetric": ({4: 1.3, 8: 2, 16: 3}[ranks], True), "small rooted": (4, True)}.get(group)
    return None


GROUPS = {
    "small": (f"all, up to {size_text(SMALL)}", lambda operation, size: size <= SMALL),
    "large": (f"all, above {size_text(SMALL)}", lambda operation, size: size > SMALL),
    "tiny rooted": (f"{several(ROOTED)} of 8 B", lambda operation, size: operation in ROOTED and size == 8),
    "small rooted": (f"{several(ROOTED)}, up to {size_text(SMALL)}",
                     lambda operation, size: operation in ROOTED and size <= SMALL),
    "small symmetric": (f"{several(SYMMETRIC)}, up to {size_text(SMALL)}",
                        lambda operation, size: operation in SYMMETRIC and size <= SMALL),
}


def tell_means(cells, wall, cpu, ranks):
    rows = []
    for group, (name, belongs) in GROUPS.items():
        chosen = [cell for cell in cells if belongs(*cell) and wall[cell] is not None]
        if not chosen:
            continue
        means = [geometric_mean([ratios[cell] for cell in chosen]) for ratios in (wall, cpu)]
        verdict, target = "", target_of(group, ranks)
        if target:
            factor, cpu_too = target
            met = all(mean <= 1 / factor for mean in (means if cpu_too else means[:1]))
            verdict = f"{factor} times faster{', in both' if cpu_too else ''}: {'met' if met else 'MISSED'}"
        rows.append([name, *map(in_words, means), verdict])
    if rows:
        print_table(["geometric mean", "time", "CPU time", "target"], rows)
        print()


def tell_slower(cells, ratios, noise, limit, what):
    """The cells where ours takes more than `limit` times the peer's time, in words."""
    slower = []
    for cell in cells:
        if ratios[cell] is None or ratios[cell] <= limit:
            continue
        within = noise is not None and noise[cell] is not None and ratios[cell] <= noise[cell]
        slower.append(f"{cell_text(cell)} ({in_words(ratios[cell])}{', within the noise' if within else ''})")
    judged = sum(ratios[cell] is not None for cell in cells)
    if judged == 0:
        print(f"- {what}: not judged, nothing to compare with.")
    elif slower:
        print(f"- {what}: {len(slower)} of {judged} cells: {'; '.join(slower)}.")
    else:
        print(f"- {what}: none of {judged} cells.")


SAME = 1.005  # what is shown as "the same" is not slower


def tell_shared_memory(cells, ours, again, peers, ranks):
    series = list(peers.values())
    wall = {cell: against_better(ours, series, cell, Series.wall) for cell in cells}
    cpu = {cell: against_better(ours, series, cell, Series.cpu) for cell in cells}
    noise = {cell: noise_of(ours, again, cell) for cell in cells}
    rows = []
    for cell in cells:
        times = [median_text(who.wall(cell)) for who in (ours, *series)]
        rows.append([cell[0], size_text(cell[1]), *times, told(wall[cell], in_words), told(cpu[cell], in_words),
                     told(noise[cell], decimal)])
    print_table(["operation", "size", RANKPOOL.name, *(who.name for who in peers), "rankpool against the better",
                 "its CPU time against the better", "A/A"], rows)
    print()
    tell_means(cells, wall, cpu, ranks)
    tell_slower(cells, wall, noise, SAME, "Slower than the better of the two")
    tell_slower(cells, cpu, None, SAME, "More CPU time than the better of the two")
    print()


def tell_over_mpi(cells, ours, again, peer):
    wall = {cell: against_better(ours, [peer], cell, Series.wall) for cell in cells}
    cpu = {cell: against_better(ours, [peer], cell, Series.cpu) for cell in cells}
    noise = {cell: noise_of(ours, again, cell) for cell in cells}
    rows = []
    for cell in cells:
        times = [median_text(who.wall(cell)) for who in (ours, peer)]
        rows.append([cell[0], size_text(cell[1]), *times, told(wall[cell], in_words), told(noise[cell], decimal)])
    print_table(["operation", "size", NATIVE.name, OPEN_MPI.name, "rankpool against it", "A/A"], rows)
    print()
    tell_means(cells, wall, cpu, ranks=0)
    tell_slower([cell for cell in cells if cell[1] < 65_536], wall, noise, SAME, "Slower than Open MPI below 64 KiB")
    tell_slower([cell for cell in cells if cell[1] >= 65_536], wall, noise, 1.03,
                "From 64 KiB, beyond the target of 1.03 times Open MPI's time")
    print()


# ---- the command line ----


def numbers(text):
    values = tuple(int(word) for word in text.split(","))
    if min(values) < 1:
        raise ValueError
    return values


def memory_available():
    found = re.search(r"^MemAvailable:\s*(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else math.inf


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=numbers, default=(2,), metavar="N,N,...", help="2 by default")
    parser.add_argument("--sizes", type=numbers, default=SIZES, metavar="BYTES,BYTES,...",
                        help="of a block, in multiples of 8; 8 to 16777216 by default")
    parser.add_argument("--only", choices=OPERATIONS, help="one operation")
    parser.add_argument("--rounds", type=int, default=FEWEST_ROUNDS, help=f"{FEWEST_ROUNDS} by default")
    parser.add_argument("--build", type=Path, default=HERE.parent / "build" / "release", help="the build directory")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds takes a number from 1 on")
    if any(size % 8 for size in options.sizes):
        parser.error("--sizes takes multiples of 8")
    needed = 2 * max(options.ranks) ** 2 * max(options.sizes)  # what alltoall sends, and what it receives
    if options.only in (None, "alltoall") and needed > memory_available():
        parser.error(f"alltoall of {max(options.ranks)} ranks needs {needed / 2**30:.0f} GiB; choose smaller --sizes")

    load = os.getloadavg()[0]
    others = OthersLoad()
    build = options.build.resolve()
    any_failed = False
    for ranks in options.ranks:
        runner = Runner(build, ranks, options.sizes, options.only)
        turns = Table(f"collectives, {ranks} ranks", "", "", None, (RANKPOOL, NATIVE), (OPEN_MPI, MPICH))
        results = measure(turns, runner, options.rounds)
        rankpool, native, open_mpi, mpich, rankpool_again, native_again = (Series(rounds) for _, rounds, _ in results)

        print(f"### collectives: {ranks} ranks, rankpool under rankrun\n")
        tell_shared_memory(runner.cells, rankpool, rankpool_again, {OPEN_MPI: open_mpi, MPICH: mpich}, ranks)
        print(f"### collectives: {ranks} ranks, rankpool over Open MPI, reductions marked native\n")
        tell_over_mpi(runner.cells, native, native_again, open_mpi)
        for who, trouble in {who: trouble for who, _, trouble in results if trouble is not None}.items():
            print(f"{'MISSING' if isinstance(trouble, Missing) else 'FAILED'}: {who.name}: {trouble}\n")
            any_failed |= isinstance(trouble, Failed)
        sys.stdout.flush()
    work = f"{several([str(ranks) for ranks in options.ranks])} ranks"
    tell_machine(build, work, options.rounds, load, others.share())
    return 1 if any_failed else 0


if __name__ == "__main__":
    sys.exit(main())
