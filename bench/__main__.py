"""`make bench`: the service as a fraction of the ceiling, in one run.

The ceiling is what a server that does nothing makes of the same PUT requests, from the same load.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import urllib.request
from dataclasses import dataclass, field

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench import servers, wrk

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

    def median(self, figure: str) -> float:
        return float(statistics.median(getattr(load, figure) for load in self.loads))


def measure(rounds: int, seconds: int, connections: int, options: list[str]) -> dict[str, Row]:
    """Each round measures the ceiling and every workload, one after the other; nothing else runs meanwhile."""
    server_cpu, load_cpu = (0, 1) if (os.cpu_count() or 1) > 1 else (None, None)
    rows = {name: Row(name) for name in ("ceiling", "PUT", "GET", "claim", "DELETE")}

    def load(row: str, server: servers.Running, path: str, script: str, length: int) -> None:
        before = server.cpu_seconds()
        found = wrk.run(server.url + path, length, connections, script, load_cpu)
        ceiling = rows["ceiling"].loads[-1].rate if row != "ceiling" else found.rate
        rows[row].add(found, server.cpu_seconds() - before, ceiling)

    for _ in range(rounds):
        with servers.running(["bench.ceiling"], server_cpu) as server:
            load("ceiling", server, "/", PUT, seconds)
        with servers.running(servers.leveret("--set", "event.threads=1", *options), server_cpu) as server:
            queue, other = "/v1.0/account/queue", "/v1.0/account/other"
            load("PUT", server, queue, PUT, seconds)
            load("GET", server, queue + "/1000", "", seconds)
            load("claim", server, queue + "?limit=1&hide=60&detail=all", CLAIM, seconds)
            # Deleting is faster than putting, and each DELETE needs a message of its own.
            wrk.run(server.url + other, 2 * seconds, connections, PUT, load_cpu)
            load("DELETE", server, other, DELETE, seconds)
            request = urllib.request.Request(server.url + "/v1.0", method="DELETE")
            urllib.request.urlopen(request).close()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="per workload and round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--set", action="append", default=[], help="a setting for the server, as in 'leveret serve'")
    given = parser.parse_args()
    try:
        options = [word for setting in given.set for word in ("--set", setting)]
        rows = measure(given.rounds, given.seconds, given.connections, options)
    except wrk.NoWrk as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    table = Table(
        "workload",
        "of the ceiling",
        "min to max",
        "requests/s",
        "per CPU second",
        "p50 ms",
        "p99 ms",
        "failed",
        box=SIMPLE,
    )
    for row in rows.values():
        failed = sum(load.failed + load.refused for load in row.loads)
        table.add_row(
            row.name,
            f"{statistics.median(row.fractions):.2f}",
            f"{min(row.fractions):.2f} to {max(row.fractions):.2f}",
            f"{row.median('rate'):,.0f}",
            f"{statistics.median(row.per_cpu):,.0f}",
            f"{row.median('p50'):.2f}",
            f"{row.median('p99'):.2f}",
            str(failed),
        )
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(
        f"Python {platform.python_version()}{'' if gil else ', free-threaded'}; {platform.machine()}, "
        f"{os.cpu_count()} cores; store memory://; {given.connections} connections; "
        f"medians of {given.rounds} rounds of {given.seconds} s; bodies of {BODY} bytes"
    )
    Console(width=120).print(table)
    return 1 if any(load.failed or load.refused for row in rows.values() for load in row.loads) else 0


if __name__ == "__main__":
    sys.exit(main())
