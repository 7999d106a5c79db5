"""What a message in memory takes: a process's resident memory after a million messages, less what it was before.

In a process that has nothing but the store, and in a server that gets them in batches. Ids are short numbers, or UUIDs
as 32 hexadecimal digits; bodies have 100 bytes, and no two are the same.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final
from urllib.parse import urlsplit

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench import processes, record, servers
from bench.options import Options, count, end_with
from leveret.model import Draft
from leveret.store.memory import MemoryStore

BODY: Final = 100  # bytes
BATCH: Final = 1_000
TTL: Final = 600  # seconds: what a message has whose sender says nothing of it
_MEGABYTE: Final = 1_000_000


def _short() -> Iterator[str]:
    return map(str, itertools.count())


def _uuids() -> Iterator[str]:
    while True:
        yield uuid.uuid4().hex


IDS: Final[Mapping[str, Callable[[], Iterator[str]]]] = {"short": _short, "uuid": _uuids}


@dataclass(frozen=True)
class Filled:
    """Bytes that a process took, before the messages and with them."""

    before: int
    after: int

    @property
    def taken(self) -> float:
        """Megabytes of the messages."""
        return (self.after - self.before) / _MEGABYTE


def batches(messages: int, ids: str) -> Iterator[list[tuple[str, str]]]:
    """Ids and bodies, so many at a time; each is made when it is asked for, and kept by nobody here."""
    made = IDS[ids]()
    for start in range(0, messages, BATCH):
        yield [(next(made), f"{number:0{BODY}}") for number in range(start, min(start + BATCH, messages))]


def in_the_store(messages: int, ids: str) -> Filled:
    """For a process of its own: what was used before and is free would be used again."""
    store = MemoryStore()
    now = time.time()
    store.put("account", "other", [Draft("id", b"", TTL, 0)], now)
    before = processes.memory(os.getpid())
    for batch in batches(messages, ids):
        store.put("account", "queue", [Draft(id, body.encode(), TTL, 0) for id, body in batch], now)
    return Filled(before, processes.memory(os.getpid()))


def through_http(messages: int, ids: str) -> Filled:
    arguments = servers.leveret("--store", "memory://", "--set", "event.threads=1")
    with servers.running(arguments, servers.CORES[0]) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc)

        def put(queue: str, batch: Sequence[tuple[str, str]]) -> None:
            listed = [{"id": id, "body": body} for id, body in batch]
            connection.request("PUT", f"/v1.1/account/{queue}", json.dumps({"messages": listed}))
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.HTTPStatus.CREATED:
                raise RuntimeError(f"a PUT of {len(batch)} messages got {answer.status}")

        put("other", next(batches(BATCH, ids)))
        before = processes.memory(server.pid)
        for batch in batches(messages, ids):
            put("queue", batch)
        connection.close()
        return Filled(before, processes.memory(server.pid))


def in_a_process(messages: int, ids: str) -> Filled:
    """`in_the_store`, in a process of its own."""
    arguments = [sys.executable, "-m", "bench.footprint", "--messages", str(messages), "--fill", ids]
    said = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    return Filled(**json.loads(said))


PLACES: Final[Mapping[str, Callable[[int, str], Filled]]] = {
    "in the store": in_a_process,
    "through the server": through_http,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Options("bench.footprint", __doc__)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--messages", type=count, default=1_000_000)
    parser.add_argument("--fill", choices=list(IDS), help="fill a store in this process, and print what it took")
    given = parser.parse_args(arguments)
    if given.fill is not None:
        print(json.dumps(asdict(in_the_store(given.messages, given.fill))))
        return 0
    kinds = [(place, ids) for place in PLACES for ids in IDS]
    found: dict[tuple[str, str], list[Filled]] = {kind: [] for kind in kinds}
    for _ in range(given.rounds):
        for place, ids in kinds:
            found[place, ids].append(PLACES[place](given.messages, ids))
    rounds = {f"{place}, {ids}": [asdict(each) for each in all_] for (place, ids), all_ in found.items()}
    figures = {"unit": "bytes", "messages": given.messages, "body": BODY, "rounds": rounds}
    record.keep("footprint" if record.gil() else "footprint-freethreaded", figures, given.rounds)
    _print(found, given.messages)
    return 0


def _print(found: Mapping[tuple[str, str], Sequence[Filled]], messages: int) -> None:
    table = Table("", "ids", "MB of messages", "min to max", "bytes each", "MB of the process", box=SIMPLE)
    for (place, ids), all_ in found.items():
        taken = [each.taken for each in all_]
        table.add_row(
            place,
            ids,
            f"{statistics.median(taken):.0f}",
            f"{min(taken):.0f} to {max(taken):.0f}",
            f"{statistics.median(taken) * _MEGABYTE / messages:.0f}",
            f"{statistics.median(each.after for each in all_) / _MEGABYTE:.0f}",
        )
    rounds = len(next(iter(found.values())))
    print(f"{messages:,} messages of {BODY} bytes; medians of {rounds} rounds, each in a process of its own")
    Console(width=120).print(table)


if __name__ == "__main__":
    end_with(main)
