"""A server in a process group of its own, on one core, and what it costs. Knows no server's protocol."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SESSION = 3  # in /proc/…/stat, after the name
_READY = 60.0  # seconds within which a server has to listen
_STOP = 10.0  # seconds within which it has to end, before it is killed


class NotReady(Exception):
    """A server that did not start."""


@dataclass(frozen=True)
class Server:
    """A server that listens, with all its processes."""

    port: int
    session: int  # the process that leads its session

    def cpu_seconds(self) -> float:
        """What all its processes have used so far, in user and system time."""
        return sum(int(fields[11]) + int(fields[12]) for fields in _stats(self.session).values()) / _TICKS

    def pids(self) -> list[int]:
        return list(_stats(self.session))


def _stats(session: int) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended meanwhile
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[_SESSION]) == session:
                    found[int(entry.name)] = fields
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def pinned(cpu: int | None) -> list[str]:
    """What to put before a command, so that it and all its threads stay on one core."""
    return ["taskset", "-c", str(cpu)] if cpu is not None and shutil.which("taskset") else []


@contextmanager
def running(
    command: Sequence[str], port: int, folder: Path, cpu: int | None, environment: Mapping[str, str]
) -> Iterator[Server]:
    """Run a server until the block ends; it is ready when its port takes connections."""
    log = folder / f"{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*pinned(cpu), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        _wait(process, port, log, command[0])
        yield Server(port, process.pid)
    finally:
        _stop(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, name: str) -> None:
    limit = time.monotonic() + _READY
    while time.monotonic() < limit and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    said = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    raise NotReady(f"{name} did not get ready: {said[0]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End all of the session: some servers are scripts that have the real one as a child."""
    for number, seconds in ((signal.SIGTERM, _STOP), (signal.SIGKILL, _STOP)):
        for pid in _stats(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            process.poll()  # what has ended is reaped, and is no longer seen
            if not _stats(process.pid):
                process.wait()
                return
            time.sleep(0.02)
