"""nginx and HAProxy with the settings of deploy/, without TLS, before a recorder; each marks what it passes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scalestack.http.message import Request, Response
from scalestack.http.router import Route
from support.proxies import End, free_port, start_haproxy, start_nginx
from support.web import serving

STAMP: Final = b"x-stamp"  # one, and another for each request that a proxy passes on
_METHODS: Final = ("GET", "PUT", "POST", "DELETE", "PATCH")

_STAMPED: Final = "unique-id-format %{+X}o%ci%cp%ts%rt%pid\\n    unique-id-header X-Stamp"


@dataclass(frozen=True)
class Seen:
    """A request that came to the server."""

    line: str
    stamps: tuple[bytes, ...]


@dataclass
class Recorder:
    """Answers every request with its line and its stamp, and remembers it."""

    seen: list[Seen] = field(default_factory=list)

    def routes(self) -> list[Route]:
        paths = ("/", "/v1.1", "/v1.1/{a}", "/v1.1/{a}/{b}", "/v1.1/{a}/{b}/{c}")
        return [Route(method, path, self._record) for method in _METHODS for path in paths]

    def _record(self, request: Request, *_: str) -> Response:
        stamps = tuple(value for name, value in request.headers if name.lower() == STAMP)
        self.seen.append(Seen(request.line, stamps))
        told = {"line": request.line, "stamp": b",".join(stamps).decode("latin-1")}
        return Response(200, json.dumps(told).encode(), b"application/json")


@dataclass(frozen=True)
class Proxied:
    port: int
    recorder: Recorder


def _start_nginx(directory: Path, port: int, behind: int) -> End:
    changes = {
        r"listen 443 ssl": f"listen 127.0.0.1:{port}",
        r" +listen \[::\].*\n": "",
        r" +ssl_.*\n": "",
        r"127\.0\.0\.1:8080": f"127.0.0.1:{behind}",
        r"/var/log/nginx": str(directory),
        r"(proxy_set_header +Host.*)$": r"\1\n        proxy_set_header X-Stamp $request_id;",
    }
    return start_nginx(directory, changes)


def _start_haproxy(directory: Path, port: int, behind: int) -> End:
    changes = {
        r"bind :443 .*$": f"bind 127.0.0.1:{port}\n    {_STAMPED}",
        r"^(backend leveret)$": r"\1\n    http-reuse always",
        r"127\.0\.0\.1:8080": f"127.0.0.1:{behind}",
    }
    return start_haproxy(directory, port, changes)


STARTS: Final = {"nginx": _start_nginx, "haproxy": _start_haproxy}


@contextmanager
def proxied(name: str, directory: Path) -> Iterator[Proxied]:
    """A proxy of this name, which keeps its connections to a recorder and uses them for all clients."""
    recorder = Recorder()
    with serving(recorder.routes()) as web:
        port = free_port()
        end = STARTS[name](directory, port, web.port)
        try:
            yield Proxied(port, recorder)
        finally:
            end()
