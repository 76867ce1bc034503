#!/usr/bin/env python3
"""Runs rankpool against its peers, in turns, and prints a table for each benchmark.

    python3 benchmarks/run.py                      all of them, programs from build/release
    python3 benchmarks/run.py map_ints --rounds 11
    python3 benchmarks/run.py --build DIR

In a round every competitor runs once, as a process of its own; every second round goes backwards (A B B A). A process
prints the nanoseconds of an operation, once for each of its repetitions, and counts with their median. A ratio is the
median of the rounds' ratios. rankpool's programs run twice in a round: the row A/A compares them with themselves, and a
difference that is not larger than there says nothing.

Ends with 1 when a competitor failed or gave a wrong result. A missing one, or a missed target, is told in the table.
"""

import argparse
import datetime
import functools
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
FEWEST_ROUNDS = 7  # for a table that is to be believed
TIMEOUT_SECONDS = 300  # of one process


# ---- what is compared ----


@dataclass(frozen=True)
class Competitor:
    name: str
    program: str  # an executable in bench/ of the build directory, or a Python script below this one
    workers: int = 0  # 0: those of the command line
    mpirun: bool = False
    rankrun: bool = False
    module: str = ""  # of Python, that runs the script, with a rank of its own next to the workers


@dataclass(frozen=True)
class Target:
    """From performance.md. `ours` takes at most `factor` times the time of `peer`, or `factor` ns when there is none."""

    ours: Competitor
    factor: float
    text: str
    peer: Competitor | None = None


@dataclass(frozen=True)
class Table:
    benchmark: str
    title: str
    quantity: str
    show: object  # nanoseconds of an operation, as a text
    ours: tuple
    peers: tuple
    targets: tuple = ()
    note: str = ""


def milliseconds(nanoseconds):
    return f"{nanoseconds / 1e6:.2f} ms"


def microseconds(nanoseconds):
    return f"{nanoseconds / 1e3:.2f} us"


def items_a_second(nanoseconds):
    return f"{1e9 / nanoseconds:,.0f} items/s"


NEW_VECTOR = "`map` makes a new vector for its results within the measured time; all others write to one that is there."


SPARE_RANK = "mpi4py.futures has a rank for the program next to the workers."


def map_ints():
    mapped = Competitor("rankpool map", "bench_map_ints_rankpool")
    into = Competitor("rankpool map_into", "bench_map_ints_rankpool_into")
    onetbb = Competitor("oneTBB parallel_for", "bench_map_ints_onetbb")
    raw_mpi = Competitor("raw MPI scatter, square, gather", "bench_map_ints_raw_mpi", mpirun=True)
    serial = Competitor("serial loop", "bench_map_ints_serial")
    shared = Competitor("rankpool map_into, shared_vector", "bench_map_ints_rankpool_shared")
    targets = [Target(shared, 1.25, f"{shared.name} in and out: at most 1.25 times oneTBB's time", onetbb)]
    for ours in into, mapped:
        targets.append(Target(ours, 3, f"{ours.name}, std::vector: at most 3 times oneTBB's time", onetbb))
        targets.append(Target(ours, 1 / 1.5, f"{ours.name}, std::vector: at least 1.5 times faster than raw MPI", raw_mpi))
    return [
        Table(
            "map_ints", "10,000,000 ints squared", "time of a call", milliseconds,
            (shared, into, mapped), (onetbb, raw_mpi, serial), tuple(targets),
            NEW_VECTOR,
        )
    ]


def dispatch():
    ours = Competitor("rankpool map", "bench_dispatch_rankpool")
    python = Competitor("Python Pool.map", "dispatch/python.py")
    futures = Competitor("mpi4py.futures map", "dispatch/mpi4py_futures.py", mpirun=True, module="mpi4py.futures")
    return [
        Table(
            "dispatch", "100,000 trivial items, chunksize 1", "items of a call, over its time", items_a_second,
            (ours,), (python, futures),
            (Target(ours, 1e9 / 10e6, "at least 10 M items/s"),
             Target(ours, 1 / 300, "at least 300 times as many items/s as Python's Pool", python),
             Target(ours, 1 / 2000, "at least 2000 times as many items/s as mpi4py.futures", futures)),
            SPARE_RANK,
        )
    ]


