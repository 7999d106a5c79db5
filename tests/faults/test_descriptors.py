"""A server whose descriptors run out neither spins nor breaks: whom it has taken in it serves, and then the others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from bench import processes
from support.figures import show
from support.process import Process, leveret
from support.web import PATIENCE, Client, Raw, eventually

pytestmark = pytest.mark.alone

DESCRIPTORS = 256
CLIENTS = 400
CYCLES = int(os.environ.get("LEVERET_DESCRIPTOR_CYCLES", "1"))
SPAN = 2.0  # seconds in which nothing happens while clients wait
SPIN = 0.5  # of a core, which a server that has nothing to do must stay below
UNDER = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    with leveret("--store", f"sqlite:///{tmp_path}/queue.db", "--data", str(tmp_path), under=UNDER) as server:
        yield server


@contextmanager
def crowd(port: int) -> Iterator[list[Raw]]:
    """More clients than there are descriptors; all of them are connected, as far as they can tell."""
    with ExitStack() as stack:
        yield [stack.enter_context(Raw(port)) for _ in range(CLIENTS)]


def put(number: int) -> bytes:
    return f"PUT /v1.1/acme/jobs/{number}?ttl=0 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody".encode()


def served(client: Raw) -> bool:
    """Whether it has an answer by now."""
    client.socket.setblocking(False)
    try:
        return bool(client.socket.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        client.socket.settimeout(PATIENCE)


@pytest.mark.timeout(60 + 20 * CYCLES)
def test_it_serves_whom_it_has_taken_in_does_not_spin_and_recovers(server: Process) -> None:
    with ExitStack() as stack:  # each loop opens something with its first connection
        for number in range(8):
            first = stack.enter_context(Raw(server.port)).send(put(number))
            assert first.answer().status == 201
    before = processes.open_files(server.popen.pid)
    busiest, waited = 0.0, 0
    for _ in range(CYCLES):
        with crowd(server.port) as clients:
            for number, client in enumerate(clients):
                client.send(put(number))
            eventually(lambda clients=clients: sum(map(served, clients)) >= DESCRIPTORS // 2)
            used, began = server.cpu_seconds(), time.monotonic()
            counts = [sum(map(served, clients))]
            while time.monotonic() - began < SPAN:
                clients[0].socket.recv(1, socket.MSG_PEEK)  # it is still connected
                counts.append(sum(map(served, clients)))
            share = (server.cpu_seconds() - used) / (time.monotonic() - began)
            assert share < SPIN, f"it uses {share:.2f} of a core, and has nothing to do"
            assert counts[-1] < CLIENTS, "there were descriptors for all: nothing was tried"
            busiest = max(busiest, share)
            waited = max(waited, CLIENTS - counts[-1])
            left = list(clients)
            while left:  # those who have their answer go, and so the others' turn comes
                eventually(lambda left=left: any(map(served, left)))
                for client in [each for each in left if served(each)]:
                    assert client.answer().status in {201, 204}
                    client.close()
                    left.remove(client)
        eventually(lambda: processes.open_files(server.popen.pid) <= before)
        for _ in range(CLIENTS):
            with closing(Client(server.port)) as client:
                assert client("GET", "/v1.1/acme/jobs?limit=1").status == 200
    with closing(Client(server.port)) as client:
        assert client("GET", "/v1.1/acme?detail=all").json[0]["messages"] == CLIENTS
    show(
        "descriptors",
        f"{CYCLES * CLIENTS:,} clients at {DESCRIPTORS} descriptors, {waited} of {CLIENTS} waiting at a time: all "
        f"served in the end, {100 * busiest:.1f} % of a core while they waited, no descriptor leaked",
    )


def exhaust(server: Process, stack: ExitStack) -> None:
    """Have others take all the descriptors that it leaves to them."""
    for _ in range(CLIENTS):
        stack.enter_context(Raw(server.port))
    taken = -1

    def is_still() -> bool:
        nonlocal taken
        before, taken = taken, processes.open_files(server.popen.pid)
        return before == taken

    eventually(lambda: is_still() and taken > DESCRIPTORS // 2)


def test_the_store_works_on_while_there_are_no_more(server: Process) -> None:
    with closing(Client(server.port)) as client, ExitStack() as stack:
        assert client("PUT", "/v1.1/acme/jobs/0", b"first").status == 201
        exhaust(server, stack)
        many = b'{"messages":[' + b",".join([b'{"body":"' + b"x" * 1000 + b'"}'] * 1000) + b"]}"
        for _ in range(5):
            assert client("PUT", "/v1.1/acme/many", many).status == 201
        assert len(client("POST", "/v1.1/acme/many?limit=500&hide=60&detail=id").json) == 500
        assert client("PATCH", "/v1.1/acme/many", b'{"max_deliveries":5}').status == 200
        assert client("POST", "/v1.1/acme/many?ttl=0&match_hidden=true").status in {200, 204}
        assert client("DELETE", "/v1.1/acme/many?match_hidden=true").status in {200, 204}
        assert client("DELETE", "/v1.1/acme").status in {200, 204}


def keys(data: Path, *words: str) -> str:
    arguments = [sys.executable, "-m", "leveret", "keys", *words]
    environ = os.environ | {"LEVERET_SERVER__DATA": str(data)}
    return subprocess.run(arguments, check=True, capture_output=True, text=True, env=environ).stdout.splitlines()[0]


def test_keys_are_made_and_revoked_while_there_are_no_more(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/queue.db"
    old = keys(tmp_path, "create", "--account", "acme")
    with (
        leveret("--store", store, "--data", str(tmp_path), "--auth", "keys", under=UNDER) as server,
        closing(Client(server.port)) as client,
        ExitStack() as stack,
    ):

        def status(key: str) -> int:
            return client("GET", "/v1.1/acme/jobs", headers={"Authorization": f"Bearer {key}"}).status

        assert status(old) == 404
        exhaust(server, stack)
        new = keys(tmp_path, "create", "--account", "acme")
        assert status(new) == 404, "a new key is no good while there are no descriptors"
        assert status(old) == 404, "an old key is no good any more, since a new one was made"
        keys(tmp_path, "revoke", old[4:14])
        assert status(old) == 401
        assert status(new) == 404


def test_a_server_that_has_too_few_to_begin_with_says_what_it_could_not_open(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "leveret", "serve", "--port", "0", "--store", f"sqlite:///{tmp_path}/queue.db"]
    few = ["prlimit", "--nofile=12:12", *words]
    ended = subprocess.run(few, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("leveret: ")
    assert "can't be opened" in last or "Too many open files" in last


def test_what_is_audited_is_written_while_there_are_no_more(tmp_path: Path) -> None:
    trail = tmp_path / "audit.jsonl"
    options = ["--store", "memory://", "--data", str(tmp_path), "--set", f"audit.file={trail}"]
    with leveret(*options, under=UNDER) as server, closing(Client(server.port)) as client, ExitStack() as stack:
        client("GET", "/")
        exhaust(server, stack)
        assert client("PATCH", "/v1.1/acme/jobs", b'{"default_ttl":60}').status == 200
        assert len(trail.read_text().splitlines()) == 1
        trail.rename(tmp_path / "audit.jsonl.1")  # as logrotate does it, and then tells the server
        server.signal(1)
        eventually(trail.exists)
        assert client("PATCH", "/v1.1/acme/jobs", b'{"default_ttl":30}').status == 200
        assert len(trail.read_text().splitlines()) == 1
