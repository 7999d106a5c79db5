"""A driver that makes accounts and queues come and go as fast as a server can take it: pipelined, in raw bytes."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from leveret.keys import TOKENS
from scalestack.auth.keys import issue
from scalestack.auth.keys.file import NAME, KeyFile
from support.scraped import gauge
from support.web import PATIENCE, Client

MESSAGES: Final = 50  # of one PUT
CLAIMED: Final = 25  # of them
_BODY: Final = "x" * 100
_LONG_AGO: Final = 2 * 365 * 86_400  # seconds: keys that ended then are forgotten
_BAD: Final = (
    b"GET / HTTP/1.1\r\n\r\n",  # no Host
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"PUT /v1.1/a/q/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
)


class Ask(NamedTuple):
    """A request, what it is to be answered with, and how many operations on messages, queues or policies it is."""

    data: bytes
    statuses: tuple[int, ...]
    operations: int


class Pipe:
    """One connection, on which many requests are under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting: list[Ask] = []
        self._read = b""

    def send(self, asks: list[Ask]) -> None:
        self._waiting += asks
        self.socket.sendall(b"".join([ask.data for ask in asks]))

    def settle(self) -> int:
        """Read all answers, each of which has to be right; says how many operations were done."""
        operations = 0
        for ask in self._waiting:
            status = self._answer()
            assert status in ask.statuses, f"{status} for {ask.data[:200]!r}"
            operations += ask.operations
        self._waiting.clear()
        return operations

    def _answer(self) -> int:
        while (end := self._read.find(b"\r\n\r\n")) < 0:
            self._more()
        head = self._read[:end].lower()
        at = head.find(b"content-length: ")
        length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        while len(self._read) < end + 4 + length:
            self._more()
        self._read = self._read[end + 4 + length :]
        return int(head[9:12])

    def _more(self) -> None:
        piece = self.socket.recv(1 << 18)
        assert piece, "the server has closed the connection"
        self._read += piece

    def close(self) -> None:
        self.socket.close()


class Churn:
    """The driver of one server, which asks for keys that are in `data`."""

    def __init__(self, port: int, data: Path, names: int, connections: int = 8) -> None:
        """`names`: of accounts and queues, after which they are used again."""
        self.operations = 0
        self.counts: Counter[str] = Counter()  # of what comes and goes beside messages
        self._port = port
        self._keys = KeyFile(data / NAME)
        _, token = issue.create(self._keys, TOKENS, time.time(), account=None, actions=["admin"])
        self._token = token.text
        self._head = _head_with(token.text)
        self._pipes = [Pipe(port) for _ in range(connections)]
        self._numbers = itertools.count()
        self._names = names

    def run(self, operations: int) -> None:
        """Until so many have been done in all."""
        while self.operations < operations:
            for pipe in self._pipes:
                pipe.send(self._round(next(self._numbers)))
            for pipe in self._pipes:
                self.operations += pipe.settle()
            self._strangers()

    def _round(self, number: int) -> list[Ask]:
        """The life of a queue in an account of its own: filled, claimed from, extended, read, and emptied."""
        account = f"/v1.1/account-{number % self._names}"
        queue = f"{account}/queue-{number % self._names}"
        self.counts["queues"] += 1
        many = {"messages": [{"id": str(id), "body": _BODY, "ttl": 600} for id in range(MESSAGES)]}
        leased = "&".join([f"id={id}" for id in range(CLAIMED)])
        ask = self._ask
        return [
            ask("PUT", queue, (200, 201), MESSAGES, json.dumps(many).encode()),
            ask("PATCH", queue, (200,), 1, b'{"max_deliveries":5,"default_ttl":60}'),
            ask("POST", f"{queue}?limit={CLAIMED}&hide=60&detail=all", (200,), CLAIMED),
            ask("POST", f"{queue}?{leased}&hide=120", (200, 204), CLAIMED),
            ask("PUT", f"{queue}/short?ttl=1", (201, 204), 1, b"expires"),
            ask("GET", f"{queue}?limit=5&detail=attributes", (200,), 1),
            ask("GET", f"{account}?detail=all", (200,), 1),
            ask("GET", f"{queue}?detail=wrong", (400,), 1),
            ask("GET", f"{queue}/none", (404,), 1),
            ask("DELETE", f"{queue}?{leased}", (200, 204), CLAIMED),
            ask("DELETE", f"{queue}?limit=10&detail=id", (200,), 10),
            ask("PATCH", queue, (200, 204), 1, b"null"),
            # Of half the queues something is left over, to expire.
            *([ask("DELETE", queue, (200, 204), MESSAGES - CLAIMED - 10)] if number % 2 else []),
            *([ask("POST", f"{queue}?ttl=1&match_hidden=true", (200, 204, 404), 1)] if not number % 2 else []),
        ]

    def _ask(
        self, method: str, target: str, statuses: tuple[int, ...], operations: int, body: bytes | None = None
    ) -> Ask:
        length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
        return Ask(
            b"%b %b HTTP/1.1\r\n%b%b\r\n%b" % (method.encode(), target.encode(), self._head, length, body or b""),
            statuses,
            operations,
        )

    def _strangers(self) -> None:
        """Those who come and go: one that only connects, one that leaves its poll, one that is no HTTP, and a key."""
        number = next(self._numbers) % self._names
        socket.create_connection(("127.0.0.1", self._port), PATIENCE).close()
        for accept, wait in ((b"application/json", b"?wait=30"), (b"text/event-stream", b"")):
            with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as poll:
                target = b"/v1.1/account-%d/abandoned%b" % (number, wait)
                poll.sendall(b"GET %b HTTP/1.1\r\n%bAccept: %b\r\n\r\n" % (target, self._head, accept))
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as bad:
            bad.sendall(_BAD[number % len(_BAD)])
            bad.shutdown(socket.SHUT_WR)
            while bad.recv(65_536):
                pass
        self.counts["connections"] += 4
        self.counts["polls abandoned"] += 1
        if self.counts["connections"] % 16 == 0:
            self._a_key(f"account-{number}")

    def _a_key(self, account: str) -> None:
        key, token = issue.create(self._keys, TOKENS, time.time(), account=account, actions=["receive", "read"])
        pipe = Pipe(self._port)
        head = _head_with(token.text)
        ask = Ask(b"GET /v1.1/%b/jobs HTTP/1.1\r\n%b\r\n" % (account.encode(), head), (404,), 1)
        pipe.send([ask])
        self.operations += pipe.settle()
        # As if that had been long ago, so that the file with the keys forgets it: that it grows is no leak.
        issue.revoke(self._keys, key.id, time.time() - _LONG_AGO)
        if self.counts["keys"] % 50 == 0:  # now and then: refusals of bad keys are held back for seconds
            pipe.send([ask._replace(statuses=(401,))])
            self.operations += pipe.settle()
        pipe.close()
        self.counts["keys"] += 1

    @property
    def pipes(self) -> int:
        """How many connections it holds."""
        return len(self._pipes)

    def connections(self) -> float:
        """How many the server has, but for the one that asks."""
        return self._gauge("scalestack_connections") - 1

    def parked(self) -> float:
        return self._gauge("leveret_parked_polls")

    def _gauge(self, name: str) -> float:
        with closing(Client(self._port)) as client:
            return gauge(client, name, {"Authorization": f"Bearer {self._token}"})

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()


def _head_with(token: str) -> bytes:
    return b"Host: x\r\nAuthorization: Bearer %b\r\n" % token.encode()


def memory(pid: int) -> int:
    """Bytes that the process has for itself, and its part of what it shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"process {pid} has no Pss")


def threads(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
