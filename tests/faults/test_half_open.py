"""Clients whose network goes away without a word: the server finds out in time, and nobody else waits for them."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from support.figures import show
from support.netns import FarMachine, unavailable
from support.process import Process, leveret
from support.scraped import gauge
from support.web import PATIENCE, Client, eventually

pytestmark = pytest.mark.alone

CYCLES = int(os.environ.get("LEVERET_HALF_OPEN_CYCLES", "1"))
POLLS = int(os.environ.get("LEVERET_HALF_OPEN_POLLS", "50"))
PEER_TIMEOUT = 3  # seconds; 60 if nothing is set
LATE = 3  # seconds: the kernel asks once in half a second, and this machine may be busy
CONNECTIONS, PARKED = "scalestack_connections", "leveret_parked_polls"


@pytest.fixture
def far() -> Iterator[FarMachine]:
    if reason := unavailable():
        pytest.skip(reason)
    with FarMachine() as far:
        yield far


@pytest.fixture
def server(far: FarMachine, tmp_path: Path) -> Iterator[Process]:
    options = ["--host", far.near, "--insecure", "--set", f"net.peer_timeout={PEER_TIMEOUT}"]
    metrics = ["--set", "server.modules=metrics"]
    with leveret("--store", f"sqlite:///{tmp_path}/queue.db", *options, *metrics) as server:
        yield server


@contextmanager
def polls(far: FarMachine, port: int, count: int, request: str) -> Iterator[list[socket.socket]]:
    """Long polls of the far machine, parked."""
    sockets = far.connect(port, count)
    for each in sockets:
        each.sendall(f"{request} HTTP/1.1\r\nHost: far\r\n\r\n".encode())
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


@pytest.mark.timeout(60 + 30 * CYCLES)
def test_dead_polls_are_given_up_in_time_while_healthy_ones_have_their_messages(
    far: FarMachine, server: Process
) -> None:
    slowest, served = 0.0, 0
    with closing(Client(server.port, far.near)) as healthy:
        for cycle in range(CYCLES):
            request = f"GET /v1.1/acme/dead-{cycle}?wait=600"
            with polls(far, server.port, POLLS, request):
                eventually(lambda: gauge(healthy, PARKED) == POLLS)
                far.cut()
                cut = time.monotonic()
                while gauge(healthy, CONNECTIONS) > 1:
                    took = time.monotonic() - cut
                    assert took < PEER_TIMEOUT + LATE, f"{gauge(healthy, PARKED):.0f} dead polls after {took:.1f} s"
                    served += _a_message_for_a_healthy_poll(healthy, server.port, far.near)
                slowest = max(slowest, time.monotonic() - cut)
                assert gauge(healthy, PARKED) == 0, "a connection is gone, and its poll is still parked"
            far.mend()
    show(
        "half-open",
        f"{CYCLES * POLLS:,} parked polls whose packets were dropped: all given up, after {slowest:.1f} s at most "
        f"(net.peer_timeout={PEER_TIMEOUT}); {served:,} messages meanwhile for polls of others, none late",
    )


def _a_message_for_a_healthy_poll(client: Client, port: int, host: str) -> int:
    with closing(socket.create_connection((host, port), PATIENCE)) as poll:
        poll.sendall(b"DELETE /v1.1/acme/alive?wait=20&limit=1&detail=body HTTP/1.1\r\nHost: near\r\n\r\n")
        assert client("PUT", "/v1.1/acme/alive/1", b"hello").status == 201
        began = time.monotonic()
        assert poll.recv(65_536).endswith(b'["hello"]')
        assert time.monotonic() - began < 2, "a healthy poll had to wait for dead ones"
    return 1


def test_a_message_that_a_dead_poll_claimed_is_there_again_when_its_lease_ends(
    far: FarMachine, server: Process
) -> None:
    with (
        closing(Client(server.port, far.near)) as healthy,
        polls(far, server.port, 1, "POST /v1.1/acme/jobs?wait=60&limit=1&hide=2&detail=all"),
    ):
        eventually(lambda: gauge(healthy, PARKED) == 1)
        far.cut()
        assert healthy("PUT", "/v1.1/acme/jobs/1", b"work").status == 201
        eventually(lambda: healthy("GET", "/v1.1/acme/jobs").status == 404)  # the dead poll has claimed it
        (message,) = healthy("POST", "/v1.1/acme/jobs?wait=20&limit=1&hide=60&detail=all").json
        assert (message["body"], message["deliveries"]) == ("work", 2)


def test_a_message_that_a_dead_poll_popped_is_gone_as_a_pop_is_at_most_once(far: FarMachine, server: Process) -> None:
    with (
        closing(Client(server.port, far.near)) as healthy,
        polls(far, server.port, 1, "DELETE /v1.1/acme/jobs?wait=60&limit=1&detail=all"),
    ):
        eventually(lambda: gauge(healthy, PARKED) == 1)
        far.cut()
        assert healthy("PUT", "/v1.1/acme/jobs/1", b"work").status == 201
        eventually(lambda: healthy("GET", "/v1.1/acme/jobs?match_hidden=true").status == 404)


def test_once_a_dead_poll_is_given_up_it_takes_nothing(far: FarMachine, server: Process) -> None:
    with (
        closing(Client(server.port, far.near)) as healthy,
        polls(far, server.port, 1, "DELETE /v1.1/acme/jobs?wait=60&limit=1&detail=all"),
    ):
        eventually(lambda: gauge(healthy, PARKED) == 1)
        far.cut()
        eventually(lambda: gauge(healthy, PARKED) == 0)
        assert healthy("PUT", "/v1.1/acme/jobs/1", b"work").status == 201
        assert healthy("GET", "/v1.1/acme/jobs?detail=body").json == ["work"]


def test_a_dead_follower_is_given_up_though_it_is_written_to(far: FarMachine, server: Process) -> None:
    with closing(Client(server.port, far.near)) as healthy, closing(far.connect(server.port)[0]) as follower:
        follower.sendall(b"GET /v1.1/acme/jobs HTTP/1.1\r\nHost: far\r\nAccept: text/event-stream\r\n\r\n")
        with follower.makefile("rb") as stream:
            assert any(b"following" in line for line in stream)
        far.cut()
        number = 0
        cut = time.monotonic()
        while gauge(healthy, CONNECTIONS) > 1:
            assert time.monotonic() - cut < 2 * PEER_TIMEOUT + LATE, "it is written to as if it were there"
            number += 1
            assert healthy("PUT", f"/v1.1/acme/jobs/{number}", json.dumps({"number": number}).encode()).status == 201
