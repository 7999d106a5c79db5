"""Many readers follow one queue, one of them slow and one killed: each sees all, in order, once, and nobody pays.

`LEVERET_FOLLOW_MESSAGES` says how many messages; the long form is part of `make soak`.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import figures
from support.process import Process, leveret

MESSAGES = int(os.environ.get("LEVERET_FOLLOW_MESSAGES", "3000"))
BATCH = 500
READERS = 10
QUEUE = "/v1.1/acme/news"
MOST = (
    120_000_000  # bytes resident, the store's cache of 32 MB included; what all readers are sent is several times that
)


class Reader(threading.Thread):
    """Reads a stream of events, as long as it is not told to die."""

    def __init__(self, port: int, after: str | None = None) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.after = after
        self.seen: list[int] = []
        self.last: str | None = after
        self.die_at = -1

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Accept": "text/event-stream"}
        if self.after is not None:
            headers["Last-Event-ID"] = self.after
        connection.request("GET", QUEUE, headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        try:
            for id, number in events(response):
                self.seen.append(number)
                self.last = id
                self.pace(number)
                if len(self.seen) == MESSAGES or number in {MESSAGES - 1, self.die_at}:
                    return
        finally:
            response.close()
            connection.close()

    def pace(self, number: int) -> None:
        """As fast as it can."""


class SlowReader(Reader):
    """Takes an event only when the fast ones are that much further on, and all once they are done."""

    def __init__(self, port: int, fast: list[Reader]) -> None:
        super().__init__(port)
        self.fast = fast
        self.ahead = MESSAGES // 2
        self.moved = threading.Condition()

    def pace(self, number: int) -> None:
        with self.moved:
            self.moved.wait_for(
                lambda: all(len(each.seen) >= min(MESSAGES, number + self.ahead) for each in self.fast), timeout=60
            )


def events(response: http.client.HTTPResponse) -> Iterator[tuple[str, int]]:
    id = ""
    for line in response:
        if line.startswith(b"id: "):
            id = line[4:-1].decode()
        elif line.startswith(b"data: "):
            yield id, int(json.loads(line[6:])["body"])


def put_all(server: Process, nudge: SlowReader) -> list[int]:
    """Put all, as fast as the server takes them; answers its size before and after each batch."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    sizes = [resident(server)]
    for start in range(0, MESSAGES, BATCH):
        many = range(start, min(start + BATCH, MESSAGES))
        body = "".join(f'{{"body":"{number}","ttl":0}}\n' for number in many)
        connection.request("PUT", QUEUE, body, {"Content-Type": "application/x-ndjson"})
        response = connection.getresponse()
        assert (response.status, len(json.loads(response.read()))) == (201, len(many))
        with nudge.moved:
            nudge.moved.notify()
        sizes.append(resident(server))
    connection.close()
    return sizes


def resident(server: Process) -> int:
    """Bytes."""
    fields = Path(f"/proc/{server.popen.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(900)
def test_each_reader_sees_all_in_order_and_once(tmp_path: Path) -> None:
    with leveret("--store", f"sqlite:///{tmp_path}/q.db", "--set", "sqlite.durability=off") as server:
        fast = [Reader(server.port) for _ in range(READERS - 2)]
        killed = Reader(server.port)
        killed.die_at = MESSAGES // 3
        slow = SlowReader(server.port, fast)
        readers = [*fast, killed, slow]
        for reader in readers:
            reader.start()
        sizes = put_all(server, slow)
        killed.join(60)
        resumed = Reader(server.port, killed.last)
        resumed.start()
        for reader in [*fast, resumed]:
            reader.join(600)
        with slow.moved:
            slow.moved.notify()
        slow.join(600)
        everything = list(range(MESSAGES))
        for reader in [*fast, slow]:
            assert reader.seen == everything
        assert killed.seen + resumed.seen == everything
        sizes.append(resident(server))
        assert max(sizes) < MOST
        figures.show(
            "followers",
            f"{MESSAGES:,} messages to {READERS} readers, one slow and one killed and resumed: all of them, in order, "
            f"once; at most {max(sizes) / 1e6:.0f} MB resident",
        )