def apply_latency():
    tables = []
    for workers, who, limit in (1, "one worker", 2), (0, "as many workers as CPUs", 60):
        ours = Competitor("rankpool apply", "bench_apply_latency_rankpool", workers)
        python = Competitor("Python Pool.apply", "apply_latency/python.py", workers)
        tables.append(
            Table(
                "apply_latency", f"call to result of a trivial function, {who}", "median of 2,000 calls", microseconds,
                (ours,), (python,), (Target(ours, limit * 1e3, f"at most {limit} us"),),
            )
        )
    return tables


def submit_latency():
    tables = []
    for workers, who, limit in (1, "one worker", 2), (0, "as many workers as CPUs", 60):
        ours = Competitor("rankpool ProcessPoolExecutor", "bench_submit_latency_rankpool", workers)
        python = Competitor("Python ProcessPoolExecutor", "submit_latency/python.py", workers)
        futures = Competitor("mpi4py.futures", "submit_latency/mpi4py_futures.py", workers, mpirun=True, module="mpi4py.futures")
        tables.append(
            Table(
                "submit_latency", f"submit to result of a trivial function, {who}", "median of 2,000 calls", microseconds,
                (ours,), (python, futures), (Target(ours, limit * 1e3, f"at most {limit} us"),), SPARE_RANK,
            )
        )
    return tables


def submit_throughput():
    ours = Competitor("rankpool ProcessPoolExecutor", "bench_submit_throughput_rankpool")
    python = Competitor("Python ProcessPoolExecutor", "submit_throughput/python.py")
    futures = Competitor("mpi4py.futures", "submit_throughput/mpi4py_futures.py", mpirun=True, module="mpi4py.futures")
    return [
        Table(
            "submit_throughput", "10,000 trivial tasks, all submitted, then all results read", "tasks, over the time of all",
            items_a_second, (ours,), (python, futures), (), SPARE_RANK,
        )
    ]


def map_compute():
    mapped = Competitor("rankpool map", "bench_map_compute_rankpool")
    into = Competitor("rankpool map_into", "bench_map_compute_rankpool_into")
    onetbb = Competitor("oneTBB parallel_for", "bench_map_compute_onetbb")
    openmp = Competitor("OpenMP parallel for", "bench_map_compute_openmp")
    raw_mpi = Competitor("raw MPI scatter, compute, gather", "bench_map_compute_raw_mpi", mpirun=True)
    return [
        Table(
            "map_compute", "200,000 items of about 1 us", "time of a call", milliseconds,
            (into, mapped), (onetbb, openmp, raw_mpi),
            tuple(Target(ours, 1.03, f"{ours.name}: at most 1.03 times oneTBB's time", onetbb) for ours in (into, mapped)),
            NEW_VECTOR,
        )
    ]


def map_skewed():
    ours = Competitor("rankpool map", "bench_map_skewed_rankpool")
    ideal = Competitor("ideal: equal shares, dealt beforehand", "bench_map_skewed_ideal")
    onetbb = Competitor("oneTBB parallel_for", "bench_map_skewed_onetbb")
    openmp = Competitor("OpenMP parallel for, dynamic", "bench_map_skewed_openmp")
    raw_mpi = Competitor("raw MPI scatter, compute, gather", "bench_map_skewed_raw_mpi", mpirun=True)
    return [
        Table(
            "map_skewed", "10,000 items, 1 % of them 100 times longer", "time of a call", milliseconds,
            (ours,), (ideal, onetbb, openmp, raw_mpi),
            (Target(ours, 1.05, "at most 1.05 times the ideal", ideal),),
            NEW_VECTOR,
        )
    ]


def map_strings():
    ours = Competitor("rankpool map", "bench_map_strings_rankpool")
    boost = Competitor("Boost.MPI scatter, gather", "bench_map_strings_boost_mpi", mpirun=True)
    python = Competitor("Python Pool.map", "map_strings/python.py")
    futures = Competitor("mpi4py.futures map", "map_strings/mpi4py_futures.py", mpirun=True, module="mpi4py.futures")
    serial = Competitor("serial loop", "bench_map_strings_serial")
    return [
        Table(
            "map_strings", "100,000 strings of 14 to 95 characters", "time of a call", milliseconds,
            (ours,), (boost, python, futures, serial), (Target(ours, 1 / 3, "at least 3 times faster than Boost.MPI", boost),),
            "mpi4py.futures has a rank for the program next to the workers, and chunks as large as Python's Pool.map makes them.",
        )
    ]


