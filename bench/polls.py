"""What parked long polls cost: memory, processor time while nothing happens, and how soon one has its answer.

One client process holds all sockets, with epoll. What a wake-up takes is measured there, from before the PUT is sent
until the poll's answer is read: it includes loopback, both processes' system calls, and the client's own time.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import resource
import select
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench import processes, record, servers
from bench.options import Options, count, end_with

BODY: Final = b"x" * 100
WAIT: Final = 600  # seconds that a poll waits
_SPARE: Final = 100  # descriptors for all else
_SETTLE: Final = 0.5  # seconds in which a server is to have done what it was asked
_PATIENCE: Final = 30.0  # seconds for an answer


@dataclass(frozen=True)
class Round:
    """One round."""

    bare: float  # bytes of the server's memory for a connection that uvloop holds
    idle: float  # for a connection whose request is answered
    parked: float  # for a connection with a parked poll
    cpu: float  # of a core, while all polls are parked and nothing happens
    p50: float  # milliseconds from a PUT to the poll's answer
    p99: float
    slowest: float


class Client:
    """All sockets of one client."""

    def __init__(self, url: str) -> None:
        host, _, port = url.rpartition("//")[2].rpartition(":")
        self._address = (host, int(port))
        self.sockets: list[socket.socket] = []

    def connect(self) -> socket.socket:
        connected = socket.create_connection(self._address, _PATIENCE)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.append(connected)
        return connected

    def close(self) -> None:
        while self.sockets:
            self.sockets.pop().close()

    def get(self, path: str, answered: bool) -> socket.socket:
        """Ask over a connection of its own, and wait for the answer if it is `answered` at once."""
        asked = self.connect()
        asked.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        if answered:
            read_answer(asked)
        return asked


def read_answer(from_: socket.socket) -> int:
    """Read one answer, whole; says its status."""
    data = b""
    while True:
        piece = from_.recv(65536)
        if not piece:
            raise RuntimeError("the server has closed a connection")
        data += piece
        head, end, body = data.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            return int(head[9:12])


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


@contextmanager
def serving(store: str, threads: int) -> Iterator[tuple[servers.Running, Client]]:
    """A server that has no messages, and a client."""
    # Beside the repository: the folder for temporary files may be on no disk.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        url = "memory://" if store == "memory" else f"sqlite:///{folder}/queue.db"
        arguments = servers.leveret("--store", url, "--data", folder, "--set", f"event.threads={threads}")
        with _running(arguments, threads) as server, _client(server) as client:
            yield server, client


@contextmanager
def _client(server: servers.Running) -> Iterator[Client]:
    client = Client(server.url)
    try:
        # What is made with the first request is no connection's.
        client.get("/v1.1/bench/none", answered=True)
        client.close()
        yield client
    finally:
        client.close()


@contextmanager
def _running(arguments: Sequence[str], threads: int) -> Iterator[servers.Running]:
    with servers.running(arguments, servers.CORES[0] if threads == 1 else None) as server:
        yield server


def per_connection(server: servers.Running, client: Client, paths: Sequence[str | None], answered: bool) -> float:
    """Bytes of the server's memory for each connection over which a path is asked for; None asks for nothing."""
    time.sleep(_SETTLE)
    before = processes.memory(server.pid)
    for path in paths:
        if path is None:
            client.connect()
        else:
            client.get(path, answered)
    time.sleep(_SETTLE)
    if processes.open_files(server.pid) < len(paths):
        raise RuntimeError("the server has not accepted all connections, or has closed some")
    return (processes.memory(server.pid) - before) / len(paths)


def idle_share(server: servers.Running, seconds: float) -> float:
    """The share of a core that the server uses while nothing happens."""
    before, began = processes.cpu_seconds(server.pid), time.perf_counter()
    time.sleep(seconds)
    return (processes.cpu_seconds(server.pid) - before) / (time.perf_counter() - began)


