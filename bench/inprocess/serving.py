"""A whole server in this process, composed as `leveret serve` composes it, and connections to it that have no socket.

Nothing is left out or put in its place but the transport: what is measured is what a socket's bytes go through.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from leveret.server import Server
from scalestack.config import Override
from scalestack.event.loops import Loops, LoopThread
from scalestack.http.protocol import HttpConnection
from scalestack.http.server import HttpServer

_STATUS: Final = len(b"HTTP/1.1 ")
_SUCCESS: Final = ord("2")


class Peer(asyncio.Transport):
    """The other end of a connection: counts answers, keeps none, and always reads. Belongs to one loop thread."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = 0
        self.refused = 0  # of them, those whose status is none of success
        self.refusal = b""  # the first of those
        self.answered: Callable[[], object] | None = None  # called with each answer
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.answers += 1
        if data[_STATUS] != _SUCCESS:
            self.refused += 1
            self.refusal = self.refusal or bytes(data)
        if self.answered is not None:
            self.answered()

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self._closing = True


class InProcess:
    """A server that runs, and its loop threads."""

    def __init__(self, server: Server) -> None:
        self._http = server.kernel.get(HttpServer)
        self.threads = server.kernel.get(Loops).threads

    def connect(self, thread: LoopThread) -> tuple[HttpConnection, Peer]:
        """A connection of this loop thread, on which it is called."""
        connection = self._http.connection(thread)
        connection.peer = "127.0.0.1"
        peer = Peer()
        connection.connection_made(peer)
        return connection, peer


@contextmanager
def serving(
    store: str = "memory", threads: int = 1, settings: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[InProcess]:
    """A server with so many loop threads until the block ends; `store` is memory or sqlite, `folder` where that has its
    files. It listens, as any server does, and nobody connects."""
    with tempfile.TemporaryDirectory(dir=folder or Path.cwd()) as data:
        wanted = {
            "server.store": "memory://" if store == "memory" else f"sqlite:///{data}/queue.db",
            "server.data": data,
            "event.threads": str(threads),
            "http.port": "0",
            "log.level": "critical",  # what fails is told once, by the first refusal
            **(settings or {}),
        }
        server = Server(overrides=[Override(key, text, key) for key, text in wanted.items()])
        server.start()
        try:
            _calm_collector()
            yield InProcess(server)
        finally:
            server.stop()


def _calm_collector() -> None:
    """As `leveret serve` has it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 1_000)
