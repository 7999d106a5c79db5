"""SIGTERM in the midst of all: nothing acknowledged is lost, nobody is left hanging, and it is over in time."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final, Self

import pytest

from faults.checker import Report
from faults.history import History, Put
from support.draining import ACCOUNT, drain
from support.figures import show
from support.process import Process, leveret
from support.scraped import gauge
from support.web import PATIENCE, Answer, Client, Raw, eventually

pytestmark = pytest.mark.alone

CYCLES: Final = int(os.environ.get("LEVERET_DRAIN_CYCLES", "1"))
POLLS: Final = 500
WRITERS: Final = 20
BATCH: Final = 20  # messages of each other PUT
ENOUGH: Final = 300  # acknowledged PUTs until it is told to end
IN_TIME: Final = 5.0  # seconds from the signal to the end of the process
PARKED: Final = "leveret_parked_polls"
CERTIFICATES: Final = Path(__file__).parent.parent / "scalestack/net/certificates"
METRICS: Final = ("--set", "server.modules=metrics")


class Writers:
    """Clients that put, one message and many by turns, until the server is gone."""

    def __init__(self, history: History, cycle: int, connect: Callable[[], Client]) -> None:
        self.acknowledged = 0
        self._history = history
        self._cycle = cycle
        self._lock = threading.Lock()  # guards the count
        self._threads = [threading.Thread(target=self._write, args=(number, connect())) for number in range(WRITERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a writer waits for an answer that will never come"

    def _write(self, writer: int, client: Client) -> None:
        queue = f"jobs-{writer % 4}"
        number = 0
        # Whatever has begun when the connection breaks remains unknown.
        try:
            while True:
                number += 1
                count = BATCH if number % 2 else 1
                name = f"{self._cycle}-{writer}-{number}"
                messages = [(f"{name}-{each}", name.encode()) for each in range(count)]
                put = self._history.put(queue, *messages)
                self._told(put, _put(client, queue, messages))
        except (OSError, HTTPException):
            client.close()

    def _told(self, put: Put, answer: Answer) -> None:
        if answer.status == 201:
            put.ok()
            with self._lock:
                self.acknowledged += 1
        else:
            put.surprise(f"a PUT was answered with {answer}")


def _put(client: Client, queue: str, messages: list[tuple[str, bytes]]) -> Answer:
    if len(messages) == 1:
        ((id, body),) = messages
        return client("PUT", f"/v1.1/faults/{queue}/{id}?ttl=0", body)
    many = [{"id": id, "body": body.decode(), "ttl": 0} for id, body in messages]
    return client("PUT", f"/v1.1/faults/{queue}", json.dumps({"messages": many}).encode())


@contextmanager
def polls(port: int, count: int) -> Iterator[list[Raw]]:
    """Parked long polls, each on a queue of its own, and half of them would take what they find."""
    with ExitStack() as stack:
        parked = [stack.enter_context(Raw(port)) for _ in range(count)]
        for number, poll in enumerate(parked):
            method = ("GET", "DELETE")[number % 2]
            poll.send(f"{method} /v1.1/faults/none-{number}?wait=600 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield parked


def end(server: Process, number: int = signal.SIGTERM) -> float:
    """Seconds from the signal until the process had ended, with 0."""
    began = time.monotonic()
    server.signal(number)
    assert server.wait() == 0
    return time.monotonic() - began


@pytest.mark.timeout(60 + 20 * CYCLES)
def test_parked_polls_are_answered_and_what_was_acknowledged_is_there_afterwards(tmp_path: Path) -> None:
    history = History()
    store = f"sqlite:///{tmp_path}/queue.db"
    slowest, acknowledged, report = 0.0, 0, Report()
    for cycle in range(CYCLES):
        with leveret("--store", store, *METRICS) as server, polls(server.port, POLLS) as parked:
            with closing(Client(server.port)) as client:
                eventually(lambda client=client: gauge(client, PARKED) == POLLS)
            with Writers(history, cycle, lambda server=server: Client(server.port)) as writers:
                eventually(lambda writers=writers: writers.acknowledged >= ENOUGH)
                slowest = max(slowest, end(server))
            for poll in parked:
                answer = poll.answer()
                assert (answer.status, answer.headers["connection"]) == (404, "close")
                assert poll.at_end()
            acknowledged += writers.acknowledged
        with leveret("--store", store) as server, closing(Client(server.port)) as client:
            report.add(drain(history, client))
    report.assert_whole("after a drain")
    assert report.drained >= report.puts > 0
    assert slowest < IN_TIME
    show(
        "drain",
        f"{CYCLES:,} drains with {POLLS} polls parked and {WRITERS} writers: {CYCLES * POLLS:,} polls answered, "
        f"{acknowledged:,} acknowledged PUTs of {report.puts:,} messages: {len(report.lost)} lost, "
        f"{len(report.unexpected)} unexpected; ended after {slowest:.1f} s at most, with code 0",
    )


def test_followers_are_told_that_their_stream_ends(tmp_path: Path) -> None:
    with leveret("--store", f"sqlite:///{tmp_path}/queue.db") as server, ExitStack() as stack:
        followers = [stack.enter_context(Raw(server.port)) for _ in range(20)]
        for follower in followers:
            follower.send(b"GET /v1.1/faults/jobs HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        with closing(Client(server.port)) as client:
            assert client("PUT", "/v1.1/faults/jobs/1", b"to all").status == 201
        for follower in followers:
            assert any(b"to all" in line for line in follower._file)
        assert end(server) < IN_TIME
        for follower in followers:
            assert follower._file.read().endswith(b"0\r\n\r\n"), "the stream was cut off, and not ended"


def test_a_client_that_does_not_read_its_answer_is_waited_for_no_longer_than_the_grace_time(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/queue.db"
    with leveret("--store", store, "--set", "server.grace=2") as server, ExitStack() as stack:
        with closing(Client(server.port)) as client:
            for number in range(8):
                assert client("PUT", f"/v1.1/faults/large/{number}?ttl=0", b"x" * 1_000_000).status == 201
        slow = stack.enter_context(Raw(server.port))
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.send(b"GET /v1.1/faults/large?detail=body HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.socket.recv(1) == b"H"
        follower = stack.enter_context(Raw(server.port))
        follower.send(b"GET /v1.1/faults/large HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        assert follower.socket.recv(1) == b"H"
        assert 1.9 < end(server) < IN_TIME
    with leveret("--store", store) as server, closing(Client(server.port)) as client:
        assert client("GET", "/v1.1/faults?detail=all").json[0]["messages"] == 8


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once_and_nothing_acknowledged_is_lost(tmp_path: Path, second: int) -> None:
    history = History()
    store = f"sqlite:///{tmp_path}/queue.db"
    with leveret("--store", store) as server, closing(Raw(server.port)) as half:
        half.send(b"PUT /v1.1/faults/jobs/half HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        with Writers(history, 0, lambda: Client(server.port)) as writers:
            eventually(lambda: writers.acknowledged >= ENOUGH)
            server.signal(signal.SIGTERM)
            eventually(lambda: refuses(server.port))  # it drains, and waits for the rest of that body
            began = time.monotonic()
            server.signal(second)
            assert server.wait() == -second
            assert time.monotonic() - began < IN_TIME
    with leveret("--store", store) as server, closing(Client(server.port)) as client:
        drain(history, client).assert_whole("after a second signal")


def refuses(port: int) -> bool:
    try:
        Raw(port).close()
    except OSError:
        return True
    return False


def trusting_all() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class SecureClient(Client):
    """One that speaks TLS and shows a key."""

    def __init__(self, port: int, key: str) -> None:
        super().__init__(port)
        self._connection = HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=trusting_all())
        self._key = key

    def __call__(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return super().__call__(method, path, body, {"Authorization": f"Bearer {self._key}"})


def secure_poll(port: int, key: str) -> ssl.SSLSocket:
    poll = trusting_all().wrap_socket(socket.create_connection(("127.0.0.1", port), PATIENCE))
    head = f"Host: x\r\nAuthorization: Bearer {key}\r\n\r\n"
    poll.sendall(f"GET /v1.1/faults/none?wait=600 HTTP/1.1\r\n{head}".encode())
    return poll


def test_with_tls_and_keys_polls_are_answered_and_nothing_is_lost(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "leveret", "keys", "create", "--account", ACCOUNT, "--allow", "send,receive,read"]
    environ = os.environ | {"LEVERET_SERVER__DATA": str(tmp_path)}
    key = subprocess.run(words, check=True, capture_output=True, text=True, env=environ).stdout.splitlines()[0]
    options = ["--store", f"sqlite:///{tmp_path}/queue.db", "--data", str(tmp_path), "--auth", "keys"]
    files = {"certificate": "first-certificate.pem", "key": "first-key.pem"}
    certificate = [word for name, file in files.items() for word in ("--set", f"http.tls_{name}={CERTIFICATES / file}")]
    history = History()
    with leveret(*options, *certificate) as server, ExitStack() as stack:
        parked = [stack.enter_context(secure_poll(server.port, key)) for _ in range(50)]
        with Writers(history, 0, lambda: SecureClient(server.port, key)) as writers:
            eventually(lambda: writers.acknowledged >= ENOUGH)
            assert end(server) < IN_TIME
        for poll in parked:
            assert poll.recv(65_536).startswith(b"HTTP/1.1 404 ")
    with leveret(*options[:4]) as server, closing(Client(server.port)) as client:
        drain(history, client).assert_whole("after a drain with TLS")
