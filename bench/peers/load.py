"""A load over many connections: one request under way on each. Knows sockets, and no protocol.

Runs in a process of its own, pinned to a core; it is a bare epoll loop, since whatever it spends is taken from what it
can ask of the server.
"""

from __future__ import annotations

import gc
import json
import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from bench.peers import processes, talks
from bench.peers.processes import Server

_DRY = 4.0  # seconds without an answer on any connection after which there is nothing left to take
_CHUNK = 1 << 16


class LoadFailed(Exception):
    """A server answered what was not expected."""


@dataclass(frozen=True)
class Load:
    """What came of a load."""

    messages: int
    seconds: float
    p50: float | None  # milliseconds from a request to its answer; None where answers are pushed
    p99: float | None
    cpu: float  # seconds of processor time that the load itself used
    failed: int = 0  # requests that were refused or had no answer

    @property
    def rate(self) -> float:
        return self.messages / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Pressure:
    """How a server is loaded."""

    seconds: float
    connections: int
    cpu: int | None  # that the load is pinned to


def measure(talk: str, server: Server, pressure: Pressure, **options: str) -> Load:
    """Run a load in a process of its own."""
    given = {
        "talk": talk,
        "port": server.port,
        "seconds": pressure.seconds,
        "connections": pressure.connections,
        "options": options,
    }
    command = [*processes.pinned(pressure.cpu), sys.executable, "-m", "bench.peers.load", json.dumps(given)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise LoadFailed(f"{talk}: {(done.stderr.strip().splitlines() or ['it ended'])[-1]}")
    return Load(**json.loads(done.stdout))


def prepare(talk: str, server: Server, **options: str) -> None:
    """Open one connection, which does what has to be done before a load."""
    _Connection(server.port, talks.named(talk)(0, **options)).socket.close()


class _Connection:
    """One socket, and what is said on it."""

    __slots__ = ("recv", "send", "since", "socket", "talk")

    def __init__(self, port: int, talk: talks.Talk) -> None:
        self.talk = talk
        self.since = 0.0
        self.connect(port)

    def connect(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.recv = self.socket.recv
        self.send = self.socket.sendall
        self.talk.open(self.socket)


def _run(make: type[talks.Talk], port: int, seconds: float, connections: int, options: dict[str, str]) -> Load:
    every = [_Connection(port, make(number, **options)) for number in range(connections)]
    by_file = {each.socket.fileno(): each for each in every}
    poll = select.epoll()
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    clock = time.perf_counter
    latencies: list[float] = []
    gc.disable()
    used = _cpu()
    begin = last = clock()
    end = begin + seconds
    for each in every:
        each.since = clock()
        each.send(each.talk.first())
    messages = 0
    while events := poll.poll(max(0.0, min(_DRY, end - clock()))):
        for file, _ in events:
            each = by_file[file]
            data = each.recv(_CHUNK)
            if not data:
                if not make.reopened:
                    raise LoadFailed("the server closed a connection")
                del by_file[file]
                each.socket.close()
                each.connect(port)
                by_file[each.socket.fileno()] = each
                poll.register(each.socket.fileno(), select.EPOLLIN)
                each.send(each.talk.first())
                continue
            answer, done = each.talk.answered(data)
            if done:
                last = clock()
                messages += done
                latencies.append(last - each.since)
                each.since = last
            if answer:
                each.send(answer)
        if clock() >= end:
            break
    used = _cpu() - used
    for each in every:
        each.socket.close()
    if not messages:  # some servers are so slow that it is no mistake
        return Load(0, clock() - begin, None, None, used)
    p50, p99 = (None, None) if make.pushed else _percentiles(latencies)
    return Load(messages, last - begin, p50, p99, used)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _percentiles(latencies: list[float]) -> tuple[float, float]:
    if len(latencies) < 2:
        return latencies[0] * 1e3, latencies[0] * 1e3
    parts = statistics.quantiles(latencies, n=100, method="inclusive")
    return parts[49] * 1e3, parts[98] * 1e3


def main() -> int:
    given = json.loads(sys.argv[1])
    make = talks.named(given["talk"])
    try:
        found = _run(make, given["port"], given["seconds"], given["connections"], given["options"])
    except (LoadFailed, talks.Unexpected, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
