"""What is compared: a server, how it is started, and how it is loaded. Knows no product."""

from __future__ import annotations

import resource
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, TypeVar

from bench import wrk
from bench.peers import processes
from bench.peers.load import Load, Pressure
from bench.peers.processes import Server

T = TypeVar("T")


class Level(StrEnum):
    """Where a message is, at the least, when it is acknowledged."""

    MEMORY = "memory"  # gone with the process
    CACHE = "page cache"  # outlives the process; a loss of power takes what was not synced yet
    DISK = "disk"  # synced: outlives a loss of power


@dataclass(frozen=True)
class Peer(ABC):
    """One server in one configuration."""

    takes: ClassVar[str]  # the requests by which a message is taken and deleted; after a semicolon, those of a pop

    pops: ClassVar[bool] = False  # a message can be taken and deleted in one step, and this is measured

    name: str
    title: str
    level: Level
    means: str  # what an acknowledgement says

    @abstractmethod
    def missing(self) -> str | None:
        """How to get what is not installed."""

    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def command(self, port: int, folder: Path) -> list[str]: ...

    def environment(self, port: int, folder: Path) -> Mapping[str, str]:
        return {}

    @contextmanager
    def running(self, folder: Path, cpu: int | None) -> Iterator[Server]:
        port = processes.free_port()
        started = self.command(port, folder), port, folder, cpu, self.environment(port, folder)
        with processes.running(*started) as server:
            self.prepare(server)
            yield server

    def prepare(self, server: Server) -> None:  # noqa: B027 - most have nothing to prepare
        """Make the queue, where it has to be made."""

    @abstractmethod
    def publish(self, server: Server, pressure: Pressure) -> Load:
        """Messages that are acknowledged one by one; it may be called again, for more of them."""

    @abstractmethod
    def consume(self, server: Server, pressure: Pressure) -> Load:
        """Messages that are taken, and then deleted or acknowledged, until there are no more or the time is over."""

    def pop(self, server: Server, pressure: Pressure) -> Load:
        """Messages that are taken and deleted in one step."""
        raise NotImplementedError


def lacking(*tools: str, package: str) -> str | None:
    """How to get tools, if one of them isn't there."""
    if all(shutil.which(tool) for tool in tools):
        return None
    return f"apt-get install {package}"


def said(*command: str) -> str:
    """The first line that a command prints."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def children_cpu(work: Callable[[], T]) -> tuple[T, float]:
    """What it does, and the processor time of the processes that it ran to their end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def by_wrk(url: str, pressure: Pressure, script: str) -> Load:
    """Load an HTTP server with wrk, where each request is a message."""
    seconds = max(1, round(pressure.seconds))
    found, cpu = children_cpu(lambda: wrk.run(url, seconds, pressure.connections, script, pressure.cpu))
    messages = found.requests - found.refused
    taken = found.requests / found.rate if found.rate else float(seconds)
    return Load(messages, taken, found.p50, found.p99, cpu, found.refused + found.failed)
