"""What a flood of one tenant costs another: the latency of a modest, steady load, alone and beside the flood."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import servers, wrk
from bench.options import Options, count, end_with

SERVER_CPU, LOAD_CPU = servers.CORES
RATE = 200  # requests per second of the steady tenant, open loop: each has its time, whatever became of those before
CONNECTIONS = 4  # of the steady tenant
BODY = 100  # bytes of its messages
LARGE = 64 << 10  # bytes of the bodies in the flood that are large
LIMITS = {"requests": 500, "bytes": 8 << 20}  # of the flooding tenant, per second
WARM_UP = 1  # seconds of each measurement that are not counted: the flood spends its burst in them

# Ids come again, so that what is measured is no queue that grows.
_FLOOD = """
wrk.headers["Authorization"] = "Bearer %s"
local n = 0
local body = string.rep("x", %d)
request = function()
  n = n + 1
  return wrk.format("PUT", wrk.path .. "/" .. n %% %d, nil, body)
end
"""


@dataclass(frozen=True)
class Latency:
    """Of the steady tenant's requests, in milliseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        parts = statistics.quantiles(seconds, n=100)
        return cls(parts[49] * 1e3, parts[98] * 1e3)


class Steady:
    """The steady tenant: puts, claims and deletes, at its pace."""

    def __init__(self, url: str, token: str) -> None:
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._token = token

    def measure(self, seconds: float) -> Latency:
        """The latency of its requests over so many seconds, each from the time at which it was to be sent."""
        return Latency.of(asyncio.run(self._all(seconds + WARM_UP)))

    async def _all(self, seconds: float) -> list[float]:
        begin = time.perf_counter()
        found = await asyncio.gather(*(self._one(number, begin, seconds) for number in range(CONNECTIONS)))
        return [latency for each in found for latency in each]

    async def _one(self, number: int, begin: float, seconds: float) -> list[float]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        pace = CONNECTIONS / RATE
        latencies: list[float] = []
        requests = self._requests(number)
        for turn in range(int(seconds / pace)):
            due = begin + (turn + number / CONNECTIONS) * pace
            await asyncio.sleep(due - time.perf_counter())
            writer.write(next(requests))
            status, _ = await _answer(reader)
            if not 200 <= status < 300:
                raise RuntimeError(f"the steady tenant was answered {status}")
            if due - begin >= WARM_UP:
                latencies.append(time.perf_counter() - due)
        writer.close()
        return latencies

    def _requests(self, number: int) -> Iterator[bytes]:
        """A message is put, claimed, and deleted; and so on."""
        queue = f"/v1.1/steady/q{number}"
        while True:
            yield self._request("PUT", f"{queue}/m", b"x" * BODY)
            yield self._request("POST", f"{queue}?limit=1&hide=60")
            yield self._request("DELETE", f"{queue}/m")

    def _request(self, method: str, target: str, body: bytes = b"") -> bytes:
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)


class Flood:
    """The flooding tenant, and strangers who guess at keys: as much as all their connections can send.

    Nicer than the steady one: where both share a core, what is measured is the server, not who of them is run.
    """

    def __init__(self, url: str, token: str) -> None:
        self._pool = ProcessPoolExecutor(3, initializer=_be_nice)
        self._loads = [
            (f"{url}/v1.1/flood/small", 64, _FLOOD % (token, BODY, 10_000)),
            (f"{url}/v1.1/flood/large", 32, _FLOOD % (token, LARGE, 100)),
            (f"{url}/v1.1/steady/stolen", 16, _FLOOD % (token[:-1], BODY, 100)),
        ]

    @contextmanager
    def flooding(self, seconds: int) -> Iterator[list[Future[wrk.Load]]]:
        """Flood for so many seconds and the block's end, whichever is later."""
        loads = [
            self._pool.submit(wrk.run, url, seconds + WARM_UP + 1, connections, script, LOAD_CPU)
            for url, connections, script in self._loads
        ]
        yield loads
        for load in loads:
            load.result()

    def close(self) -> None:
        self._pool.shutdown()


def _be_nice() -> None:
    os.nice(19)


@contextmanager
def tenants(store: str, durability: str, folder: Path, limited: bool) -> Iterator[tuple[Steady, Flood]]:
    """A server with keys, and its two tenants."""
    config = folder / "leveret.toml"
    lines = ["[limits.accounts.flood]", *(f"{name} = {value}" for name, value in LIMITS.items())] if limited else []
    config.write_text("\n".join(lines))
    options = ("--config", str(config), "--data", str(folder))
    steady, flood = (_key(account, options) for account in ("steady", "flood"))
    url = "memory://" if store == "memory" else f"sqlite:///{folder}/queue.db"
    settings = ("--set", f"sqlite.durability={durability}", "--set", "event.threads=1")
    arguments = servers.leveret(*options, "--store", url, "--auth", "keys", *settings)
    with servers.running(arguments, SERVER_CPU) as server, ExitStack() as stack:
        flooding = Flood(server.url, flood)
        stack.callback(flooding.close)
        yield Steady(server.url, steady), flooding


def _key(account: str, options: Sequence[str]) -> str:
    command = [sys.executable, "-m", "leveret", "keys", "create", "--account", account, *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def compare(steady: Steady, flood: Flood, rounds: int, seconds: int) -> None:
    """Measure alone and beside the flood, in turn, and say what came out."""
    alone: list[Latency] = []
    flooded: list[Latency] = []
    passed = refused = 0
    for _ in range(rounds):
        alone.append(steady.measure(seconds))
        with flood.flooding(seconds) as loads:
            flooded.append(steady.measure(seconds))
        for load in (each.result() for each in loads):
            refused += load.refused
            passed += load.requests - load.refused
    ratios = [after.p99 / before.p99 for before, after in zip(alone, flooded, strict=True)]
    for name, found in (("alone", alone), ("flooded", flooded)):
        p50, p99 = (statistics.median(getattr(each, part) for each in found) for part in ("p50", "p99"))
        print(f"  {name:8} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms")
    each = rounds * (seconds + WARM_UP + 1)
    print(f"  the flood: {passed / each:,.0f} requests/s passed, {refused / each:,.0f} were refused")
    print(f"  ratio of p99: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def main() -> int:
    parser = Options("bench.tenants", __doc__)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--seconds", type=count, default=5, help="of each measurement")
    parser.add_argument("--stores", default="memory,sqlite")
    parser.add_argument(
        "--durability",
        choices=("off", "normal", "full"),
        default="off",
        help="of SQLite; with full, it is as much the disk's syncs that are measured",
    )
    given = parser.parse_args()
    stores = given.stores.split(",")
    if not {"memory", "sqlite"}.issuperset(stores):
        parser.error(f"--stores is '{given.stores}'; memory, sqlite or both are expected, as in memory,sqlite")
    wrk.find()
    print(f"{RATE} requests/s over {CONNECTIONS} connections, and a flood over 112; medians of {given.rounds} rounds")
    limits = ", ".join(f"{value:,} {kind}/s" for kind, value in LIMITS.items())
    for store in stores:
        for limited in (True, False):
            print(f"{store}, {f'the flood limited to {limits}; to be at most 2.0' if limited else 'no limits'}:")
            # Beside the repository: the folder for temporary files may be on no disk.
            with (
                tempfile.TemporaryDirectory(dir=Path.cwd()) as folder,
                tenants(store, given.durability, Path(folder), limited) as (steady, flood),
            ):
                compare(steady, flood, given.rounds, given.seconds)
    return 0


if __name__ == "__main__":
    end_with(main)
