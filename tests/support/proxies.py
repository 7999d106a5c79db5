"""nginx, Caddy and HAProxy as processes, with the files of deploy/, of which a test changes what it must."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from support.web import PATIENCE, eventually

DEPLOY: Final = Path(__file__).parent.parent.parent / "deploy"

End: TypeAlias = Callable[[], object]

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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert isinstance(port, int)
        return port


def start_nginx(directory: Path, changes: Mapping[str, str]) -> End:
    """`changes` by pattern, each of which is in the file; the files of the proxy go to `directory`. Answers what ends
    it, once it listens."""
    (directory / "leveret.conf").write_text(_changed("nginx/leveret.conf", changes))
    user = "user root root;" if os.getuid() == 0 else ""
    (directory / "nginx.conf").write_text(_NGINX.format(directory=directory, user=user))
    nginx = ["/usr/sbin/nginx", "-p", str(directory), "-e", f"{directory}/error.log", "-c", f"{directory}/nginx.conf"]
    _accepted([*nginx, "-t", "-q"])
    subprocess.run(nginx, check=True, timeout=PATIENCE)  # returns when it listens
    return lambda: subprocess.run([*nginx, "-s", "stop"], check=True, timeout=PATIENCE)


def start_caddy(directory: Path, changes: Mapping[str, str]) -> End:
    """As `start_nginx`."""
    (directory / "Caddyfile").write_text(_changed("caddy/Caddyfile", changes))
    options = ["--config", f"{directory}/Caddyfile", "--adapter", "caddyfile"]
    environ = os.environ | {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    pid = directory / "caddy.pid"
    with (directory / "caddy.log").open("w") as log:
        for command in (["validate", *options], ["start", *options, "--pidfile", str(pid)]):  # returns when it listens
            subprocess.run(["caddy", *command], check=True, timeout=PATIENCE, stdout=log, stderr=log, env=environ)
    return lambda: os.kill(int(pid.read_text()), signal.SIGTERM)


def start_haproxy(directory: Path, port: int, changes: Mapping[str, str]) -> End:
    """As `start_nginx`; it is to listen on `port`."""
    logged = {r"log /dev/log local0": "log stdout format raw local0"}
    (directory / "haproxy.cfg").write_text(_changed("haproxy/haproxy.cfg", {**changes, **logged}))
    haproxy = ["/usr/sbin/haproxy", "-f", f"{directory}/haproxy.cfg"]
    _accepted([*haproxy, "-c", "-q"])
    with (directory / "haproxy.log").open("w") as log:
        running = subprocess.Popen([*haproxy, "-db"], stdout=log, stderr=log)
    eventually(lambda: _accepts(port))

    def end() -> None:
        running.terminate()
        running.wait(PATIENCE)

    return end


def _changed(path: str, changes: Mapping[str, str]) -> str:
    text = (DEPLOY / path).read_text()
    for pattern, other in changes.items():
        text, count = re.subn(pattern, other, text, flags=re.MULTILINE)
        assert count, pattern
    return text


def _accepted(check: list[str]) -> None:
    """The proxy has nothing to say of its settings."""
    done = subprocess.run(check, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
