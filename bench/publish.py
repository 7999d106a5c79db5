"""Messages per second, durable: by single PUTs, by many in a PUT, by claims of many, by DELETEs of many; in one run.

Beside them, in each round, the ceiling: what a server that does nothing makes of single PUTs. A rate of messages can be
above it, since many share what a request costs.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench import record, servers, wrk
from bench.options import Options, count, end_with

BODY: Final = 100  # bytes
MANY: Final = 100  # messages in a request
SERVER_CPU, LOAD_CPU = servers.CORES

_SINGLE = """
local n = 0
local body = string.rep("x", %d)
request = function()
  n = n + 1
  return wrk.format("PUT", wrk.path .. "/" .. n, nil, body)
end
"""
_MANY = """
local n = 0
local rest = '","body":"' .. string.rep("x", %d) .. '"}'
local headers = {["Content-Type"] = "application/json"}
request = function()
  local parts = {}
  for i = 1, %d do
    n = n + 1
    parts[i] = '{"id":"' .. string.format("%%030d", n) .. rest
  end
  return wrk.format("PUT", nil, headers, '{"messages":[' .. table.concat(parts, ",") .. ']}')
end
"""
_CLAIM = 'wrk.method = "POST"'
_DELETE = """
local n = 0
request = function()
  local parts = {}
  for i = 1, %d do
    n = n + 1
    parts[i] = "id=" .. string.format("%%030d", n)
  end
  return wrk.format("DELETE", wrk.path .. "?" .. table.concat(parts, "&"))
end
"""


class Failed(Exception):
    """What was measured is not what was to be measured."""


@dataclass(frozen=True)
class Round:
    """One round, in messages per second; requests per second for the ceiling."""

    ceiling: float
    single: float
    many: float
    claimed: float
    deleted: float


def ceiling(seconds: int, connections: int) -> float:
    with servers.running(["bench.ceiling"], SERVER_CPU) as server:
        return _rate(server.url + "/", seconds, connections, _SINGLE % BODY)


def service(seconds: int, connections: int) -> tuple[float, float, float, float]:
    # Beside the repository: the folder for temporary files may be on no disk.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        arguments = servers.leveret("--store", f"sqlite:///{folder}/queue.db", "--set", "event.threads=1")
        with servers.running(arguments, SERVER_CPU) as server:
            queue = f"{server.url}/v1.1/a/many"
            single = _rate(f"{server.url}/v1.1/a/single", seconds, connections, _SINGLE % BODY)
            many = _rate(queue, seconds, connections, _MANY % (BODY, MANY)) * MANY
            # Claims and DELETEs may be faster than PUTs, and each needs messages of its own.
            other = f"{server.url}/v1.1/a/other"
            _rate(other, 3 * seconds, connections, _MANY % (BODY, MANY))
            claim = f"{other}?limit={MANY}&hide=600&detail=all"
            claimed = _rate(claim, seconds, connections, _CLAIM) * MANY
            deleted = _rate(other, seconds, connections, _DELETE % MANY) * MANY
            _expect_some(f"{other}?limit=1&match_hidden=true")
    return single, many, claimed, deleted


def _rate(url: str, seconds: int, connections: int, script: str) -> float:
    load = wrk.run(url, seconds, connections, script, LOAD_CPU)
    if load.refused or load.failed:
        raise Failed(f"{load.refused + load.failed} of {load.requests} requests failed")
    return load.rate


def _expect_some(url: str) -> None:
    """That messages are left: what was deleted by id, or claimed, was there."""
    try:
        with urllib.request.urlopen(url, timeout=10):
            pass
    except urllib.error.HTTPError as error:
        raise Failed("there were too few messages to claim and to delete; give it fewer --seconds") from error


def _measure(rounds: int, seconds: int, connections: int) -> list[Round]:
    found: list[Round] = []
    for number in range(rounds):
        # Neither side is always the first, lest what a round leaves behind be always the other's.
        if number % 2:
            rates = service(seconds, connections)
            most = ceiling(seconds, connections)
        else:
            most = ceiling(seconds, connections)
            rates = service(seconds, connections)
        found.append(Round(most, *rates))
    return found


def _table(rounds: Sequence[Round]) -> Table:
    table = Table("durable", "messages/s", "min to max", "of the ceiling's requests/s", "min to max", box=SIMPLE)
    ceilings = [each.ceiling for each in rounds]
    for title, name in (
        ("the ceiling, in requests", "ceiling"),
        ("PUT of one", "single"),
        (f"PUT of {MANY}", "many"),
        (f"claim of {MANY}", "claimed"),
        (f"DELETE of {MANY} by id", "deleted"),
    ):
        rates = [getattr(each, name) for each in rounds]
        shares = [rate / most for rate, most in zip(rates, ceilings, strict=True)]
        table.add_row(
            title,
            f"{statistics.median(rates):,.0f}",
            f"{min(rates):,.0f} to {max(rates):,.0f}",
            f"{statistics.median(shares):.2f}",
            f"{min(shares):.2f} to {max(shares):.2f}",
        )
    return table


def main() -> int:
    parser = Options("bench.publish", __doc__)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--seconds", type=count, default=3, help="per workload and round")
    parser.add_argument("--connections", type=count, default=64)
    given = parser.parse_args()
    try:
        rounds = _measure(given.rounds, given.seconds, given.connections)
    except Failed as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    figures = {"options": vars(given), "body": BODY, "rounds": [asdict(each) for each in rounds]}
    record.keep("publish", figures, given.rounds)
    ratios = [each.many / each.single for each in rounds]
    print(
        f"{given.connections} connections, one server thread, bodies of {BODY} bytes; medians of {given.rounds} rounds "
        f"of {given.seconds} s"
    )
    Console(width=120).print(_table(rounds))
    print(
        f"{MANY} in a PUT for one: {statistics.median(ratios):.1f} times the messages "
        f"({min(ratios):.1f} to {max(ratios):.1f})"
    )
    return 0


if __name__ == "__main__":
    end_with(main)