def wake_ups(client: Client, count: int, chance: random.Random) -> list[float]:
    """Park a poll on each of `count` queues, and then put one message after the other: milliseconds that each took."""
    polls = {number: client.get(_poll(number), answered=False) for number in range(count)}
    putter = client.connect()
    time.sleep(_SETTLE)
    epoll = select.epoll()
    by_descriptor = {poll.fileno(): poll for poll in [*polls.values(), putter]}
    for descriptor in by_descriptor:
        epoll.register(descriptor, select.EPOLLIN)
    order = list(polls)
    chance.shuffle(order)
    took = []
    for number in order:
        request = f"PUT /v1.1/bench/{number}/id HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(BODY)}\r\n\r\n"
        expected = {polls[number].fileno(), putter.fileno()}
        began = time.perf_counter()
        putter.sendall(request.encode() + BODY)
        while expected:
            for descriptor, _ in epoll.poll(_PATIENCE):
                status = read_answer(by_descriptor[descriptor])
                if descriptor not in expected or status not in {200, 201}:
                    raise RuntimeError(f"an answer {status} came that nobody waits for")
                expected.remove(descriptor)
                if descriptor != putter.fileno():
                    took.append(1000 * (time.perf_counter() - began))
    epoll.close()
    return took


def _poll(queue: int) -> str:
    return f"/v1.1/bench/{queue}?wait={WAIT}"


def measure(given: argparse.Namespace, chance: random.Random) -> Round:
    """Each part with a server of its own: memory that was used before and is free would be used again."""
    with _running(["bench.bare"], 1) as server:
        client = Client(server.url)
        bare = per_connection(server, client, [None] * given.polls, answered=False)
        client.close()
    with serving(given.store, given.threads) as (server, client):
        idle = per_connection(server, client, ["/v1.1/bench/none"] * given.polls, answered=True)
    with serving(given.store, given.threads) as (server, client):
        paths = [_poll(number % given.queues) for number in range(given.polls)]
        parked = per_connection(server, client, paths, answered=False)
        share = idle_share(server, given.seconds)
    with serving(given.store, given.threads) as (server, client):
        took = sorted(wake_ups(client, given.queues, chance))
    return Round(bare, idle, parked, share, took[len(took) // 2], took[len(took) * 99 // 100], took[-1])


def raise_descriptors(wanted: int) -> str | None:
    """Have this process and those that it starts open so many files; why not, where that can't be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        return (
            f"{wanted:,} open files are needed, and the hard limit is {hard:,}; raise it (ulimit -Hn), or give --polls"
        )
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Options("bench.polls", __doc__)
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--polls", type=count, default=10_000, help="connections, of each kind")
    parser.add_argument("--queues", type=count, default=1_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="in which nothing happens, per round")
    parser.add_argument("--store", choices=("memory", "sqlite"), default="memory")
    parser.add_argument("--threads", type=count, default=1, help="loops of the server")
    given = parser.parse_args(arguments)
    if not 0 < given.seconds < math.inf:
        parser.error(f"--seconds is {given.seconds}; more than 0 is expected")
    wrong = raise_descriptors(max(given.polls, given.queues) + _SPARE)
    if wrong is not None:
        print(f"bench: {wrong}", file=sys.stderr)
        return 2
    if given.threads == 1 and servers.CORES[1] is not None:
        os.sched_setaffinity(0, {servers.CORES[1]})
    chance = random.Random(0)
    rounds = [measure(given, chance) for _ in range(given.rounds)]
    name = "-".join(
        ["polls", *(["sqlite"] if given.store == "sqlite" else []), *([] if record.gil() else ["freethreaded"])]
    )
    record.keep(name, {"options": vars(given), "rounds": [asdict(each) for each in rounds]}, given.rounds)
    _print(rounds, given)
    return 0


def _print(rounds: Sequence[Round], given: argparse.Namespace) -> None:
    table = Table("", "median", "min to max", box=SIMPLE)
    for name, figure, scale, form in (
        ("bytes, a connection that uvloop holds", "bare", 1, ",.0f"),
        ("bytes, an idle connection", "idle", 1, ",.0f"),
        ("bytes, a parked poll", "parked", 1, ",.0f"),
        (f"% of a core, {given.polls:,} polls parked", "cpu", 100, ".2f"),
        ("ms from PUT to the poll's answer, p50", "p50", 1, ".2f"),
        ("the same, p99", "p99", 1, ".2f"),
        ("the same, slowest", "slowest", 1, ".2f"),
    ):
        values = [scale * getattr(each, figure) for each in rounds]
        middle, least, most = statistics.median(values), min(values), max(values)
        table.add_row(name, f"{middle:{form}}", f"{least:{form}} to {most:{form}}")
    print(
        f"{'with the GIL' if record.gil() else 'free-threaded'}, {given.threads} loops; {given.polls:,} polls on "
        f"{given.queues:,} queues; wake-ups with {given.queues:,} polls; medians of {len(rounds)} rounds"
    )
    Console(width=120).print(table)


if __name__ == "__main__":
    end_with(main)
