"""What keys, limits, TLS and metrics cost: the same PUTs to servers with and without them, in one run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench import servers, wrk
from bench.options import Options, count, end_with

BODY = 100  # bytes
SERVER_CPU, LOAD_CPU = servers.CORES
CERTIFICATES = Path(__file__).parent.parent / "tests" / "scalestack" / "net" / "certificates"

PLAIN = "nothing"
_KEYS = ("--auth", "keys")
# Limits that are counted and never reached.
_LIMITS = (
    "--set",
    "limits.requests=100000000",
    "--set",
    "limits.bytes=100000000000",
    "--set",
    "limits.messages=1000000000",
)
_TLS = (
    "--set",
    f"http.tls_certificate={CERTIFICATES / 'first-certificate.pem'}",
    "--set",
    f"http.tls_key={CERTIFICATES / 'first-key.pem'}",
)
KINDS: Mapping[str, tuple[str, ...]] = {
    PLAIN: (),
    "no metrics": ("--set", "server.without=queue.metrics"),
    "keys": _KEYS,
    "keys and limits": (*_KEYS, *_LIMITS),
    "TLS": _TLS,
    "keys, limits and TLS": (*_KEYS, *_LIMITS, *_TLS),
}

_PUT = """
local n = 0
local body = string.rep("x", %d)
local headers = {["Authorization"] = "Bearer %s"}
request = function()
  n = n + 1
  return wrk.format("PUT", wrk.path .. "/" .. n, headers, body)
end
"""


@contextmanager
def serving(kind: str, store: str, folder: Path) -> Iterator[tuple[servers.Running, str]]:
    """A server of this kind, and a key for it."""
    data = folder / kind.replace(" ", "-")
    url = "memory://" if store == "memory" else f"sqlite:///{data}/queue.db"
    create = [sys.executable, "-m", "leveret", "keys", "create", "--account", "a", "--data", str(data)]
    key = subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()
    options = ("--store", url, "--data", str(data), "--set", "event.threads=1", *KINDS[kind])
    with servers.running(servers.leveret(*options), SERVER_CPU) as server:
        yield server, key


def main() -> int:
    parser = Options("bench.guarded", __doc__)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--seconds", type=count, default=3)
    parser.add_argument("--connections", type=count, default=64)
    given = parser.parse_args()
    wrk.find()
    table = Table("store", "with", "of what is without", "min to max", "requests/s", "p99 ms", box=SIMPLE)
    failed = 0
    for store in ("memory", "durable"):
        loads = measure(store, given.rounds, given.seconds, given.connections)
        for kind, found in loads.items():
            ratios = [mine.rate / plain.rate for mine, plain in zip(found, loads[PLAIN], strict=True)]
            failed += sum(load.refused + load.failed for load in found)
            table.add_row(
                store,
                kind,
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                f"{statistics.median(load.rate for load in found):,.0f}",
                f"{statistics.median(load.p99 for load in found):.2f}",
            )
    print(f"PUTs of {BODY} bytes over {given.connections} connections; medians of {given.rounds} rounds")
    Console(width=120).print(table)
    if failed:
        print(f"bench: {failed} requests failed", file=sys.stderr)
    return 1 if failed else 0


def measure(store: str, rounds: int, seconds: int, connections: int) -> dict[str, list[wrk.Load]]:
    """Each kind once in every round; only one server at a time has anything to do."""
    loads: dict[str, list[wrk.Load]] = {kind: [] for kind in KINDS}
    # Beside the repository: the folder for temporary files may be on no disk.
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd())))
        running = {kind: stack.enter_context(serving(kind, store, folder)) for kind in KINDS}
        for number in range(rounds):
            for kind, (server, key) in running.items():
                url = f"{server.url}/v1.1/a/{number}"
                loads[kind].append(wrk.run(url, seconds, connections, _PUT % (BODY, key), LOAD_CPU))
    return loads


if __name__ == "__main__":
    end_with(main)
