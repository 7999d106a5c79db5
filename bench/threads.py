"""`make bench-threads`: what a second thread is worth, without sockets: the same requests by one and by two threads.

Each measurement is a process of its own, so that none is warmed up or held up by the one before it.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench import record
from bench.options import Options, count, end_with

THREADS: Final = 2


class Failed(Exception):
    """A measurement that came to nothing; its text says which, and why."""


@dataclass(frozen=True)
class Side:
    """One way of doing it: the arguments of `bench.inprocess`."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """One measurement."""

    rate: float  # requests per second, of all threads
    cpu: float  # processor seconds per request of the threads that were fed

    @classmethod
    def of(cls, text: str) -> Sample:
        """What `bench.inprocess --json` printed."""
        found = json.loads(text)
        return cls(found["rate"], found["cpu"])


@dataclass
class Comparison:
    """Two sides, the second of which should be faster."""

    name: str
    before: Side
    after: Side
    aim: float
    samples: list[tuple[Sample, Sample]] = field(default_factory=list)  # of each round

    @property
    def ratios(self) -> list[float]:
        return [after.rate / before.rate for before, after in self.samples]

    @property
    def dearer(self) -> float:
        """How much more processor time a request takes on the second side: what threads cost each other."""
        return statistics.median([after.cpu / before.cpu for before, after in self.samples])

    def figures(self) -> dict[str, Any]:
        """All of it, for the record."""
        sides = {
            side.name: {
                "requests_per_second": [round(samples[place].rate) for samples in self.samples],
                "cpu_microseconds": [round(samples[place].cpu * 1e6, 2) for samples in self.samples],
            }
            for place, side in enumerate((self.before, self.after))
        }
        ratio = {"ratio": round(statistics.median(self.ratios), 3), "ratios": [round(each, 3) for each in self.ratios]}
        return {"name": self.name, "aim": self.aim, **ratio, "sides": sides}


def comparisons(requests: int) -> list[Comparison]:
    """All that is compared; `requests` are those of a thread."""
    made = []
    for workload in ("put", "mix"):
        one, two = (
            Side(f"{threads} threads", _arguments(workload, requests, threads)) for threads in (1, THREADS)
        )  # fmt: skip
        made.append(Comparison(f"{workload}, own queues", one, two, 1.75))
        shared = Side(two.name, (*two.arguments, "--shared"))
        made.append(Comparison(f"{workload}, one queue", one, shared, 1.4))
    for durability in ("off", "full"):
        of_sqlite = ("--store", "sqlite", "--set", f"sqlite.durability={durability}")
        sides = [
            Side(
                f"{shards} shards",
                (*_arguments("put", requests // 2, THREADS), *of_sqlite, "--set", f"sqlite.shards={shards}"),
            )
            for shards in (1, 2)
        ]
        made.append(Comparison(f"SQLite put, durability {durability}", sides[0], sides[1], 1.5))
    return made


def _arguments(workload: str, requests: int, threads: int) -> tuple[str, ...]:
    return (workload, "--requests", str(requests), "--threads", str(threads))


def measure(side: Side) -> Sample:
    command = [sys.executable, "-m", "bench.inprocess", *side.arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)} failed: {done.stderr.strip().rpartition(chr(10))[2]}")
    return Sample.of(done.stdout)


def run(compared: Sequence[Comparison], rounds: int) -> None:
    """All sides in each round, and in every other round the second of them first."""
    for number in range(rounds):
        for each in compared:
            if number % 2:
                after = measure(each.after)
                before = measure(each.before)
            else:
                before = measure(each.before)
                after = measure(each.after)
            each.samples.append((before, after))


def table(compared: Iterable[Comparison]) -> Table:
    found = Table("compared", "requests/s", "", "ratio", "min to max", "aim", "CPU time of a request", box=SIMPLE)
    for each in compared:
        rates = [statistics.median(samples[place].rate for samples in each.samples) for place in (0, 1)]
        found.add_row(
            each.name,
            f"{rates[0]:,.0f}: {each.before.name}",
            f"{rates[1]:,.0f}: {each.after.name}",
            f"{statistics.median(each.ratios):.2f}",
            f"{min(each.ratios):.2f} to {max(each.ratios):.2f}",
            f"{each.aim:.2f}",
            f"{each.dearer:.2f} times",
        )
    return found


def main() -> int:
    parser = Options("bench.threads", __doc__)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--requests", type=count, default=60_000, help="of each thread and measurement")
    parser.add_argument("--only", default="", help="compare those whose name has this in it")
    given = parser.parse_args()
    compared = [each for each in comparisons(given.requests) if given.only in each.name]
    if given.requests < 10:
        parser.error(f"--requests is {given.requests}; 10 or more are expected")
    if not compared:
        names = "; ".join(each.name for each in comparisons(given.requests))
        parser.error(f"--only {given.only}: nothing has this in its name; there is {names}")
    gil = record.gil()
    print(
        f"Python {platform.python_version()}{'' if gil else ', free-threaded'}; no sockets; "
        f"medians of {given.rounds} rounds of {given.requests:,} requests per thread"
    )
    if gil:
        print(
            "The GIL is on: a second thread can't be worth anything here. `make bench-threads` takes a Python without."
        )
    try:
        run(compared, given.rounds)
    except Failed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    Console(width=150).print(table(compared))
    if not given.only:
        sizes = {"rounds": given.rounds, "requests_per_thread": given.requests}
        record.keep("threads", {**sizes, "compared": [each.figures() for each in compared]}, given.rounds)
    return 0


if __name__ == "__main__":
    end_with(main)
