"""A service in this process for the cases of the corpus, and what comes of one on a connection to it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

from attacks.framing import GET, LENGTH, Case
from leveret.frontend.rest import Rest, translate
from leveret.service import QueueConfig, QueueService
from leveret.store.memory import MemoryStore
from scalestack.event.loops import Loops, LoopThread
from scalestack.http.protocol import HttpConnection
from scalestack.http.router import Route
from scalestack.http.server import HttpServer
from support.web import Client, Raw, eventually, serving

# What a connection has seen before the case, so that the shortcut for requests which are like ones before knows them.
_BEFORE = (
    LENGTH.replace(b"/q/", b"/before/") + b"\r\nbody",
    GET.replace(b"/q/", b"/before/") + b"\r\n",
    GET.replace(b"GET", b"PUT").replace(b"/q/", b"/before/") + b"\r\n",
)


class Outcome(NamedTuple):
    """What a client was answered, whether the connection ended with that, and what is in the queue then."""

    statuses: tuple[int, ...]
    closed: bool
    messages: dict[str, bytes]


class _Counted(HttpConnection):
    """A connection that tells how many bytes it was given."""

    __slots__ = ("given",)
    by_port: Final[dict[int, _Counted]] = {}  # of the client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.given = 0
        self.by_port[transport.get_extra_info("peername")[1]] = self

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.given += len(data)


class _CountingServer(HttpServer):
    def connection(self, thread: LoopThread) -> HttpConnection:
        return _Counted(thread, self)


@dataclass
class Target:
    port: int
    client: Client

    def outcome(self, case: Case, cut: int | None = None, warm: bool = False) -> Outcome:
        """Send the bytes of a case, whole or in two parts; where it is `warm`, behind requests that are like it."""
        self.client("DELETE", "/v1.1/a/q")
        with Raw(self.port) as raw:
            sent = 0
            if warm:
                for request in _BEFORE * 2:
                    raw.send(request).answer()
                    sent += len(request)
            if cut is not None:
                raw.send(case.data[:cut])
                _until_given(raw.socket.getsockname()[1], sent + cut)
            _send(raw, case.data[cut:])
            if case.half:
                raw.half_close()
            statuses: list[int] = []
            closed = True
            while (status := _status(raw, case.sent, len(statuses))) is not None:
                statuses.append(status)
                if not case.closes and len(statuses) == len(case.statuses):
                    closed = False
                    raw.half_close()  # nothing more should come, and it ends for want of requests
        return Outcome(tuple(statuses), closed, self.messages())

    def messages(self) -> dict[str, bytes]:
        answer = self.client("GET", "/v1.1/a/q?detail=all")
        if answer.status == 404:
            return {}
        return {each["id"]: _bytes(each["body"]) for each in answer.json}


def expected(case: Case) -> Outcome:
    return Outcome(case.statuses, case.closes, dict(case.messages))


@contextmanager
def target() -> Iterator[Target]:
    def routes(loops: Loops) -> Sequence[Route]:
        service = QueueService(MemoryStore(), time.time, QueueConfig(), loops.threads[0])
        service.start()
        return Rest(service).routes()

    with serving(routes, translate=translate, server_class=_CountingServer) as web:
        client = Client(web.port)
        try:
            yield Target(web.port, client)
        finally:
            client.close()


def _send(raw: Raw, data: bytes) -> None:
    with contextlib.suppress(OSError):  # it was refused before all of it was sent
        raw.send(data)


def _until_given(port: int, size: int) -> None:
    """Wait until the server has read so many bytes of what a client sent, or reads no more of it."""
    known = _Counted.by_port
    eventually(lambda: port in known and (known[port].given >= size or known[port].transport.is_closing()))


def _status(raw: Raw, sent: bytes, number: int) -> int | None:
    """The status of the next answer, or None at the end of the connection."""
    try:
        return raw.answer(to_head=number == 0 and sent.startswith(b"HEAD")).status
    except (ConnectionResetError, AssertionError):
        return None


def _bytes(body: str | dict[str, str]) -> bytes:
    return body.encode() if isinstance(body, str) else base64.b64decode(body["base64"])
