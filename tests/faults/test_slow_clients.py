"""Clients that send or read as slowly as they may: they are cut off in their time, and the others hardly notice.

The attacks are those of slowhttptest. All of its sockets come from one address, so `net.max_per_address` is left at 0,
no limit: that would end the attack at once, and is what an operator should set where clients have addresses of their
own. The tool runs with a low priority, so that what is measured is the server and not the attacker's own work.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from bench.polls import raise_descriptors
from support.figures import show
from support.process import Process, leveret
from support.scraped import gauge
from support.web import PATIENCE, Client, Raw, eventually

pytestmark = pytest.mark.alone

SOCKETS: Final = int(os.environ.get("LEVERET_SLOW_SOCKETS", "200"))
WHOLE: Final = SOCKETS >= 2_000  # the long form, in which the ratio counts
ROUNDS: Final = 7 if WHOLE else 1
REQUESTS: Final = 12_000 if WHOLE else 300  # of the healthy client in each round, half of them PUTs: some seconds
TIMEOUT: Final = 20 if WHOLE else 3  # seconds, of the server for slow heads, bodies and readers alike
LATE: Final = 5  # seconds by which a busy machine may be late
RATIO: Final = 1.5  # of the healthy client's p99 with the slow ones to that without
BOUND: Final = 1.0  # seconds: what no healthy request may take in the short form either
LARGE: Final = 8  # messages of a megabyte in the queue that is read slowly
UNSENT: Final = 64 << 20  # bytes
ATTACKS: Final = {
    "slow heads": ["-H", "-i", "2"],
    # Longer between two pieces than the server waits for one.
    "slow bodies": ["-B", "-t", "PUT", "-s", "8192", "-i", str(3 * TIMEOUT)],
    # Pipelined, so that there is more to read than the system's buffers hold.
    "slow readers": ["-X", "-k", "10", "-w", "512", "-y", "1024", "-n", "5", "-z", "32"],
}


@pytest.fixture(autouse=True)
def tool() -> None:
    if shutil.which("slowhttptest") is None:
        pytest.skip("slowhttptest is missing, which makes slow clients (Debian's package slowhttptest)")
    if wrong := raise_descriptors(SOCKETS + 500):
        pytest.skip(wrong)


@contextmanager
def serving(tmp_path: Path, unsent: int) -> Iterator[tuple[Process, Client]]:
    """A server with large messages to read."""
    timeouts = [f"http.{each}_timeout={TIMEOUT}" for each in ("head", "body", "write")]
    settings = [*timeouts, f"http.max_unsent={unsent}", "server.modules=metrics", "log.level=error"]
    words = [word for each in settings for word in ("--set", each)]
    store = f"sqlite:///{tmp_path}/queue.db"
    with leveret("--store", store, "--data", str(tmp_path), *words) as server, closing(Client(server.port)) as client:
        for number in range(LARGE):
            assert client("PUT", f"/v1.1/acme/large/{number}?ttl=0", b"x" * 1_000_000).status == 201
        yield server, client


@contextmanager
def attack(port: int, options: list[str], sockets: int, path: str) -> Iterator[None]:
    url = f"http://127.0.0.1:{port}{path}"
    amounts = ["-c", str(sockets), "-r", str(max(50, sockets // 2)), "-l", "300", "-p", "60"]
    words = ["nice", "-n", "10", "slowhttptest", *options, *amounts, "-u", url]
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as slow:
        try:
            yield
        finally:
            slow.kill()


def p99(client: Client) -> float:
    """Seconds that a healthy client's PUTs and DELETEs take, but for the slowest hundredth of them."""
    took = []
    for number in range(REQUESTS // 2):
        for method, body, expected in (("PUT", b"x" * 100, 201), ("DELETE", None, 204)):
            began = time.perf_counter()
            assert client(method, f"/v1.1/acme/jobs/{number}", body).status == expected
            took.append(time.perf_counter() - began)
    return sorted(took)[len(took) * 99 // 100]


@pytest.mark.timeout(120 + ROUNDS * 60)
def test_slow_clients_are_cut_off_in_their_time_and_healthy_ones_hardly_notice(tmp_path: Path) -> None:
    quiet, beset = [], []
    longest, most = 0.0, 0.0
    # None of the slow readers is to be cut off before its time.
    with serving(tmp_path, unsent=4 << 30) as (server, client):
        for _ in range(ROUNDS):
            quiet.append(p99(client))
            with ExitStack() as stack:
                for options in ATTACKS.values():
                    path = "/v1.1/acme/large/1?detail=body" if "-X" in options else "/v1.1/acme/slow/1"
                    stack.enter_context(attack(server.port, options, SOCKETS // len(ATTACKS), path))
                eventually(lambda: gauge(client, "scalestack_connections") > 0.98 * SOCKETS)
                all_there = time.monotonic()
                most = max(most, gauge(client, "scalestack_connections") - 1)
                beset.append(p99(client))
                eventually(lambda: gauge(client, "scalestack_connections") == 1)
                longest = max(longest, time.monotonic() - all_there)
                assert longest < TIMEOUT + LATE, "slow clients are not cut off in their time"
    ratio = statistics.median(beset) / statistics.median(quiet)
    assert max(beset) < BOUND
    if WHOLE:
        assert ratio < RATIO, f"quiet {quiet}, beset {beset}"
    show(
        "slow-clients",
        f"{most:,.0f} sockets at once ({', '.join(ATTACKS)}), {ROUNDS} rounds: a healthy client's p99 "
        f"{1000 * statistics.median(beset):.2f} ms, without them {1000 * statistics.median(quiet):.2f} ms "
        f"({ratio:.2f} times); the last was cut off {longest:.1f} s after all were there, at timeouts of {TIMEOUT} s",
    )


def test_answers_that_nobody_reads_take_bounded_memory_and_those_who_read_have_theirs(tmp_path: Path) -> None:
    readers = max(80, SOCKETS // 5)
    with serving(tmp_path, UNSENT) as (server, client), ExitStack() as stack:
        for _ in range(readers):
            still = stack.enter_context(Raw(server.port))
            still.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            still.send(b"GET /v1.1/acme/large?detail=body HTTP/1.1\r\nHost: x\r\n\r\n")
            assert still.socket.recv(1, socket.MSG_PEEK)
            # One after the other: a healthy client has its answer between any two.
            assert len(client("GET", "/v1.1/acme/large?detail=body").json) == LARGE
        peak = peak_of(server)
        asked = readers * LARGE * 1_000_000
        assert peak < asked * 2 / 3, f"{peak >> 20} MiB for {asked >> 20} MiB that nobody reads"
        eventually(lambda: gauge(client, "scalestack_connections") == 1)
    show(
        "slow-clients",
        f"{readers:,} clients asked for {asked >> 20:,} MiB and read nothing: the server's memory was "
        f"{peak >> 20:,} MiB at most (http.max_unsent={UNSENT >> 20} MiB)",
    )


def peak_of(server: Process) -> int:
    """The most bytes that were resident."""
    for line in Path(f"/proc/{server.popen.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"process {server.popen.pid} has no VmHWM")


def test_who_sends_and_reads_nothing_has_a_408_when_its_time_is_over(tmp_path: Path) -> None:
    with serving(tmp_path, UNSENT) as (server, _), closing(Raw(server.port)) as slow:
        began = time.monotonic()
        slow.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert slow.answer().status == 408
        assert slow.at_end()
        assert TIMEOUT - 1 < time.monotonic() - began < min(PATIENCE, TIMEOUT + LATE)
