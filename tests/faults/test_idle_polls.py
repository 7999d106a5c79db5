"""Thousands of parked polls: each costs little memory and no time, one message wakes one, and all have an answer."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from bench import processes
from bench.polls import Client as Sockets
from bench.polls import raise_descriptors, read_answer
from support.figures import show
from support.process import Process, leveret
from support.scraped import gauge
from support.web import PATIENCE, Client, eventually

pytestmark = pytest.mark.alone

POLLS: Final = int(os.environ.get("LEVERET_IDLE_POLLS", "1000"))
SINGLY: Final = 100  # messages that are put one after the other
SPAN: Final = 2.0  # seconds in which nothing happens
IDLE: Final = 0.02  # of a core
EACH: Final = 8_192  # bytes of memory for a connection and its poll
QUEUE: Final = "/v1.1/acme/jobs"


@contextmanager
def answered(sockets: list[socket.socket]) -> Iterator[select.epoll]:
    """Tells which of them have an answer."""
    with select.epoll() as epoll:
        for each in sockets:
            epoll.register(each.fileno(), select.EPOLLIN)
        yield epoll


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Process, Client, Sockets]]:
    """A server, a client that asks, and sockets for its polls."""
    if wrong := raise_descriptors(POLLS + 200):
        pytest.skip(wrong)
    options = ["--store", f"sqlite:///{folder}/queue.db", "--data", str(folder), "--set", "server.modules=metrics"]
    with (
        leveret(*options) as server,
        closing(Client(server.port)) as client,
        closing(Sockets(f"http://127.0.0.1:{server.port}")) as polls,
    ):
        yield server, client, polls


@pytest.mark.timeout(120 + POLLS // 50)
def test_parked_polls_cost_little_and_each_message_wakes_one(tmp_path: Path) -> None:
    with serving(tmp_path) as (server, client, polls):
        pid = server.popen.pid
        gauge(client, "leveret_parked_polls")
        before = processes.memory(pid)
        for _ in range(POLLS):
            polls.get(f"{QUEUE}?wait=3000&limit=1&detail=id", answered=False)
        eventually(lambda: gauge(client, "leveret_parked_polls") == POLLS)
        each = (processes.memory(pid) - before) / POLLS
        used = processes.cpu_seconds(pid)
        with answered(polls.sockets) as epoll:
            assert epoll.poll(SPAN) == [], "a poll was answered, and nothing was put"
        share = (processes.cpu_seconds(pid) - used) / SPAN
        assert share < IDLE
        assert each < EACH
    show(
        "idle-polls",
        f"{POLLS:,} parked polls: {each:,.0f} bytes each, {100 * share:.2f} % of a core while nothing happens",
    )


@pytest.mark.timeout(120 + POLLS // 50)
def test_one_message_wakes_one_consumer_and_in_the_end_each_has_its_own(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, client, polls):
        for _ in range(POLLS):
            asked = polls.connect()
            asked.sendall(f"DELETE {QUEUE}?wait=3000&limit=1&detail=id HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        eventually(lambda: gauge(client, "leveret_parked_polls") == POLLS)
        left = {each.fileno(): each for each in polls.sockets}
        slowest = 0.0
        with answered(polls.sockets) as epoll:
            for number in range(SINGLY):
                began = time.monotonic()
                assert client("PUT", f"{QUEUE}/{number}", b"x").status == 201
                ((woken, _),) = epoll.poll(PATIENCE)
                slowest = max(slowest, time.monotonic() - began)
                assert read_answer(left.pop(woken)) == 200
                epoll.unregister(woken)
            assert epoll.poll(0.05) == [], "one message woke more than one"
            assert gauge(client, "leveret_parked_polls") == POLLS - SINGLY
            for first in range(SINGLY, POLLS, 1000):
                many = ",".join([f'{{"id":"{id}","body":"x"}}' for id in range(first, min(first + 1000, POLLS))])
                assert client("PUT", QUEUE, f'{{"messages":[{many}]}}'.encode()).status == 201
            while left:
                for woken, _ in epoll.poll(PATIENCE):
                    assert read_answer(left.pop(woken)) == 200
                    epoll.unregister(woken)
        assert client("GET", f"{QUEUE}?match_hidden=true").status == 404, "what was put was not taken"
    show(
        "idle-polls",
        f"{POLLS:,} messages for as many parked polls: each woke one and was taken once, the slowest of {SINGLY} that "
        f"came singly after {1000 * slowest:.0f} ms; all were answered",
    )