def serialized():
    tables = []
    for what, title in ("strings", "400,000 strings of 14 to 95 characters"), ("records", "50,000 structs with strings, vectors and structs inside"):
        ours = Competitor("rankpool scatterv, gatherv, under rankrun", f"bench_serialized_rankpool_{what}", rankrun=True)
        under_mpi = Competitor("rankpool scatterv, gatherv, under mpirun", f"bench_serialized_rankpool_{what}", mpirun=True)
        boost = Competitor("Boost.MPI scatter, gather", f"bench_serialized_boost_mpi_{what}", mpirun=True)
        copy = Competitor("one copy in one process, nothing sent", f"bench_serialized_copy_{what}")
        targets = [Target(each, 1 / 3, f"{each.name}: at least 3 times faster than Boost.MPI", boost) for each in (ours, under_mpi)]
        tables.append(Table(f"serialized {what}", title, "time of a scatter and a gather", milliseconds, (ours, under_mpi), (boost, copy), tuple(targets)))
    return tables


BENCHMARKS = {
    "map_ints": map_ints, "map_compute": map_compute, "map_skewed": map_skewed, "map_strings": map_strings,
    "dispatch": dispatch, "apply_latency": apply_latency, "submit_latency": submit_latency,
    "submit_throughput": submit_throughput, "serialized": serialized,
}


# ---- running ----


class Missing(Exception):
    """A competitor that cannot be run here."""


class Failed(Exception):
    """A competitor that was run, and did not do its work."""


class Runner:
    def __init__(self, build, workers):
        self.build = build
        self.bench = build / "bench"
        self.workers = workers

    def command(self, competitor):
        workers = competitor.workers or self.workers
        if competitor.program.endswith(".py"):
            python = [python_with(competitor.module), "-m", competitor.module] if competitor.module else [sys.executable]
            words = [*python, str(HERE / competitor.program), str(workers)]
        else:
            program = self.bench / competitor.program
            if not program.exists():
                raise Missing(f"not built: there is no {shown_path(program)}")
            words = [str(program), str(workers)]
        if competitor.rankrun:
            return [str(self.build / "bin" / "rankrun"), "-n", str(workers), *words]
        if not competitor.mpirun:
            return words
        launcher = shutil.which("mpirun.openmpi")
        if launcher is None:
            raise Missing("mpirun.openmpi is not installed")
        ranks = workers + 1 if competitor.module else workers
        return [launcher, "--oversubscribe", "-n", str(ranks), *words]

    def run(self, competitor):
        """Nanoseconds of an operation: the median of a process's repetitions."""
        command = self.command(competitor)
        printed = output_of(command)
        try:
            times = [float(line) for line in printed.split()]
            return statistics.median(times)
        except ValueError:
            raise Failed(f"printed no times but {printed[:80]!r}") from None


@functools.cache
def python_with(module):
    """A Python that has the module: this one, or the system's, for which Debian's packages are."""
    for python in sys.executable, "/usr/bin/python3":
        if first_line(python, "-c", f"import importlib.util as u; print(u.find_spec('{module}') and 'there' or exit(1))"):
            return python
    raise Missing(f"there is no {module} in {sys.executable} and /usr/bin/python3")


