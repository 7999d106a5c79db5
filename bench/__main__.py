"""`make bench`: the service as a fraction of the ceiling, in one run.

The ceiling is what a server that does nothing makes of the same PUT requests, from the same load.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench import record, servers, wrk
from bench.options import Options, count, end_with

BODY = 100  # bytes

# Ids are counted, so that those that were put can be deleted.
_COUNTED = """
local n = 0
local body = string.rep("x", %d)
request = function()
  n = n + 1
  return wrk.format("%s", wrk.path .. "/" .. n, nil, %s)
end
"""
PUT = _COUNTED % (BODY, "PUT", "body")
DELETE = _COUNTED % (BODY, "DELETE", "nil")
CLAIM = 'wrk.method = "POST"'

SERVER_CPU, LOAD_CPU = servers.CORES


@dataclass
class Row:
    """One workload, over all rounds."""

    name: str
    loads: list[wrk.Load] = field(default_factory=list)
    fractions: list[float] = field(default_factory=list)  # of the ceiling of the same round
    per_cpu: list[float] = field(default_factory=list)  # requests per second of the server's processor time

    def add(self, load: wrk.Load, cpu_seconds: float, ceiling: float) -> None:
        self.loads.append(load)
        self.fractions.append(load.rate / ceiling)
        self.per_cpu.append(load.requests / cpu_seconds if cpu_seconds else 0.0)

    @property
    def failed(self) -> int:
        """Requests that were not answered as they should be."""
        return sum(load.failed + load.refused for load in self.loads)

    def median(self, figure: str) -> float:
        return float(statistics.median(getattr(load, figure) for load in self.loads))


@dataclass(frozen=True)
class Bench:
    """How each workload is measured."""

    seconds: int  # per workload and round
    connections: int
    threads: Sequence[int]  # of the server: all workloads with each number
    options: list[str]  # for the server
    rows: dict[str, Row] = field(default_factory=dict)

    def round(self) -> None:
        """The ceiling and every workload, one after the other; nothing else runs meanwhile."""
        with servers.running(["bench.ceiling"], SERVER_CPU) as server:
            self._load("ceiling", server, "/", PUT)
        for threads in self.threads:
            with self._serving("memory://", threads) as server:
                self._workloads("memory", server, threads)
            # Beside the repository: the folder for temporary files may be on no disk.
            with (
                tempfile.TemporaryDirectory(dir=Path.cwd()) as folder,
                self._serving(f"sqlite:///{folder}/queue.db", threads) as server,
            ):
                self._workloads("durable", server, threads)
                more = _named("durable PUT, 256 connections", threads)
                self._load(more, server, "/v1.0/account/more", PUT, connections=256)

    @contextmanager
    def _serving(self, store: str, threads: int) -> Iterator[servers.Running]:
        arguments = servers.leveret("--store", store, "--set", f"event.threads={threads}", *self.options)
        # One thread has a core of its own; two take what the load leaves them of both.
        with servers.running(arguments, SERVER_CPU if threads == 1 else None) as server:
            yield server

    def _workloads(self, name: str, server: servers.Running, threads: int) -> None:
        queue, other = "/v1.0/account/queue", "/v1.0/account/other"
        self._load(_named(f"{name} PUT", threads), server, queue, PUT)
        self._load(_named(f"{name} GET", threads), server, queue + "/1000", "")
        # Claiming and deleting may be faster than putting, and each needs a message of its own.
        wrk.run(server.url + other, 2 * self.seconds, self.connections, PUT, LOAD_CPU)
        self._load(_named(f"{name} claim", threads), server, other + "?limit=1&hide=60&detail=all", CLAIM)
        self._load(_named(f"{name} DELETE", threads), server, other, DELETE)

    def _load(self, row: str, server: servers.Running, path: str, script: str, connections: int | None = None) -> None:
        before = server.cpu_seconds()
        found = wrk.run(server.url + path, self.seconds, connections or self.connections, script, LOAD_CPU)
        ceiling = self.rows["ceiling"].loads[-1].rate if row != "ceiling" else found.rate
        self.rows.setdefault(row, Row(row)).add(found, server.cpu_seconds() - before, ceiling)


def _named(row: str, threads: int) -> str:
    return row if threads == 1 else f"{row}, {threads} threads"


def main() -> int:
    parser = Options("bench", __doc__)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--seconds", type=count, default=3, help="per workload and round")
    parser.add_argument("--connections", type=count, default=64)
    parser.add_argument("--threads", default="1,2", help="of the server: all is measured with each of these numbers")
    parser.add_argument("--set", action="append", default=[], help="a setting for the server, as in 'leveret serve'")
    given = parser.parse_args()
    if not all(number.isdigit() and int(number) > 0 for number in given.threads.split(",")):
        parser.error(f"--threads is '{given.threads}'; numbers with commas between are expected, as in 1,2")
    threads = [int(number) for number in given.threads.split(",")]
    options = [word for setting in given.set for word in ("--set", setting)]
    bench = Bench(given.seconds, given.connections, threads, options)
    for _ in range(given.rounds):
        bench.round()
    table = Table(
        "workload",
        "of the ceiling",
        "min to max",
        "requests/s",
        "per server CPU second",
        "load's CPU",
        "p50 ms",
        "p99 ms",
        "failed",
        box=SIMPLE,
    )
    for row in bench.rows.values():
        table.add_row(
            row.name,
            f"{statistics.median(row.fractions):.2f}",
            f"{min(row.fractions):.2f} to {max(row.fractions):.2f}",
            f"{row.median('rate'):,.0f}",
            f"{statistics.median(row.per_cpu):,.0f}",
            f"{statistics.median(load.cpu / load.seconds for load in row.loads):.0%}",
            f"{row.median('p50'):.2f}",
            f"{row.median('p99'):.2f}",
            str(row.failed),
        )
    print(
        f"Python {platform.python_version()}{'' if record.gil() else ', free-threaded'}; {platform.machine()}, "
        f"{os.cpu_count()} cores; {given.connections} connections; "
        f"medians of {given.rounds} rounds of {given.seconds} s; bodies of {BODY} bytes"
    )
    Console(width=140).print(table)
    _keep(bench, given.rounds)
    return 1 if any(row.failed for row in bench.rows.values()) else 0


def _keep(bench: Bench, rounds: int) -> None:
    """Write down each round of each workload."""
    rows = [
        {"workload": row.name, "of the ceiling": row.fractions, "per server CPU second": row.per_cpu}
        | {"loads": [asdict(load) for load in row.loads]}
        for row in bench.rows.values()
    ]
    name = "bench" if record.gil() else "bench-freethreaded"
    record.keep(name, {"rounds": rounds, "connections": bench.connections, "body": BODY, "rows": rows}, rounds)


if __name__ == "__main__":
    end_with(main)
