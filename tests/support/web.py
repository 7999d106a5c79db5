"""A server in this process for a test, and clients that speak to it through real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from scalestack.event.loops import Loops
from scalestack.event.makers import loop_maker
from scalestack.http.parser import ParserLimits
from scalestack.http.router import Route
from scalestack.http.server import HttpServer, Translate
from scalestack.http.timeouts import Timeouts
from scalestack.log import Access
from scalestack.net.address import TcpAddress
from scalestack.net.listener import Limits, Network

PATIENCE = 30  # seconds until a test that waits for something has failed


@dataclass
class Web:
    """A running HTTP server and how to reach it."""

    server: HttpServer
    network: Network
    port: int

    def connect(self) -> Raw:
        return Raw(self.port)


@contextmanager
def serving(
    routes: Sequence[Route] | Callable[[Loops], Sequence[Route]],
    *,
    threads: int = 1,
    loop: str = "auto",
    parser_limits: ParserLimits | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    access: Access | None = None,
    server_class: type[HttpServer] = HttpServer,
    translate: Translate | None = None,
) -> Iterator[Web]:
    """Serve `routes` on a free port."""
    loops = Loops(threads, loop_maker(loop))
    loops.start()
    network = Network(loops, limits or Limits(1000, 0, 100, 5.0))
    try:
        server = server_class(
            network,
            [TcpAddress("127.0.0.1", 0)],
            parser_limits or ParserLimits(),
            timeouts or Timeouts(30.0, 30.0, 500.0, 30.0, 30.0),
            access,
        )
        server.mount(routes(loops) if callable(routes) else routes, translate)
        address = server.listen()[0]
        assert isinstance(address, TcpAddress)
        yield Web(server, network, address.port)
    finally:
        network.drain()
        network.close()
        loops.stop()


class Answer:
    """A response as a client sees it."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers  # by lower-case name
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:200]!r}>"


class Client:
    """An ordinary client with one kept-alive connection."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)

    def __call__(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        self._connection.request(method, path, body=body, headers=headers or {})
        response = self._connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())

    def close(self) -> None:
        self._connection.close()


class Raw:
    """A socket, for what no ordinary client would send."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> Raw:
        self.socket.sendall(data)
        return self

    def answer(self, to_head: bool = False) -> Answer:
        """The next response."""
        status_line = self._file.readline()
        assert status_line, "the connection was closed where an answer was expected"
        status = int(status_line.split()[1])
        headers: dict[str, str] = {}
        while (line := self._file.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if to_head or status in {100, 204, 304}:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._file.readline(), 16):
                body += self._file.read(size)
                self._file.read(2)
            self._file.readline()
            return Answer(status, headers, body)
        return Answer(status, headers, self._file.read(int(headers["content-length"])))

    def at_end(self) -> bool:
        """Whether the server closes the connection, without another byte."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def eventually(condition: Any) -> None:
    """Wait until `condition()` holds, for what other threads do; the test fails where it never does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "what was waited for never came"
        time.sleep(0.001)