def output_of(command):
    """What a program or a job printed. Failed, with its first words on stderr, when it did not end with 0."""
    # Open MPI refuses root unless told. Raw MPI is initialised without threads: so is rankpool's.
    settings = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "RANKPOOL_THREADS": "one"}
    try:
        done = subprocess.run(command, env=os.environ | settings, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {TIMEOUT_SECONDS} s") from None
    except OSError as error:
        raise Failed(f"cannot be started: {error.strerror}") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise Failed(f"exit code {done.returncode}" + "".join(f"; {line}" for line in said[:1]))
    return done.stdout


def shown_path(path):
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def measure(table, runner, rounds):
    """For each place in a round, its competitor with its times, one a round, or the reason why there are none."""
    turns = [*table.ours, *table.peers, *table.ours]
    times = [[] for _ in turns]
    trouble = [None for _ in turns]
    for number in range(rounds):
        places = range(len(turns)) if number % 2 == 0 else reversed(range(len(turns)))
        for place in places:
            if trouble[place] is not None:
                continue
            progress(f"{table.benchmark}: round {number + 1} of {rounds}: {turns[place].name}")
            try:
                times[place].append(runner.run(turns[place]))
            except (Missing, Failed) as error:
                trouble[place] = error
    progress("")
    return [(who, all_of if why is None else [], why) for who, all_of, why in zip(turns, times, trouble)]


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class OthersLoad:
    """How much of the machine's CPUs other processes used since this was made."""

    def __init__(self):
        self.start = self.read()

    @staticmethod
    def read():
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        ours = resource.getrusage(resource.RUSAGE_CHILDREN)
        idle = ticks[3] + ticks[4]
        hertz = os.sysconf("SC_CLK_TCK")
        return (sum(ticks) - idle) / hertz, sum(ticks) / hertz, ours.ru_utime + ours.ru_stime

    def share(self):
        busy, whole, ours = (now - then for now, then in zip(self.read(), self.start))
        return max(0.0, busy - ours) / whole if whole > 0 else 0.0


# ---- telling ----


def ratio_of(ours, peer):
    """Times that `ours` takes of `peer`'s time: the median over the rounds, and the extremes."""
    ratios = [a / b for a, b in zip(ours, peer)]
    return statistics.median(ratios), min(ratios), max(ratios)


def in_words(ratio):
    """How `ours` does against a peer when it takes `ratio` times its time."""
    factor = max(ratio, 1 / ratio)
    number = f"{factor:,.0f}" if factor >= 100 else f"{factor:.2f}"
    if number == "1.00":
        return "the same"
    return f"{number} times {'slower' if ratio > 1 else 'faster'}"


def print_table(header, rows):
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in header, ["-" * width for width in widths], *rows:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")


def tell(table, results):
    """Prints a table and its targets; returns whether a competitor failed."""
    count = len(table.ours)
    first, again = results[:count], results[-count:]
    header = ["competitor", table.quantity, "lowest to highest"] + [f"{who.name} against it" for who in table.ours]
    rows = []
    for place, (who, times, trouble) in enumerate(results):
        repeated = place >= len(results) - count
        name = f"{who.name}, again (A/A)" if repeated else who.name
        if trouble is not None:
            kind = "MISSING" if isinstance(trouble, Missing) else "FAILED"
            rows.append([name, f"{kind}: {trouble}"] + ["" for _ in header[2:]])
            continue
        cells = [name, table.show(statistics.median(times)), f"{table.show(min(times))} to {table.show(max(times))}"]
        for ours, our_times, our_trouble in first:
            if our_trouble is not None or (ours == who and not repeated) or (ours != who and repeated):
                cells.append("")
                continue
            ratio, least, most = ratio_of(our_times, times)
            cells.append(in_words(ratio) + (f" ({least:.2f} to {most:.2f} of its time)" if repeated else ""))
        rows.append(cells)
    print_table(header, rows)
    print()
    if table.note:
        print(f"{table.note}\n")
    by_competitor = {who: times for who, times, _ in results[: len(results) - count]}
    noise = {who: statistics.median(max(a / b, b / a) for a, b in zip(times, other)) if times and other else None
             for (who, times, _), (_, other, _) in zip(first, again)}
    for target in table.targets:
        print(f"- {verdict(target, by_competitor, noise, table.show)}")
    if table.targets:
        print()
    return any(isinstance(trouble, Failed) for _, _, trouble in results)


def verdict(target, times, noise, show):
    ours, peer = times[target.ours], times[target.peer] if target.peer else None
    if not ours or peer == []:
        absent = target.ours if not ours else target.peer
        return f"Target not judged: {target.text} ({absent.name} gave no times)."
    if peer:
        value = ratio_of(ours, peer)[0]
        found = in_words(value)
    else:
        value = statistics.median(ours)
        found = show(value)
    judged = "Target met" if value <= target.factor else "TARGET MISSED"
    miss = max(value / target.factor, target.factor / value)
    close = ", by less than the noise" if noise[target.ours] is not None and miss <= noise[target.ours] else ""
    return f"{judged}{close}: {target.text}. Measured: {found}."


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = [line.strip() for line in (done.stdout or done.stderr).splitlines() if line.strip()]
    return lines[0] if done.returncode == 0 and lines else None


def cached(build, variable):
    try:
        text = (build / "CMakeCache.txt").read_text()
    except OSError:
        return None
    found = re.search(rf"^{variable}:[A-Z]+=(.*)$", text, re.MULTILINE)
    return found.group(1) if found and found.group(1) else None


def round_trip(build):
    """How long a cache line takes from one CPU to another and back, now: machines that are shared change it."""
    found = [first_line(str(build / "bench" / "bench_round_trip")) for _ in range(5)]
    times = [float(each) for each in found if each]
    return f"{min(times):.0f} to {max(times):.0f} ns in {len(times)} tries at the end" if times else "not measured"


def facts(build, work):
    """What the numbers depend on, as (name, value)."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    family = re.search(r"^cpu family\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    compiler = cached(build, "CMAKE_CXX_COMPILER")
    build_type = cached(build, "CMAKE_BUILD_TYPE") or "unknown"
    flags = cached(build, f"CMAKE_CXX_FLAGS_{build_type.upper()}") or ""
    commit = first_line("git", "-C", str(HERE), "rev-parse", "--short", "HEAD")
    changed = commit and first_line("git", "-C", str(HERE), "status", "--porcelain")
    yield "date", datetime.date.today().isoformat()
    yield "commit", (commit or "unknown") + (" with uncommitted changes" if changed else "")
    yield "CPU", (model.group(1) if model else platform.machine()) + (f", family {family.group(1)}" if family else "")
    yield "CPUs", f"{len(os.sched_getaffinity(0))} usable of {os.cpu_count()}; {work}"
    yield "cache line to another CPU and back", round_trip(build)
    yield "kernel", f"{platform.system()} {platform.release()}"
    yield "compiler", f"{compiler and first_line(compiler, '--version') or 'unknown'}; {build_type} {flags}".strip()
    yield "Open MPI", first_line("mpirun.openmpi", "--version") or "missing"
    yield "MPICH", first_line("mpichversion") or "missing"
    yield "Python", platform.python_version()


def tell_machine(build, work, rounds, load, share):
    """The end of a report: what its numbers depend on, and how busy the machine was."""
    print("### The machine\n")
    few = "" if rounds >= FEWEST_ROUNDS else f": fewer than {FEWEST_ROUNDS}, for a first look only"
    told = [*facts(build, work), ("rounds", f"{rounds}{few}"),
            ("others", f"load {load:.2f} before; other processes used {share:.0%} of the CPUs meanwhile")]
    print_table(["", ""], [[" ".join(cell.split()) for cell in row] for row in told])
    if load >= 1 or share >= 0.05:
        print("\nWARNING: the machine was not idle; do not publish these numbers.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", nargs="*", metavar="BENCHMARK", help=f"of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--build", type=Path, default=HERE.parent / "build" / "release", help="the build directory")
    parser.add_argument("--rounds", type=int, default=FEWEST_ROUNDS, help=f"{FEWEST_ROUNDS} by default")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="all usable CPUs by default")
    options = parser.parse_args()
    unknown = [name for name in options.benchmarks if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    if options.rounds < 1 or options.workers < 1:
        parser.error("--rounds and --workers take numbers from 1 on")

    load = os.getloadavg()[0]
    others = OthersLoad()
    runner = Runner(options.build.resolve(), options.workers)
    any_failed = False
    for name in options.benchmarks or BENCHMARKS:
        for table in BENCHMARKS[name]():
            results = measure(table, runner, options.rounds)
            print(f"### {table.benchmark}: {table.title}\n")
            any_failed |= tell(table, results)
            sys.stdout.flush()
    tell_machine(options.build.resolve(), f"{options.workers} workers", options.rounds, load, others.share())
    return 1 if any_failed else 0


if __name__ == "__main__":
    sys.exit(main())
