"""nginx and HAProxy with the settings of deploy/, without TLS, before a recorder; each marks what it passes on."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scalestack.http.message import Request, Response
from scalestack.http.router import Route
from support.web import PATIENCE, eventually, serving

DEPLOY: Final = Path(__file__).parent.parent.parent / "deploy"
STAMP: Final = b"x-stamp"  # one, and another for each request that a proxy passes on
_METHODS: Final = ("GET", "PUT", "POST", "DELETE", "PATCH")

_STAMPED: Final = "unique-id-format %{+X}o%ci%cp%ts%rt%pid\\n    unique-id-header X-Stamp"

_NGINX: Final = """
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/leveret.conf;
}}
"""


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


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert isinstance(port, int)
        return port


def _changed(path: str, changes: dict[str, str]) -> str:
    text = (DEPLOY / path).read_text()
    for pattern, other in changes.items():
        text, count = re.subn(pattern, other, text, flags=re.MULTILINE)
        assert count, pattern
    return text


def _start_nginx(directory: Path, port: int, behind: int) -> Callable[[], object]:
    changes = {
        r"listen 443 ssl": f"listen 127.0.0.1:{port}",
        r" +listen \[::\].*\n": "",
        r" +ssl_.*\n": "",
        r"127\.0\.0\.1:8080": f"127.0.0.1:{behind}",
        r"/var/log/nginx": str(directory),
        r"(proxy_set_header +Host.*)$": r"\1\n        proxy_set_header X-Stamp $request_id;",
    }
    (directory / "leveret.conf").write_text(_changed("nginx/leveret.conf", changes))
    user = "user root root;" if os.getuid() == 0 else ""
    (directory / "nginx.conf").write_text(_NGINX.format(directory=directory, user=user))
    nginx = ["/usr/sbin/nginx", "-p", str(directory), "-e", f"{directory}/error.log", "-c", f"{directory}/nginx.conf"]
    subprocess.run(nginx, check=True, timeout=PATIENCE)  # returns when it listens
    return lambda: subprocess.run([*nginx, "-s", "stop"], check=True, timeout=PATIENCE)


def _start_haproxy(directory: Path, port: int, behind: int) -> Callable[[], object]:
    changes = {
        r"bind :443 .*$": f"bind 127.0.0.1:{port}\n    {_STAMPED}",
        r"^(backend leveret)$": r"\1\n    http-reuse always",
        r"127\.0\.0\.1:8080": f"127.0.0.1:{behind}",
        r"log /dev/log local0": "log stdout format raw local0",
    }
    (directory / "haproxy.cfg").write_text(_changed("haproxy/haproxy.cfg", changes))
    with (directory / "haproxy.log").open("w") as log:
        running = subprocess.Popen(
            ["/usr/sbin/haproxy", "-db", "-f", f"{directory}/haproxy.cfg"], stdout=log, stderr=log
        )
    eventually(lambda: _accepts(port))

    def end() -> None:
        running.terminate()
        running.wait(PATIENCE)

    return end


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


STARTS: Final = {"nginx": _start_nginx, "haproxy": _start_haproxy}


@contextmanager
def proxied(name: str, directory: Path) -> Iterator[Proxied]:
    """A proxy of this name, which keeps its connections to a recorder and uses them for all clients."""
    recorder = Recorder()
    with serving(recorder.routes()) as web:
        port = _free_port()
        end = STARTS[name](directory, port, web.port)
        try:
            yield Proxied(port, recorder)
        finally:
            end()
