"""Long polls through real sockets: each of the ways in which a message becomes visible ends them, on every loop."""

import resource
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from leveret.store.memory import MemoryStore
from scalestack.clock import steady_clock
from support.process import leveret
from support.queues import serving_queues
from support.web import Client, Raw, eventually

Q = "/v1.0/account/queue"
M = Q + "/message"
HOW = {"reader": "GET", "claim": "POST", "pop": "DELETE"}


@pytest.fixture(params=[1, 4], ids=["1 loop", "4 loops"])
def queues(request):
    with serving_queues(MemoryStore(), threads=request.param, clock=steady_clock()) as queues:
        yield queues


@pytest.fixture
def ask(queues):
    client = queues.client()
    yield client
    client.close()


@pytest.fixture(params=HOW.values(), ids=HOW.keys())
def park(queues, request):
    """Park a poll, on a connection of its own, and then be able to ask for its answer."""
    opened = []

    def park():
        raw = Raw(queues.port)
        opened.append(raw)
        parked = queues.service.parked
        raw.send(f"{request.param} {Q}?wait=60&limit=1&detail=id HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        eventually(lambda: queues.service.parked == parked + 1)
        return raw

    yield park
    for raw in opened:
        raw.close()


def test_a_put_ends_the_wait(ask, park):
    poll = park()
    ask("PUT", M)
    assert poll.answer().json == ["message"]


def test_a_put_over_a_hidden_message_ends_the_wait(ask, park):
    ask("PUT", M + "?hide=3600")
    poll = park()
    ask("PUT", M)
    assert poll.answer().json == ["message"]


def test_a_post_to_the_message_ends_the_wait(ask, park):
    ask("PUT", M + "?hide=3600")
    poll = park()
    ask("POST", M + "?hide=0")
    assert poll.answer().json == ["message"]


def test_a_post_to_the_queue_ends_the_wait(ask, park):
    ask("PUT", M + "?hide=3600")
    poll = park()
    ask("POST", Q + "?match_hidden=true&hide=0")
    assert poll.answer().json == ["message"]


def test_a_hide_that_runs_out_ends_the_wait(ask, park):
    ask("PUT", M + "?hide=1")
    poll = park()
    assert poll.answer().json == ["message"]


def test_a_hide_that_is_shortened_ends_the_wait_sooner(ask, park):
    ask("PUT", M + "?hide=3600")
    poll = park()
    ask("POST", M + "?hide=1")
    assert poll.answer().json == ["message"]


def test_a_client_that_hung_up_takes_nothing_and_the_next_one_is_served(queues, ask, park):
    dying, heir = park(), park()
    dying.close()
    eventually(lambda: queues.service.parked == 1)
    ask("PUT", M)
    assert heir.answer().json == ["message"]


def test_a_second_taker_without_a_limit_is_woken_when_a_second_hide_runs_out(queues, ask):
    ask("PUT", Q + "/1?hide=1")
    ask("PUT", Q + "/2?hide=2")
    polls = [Raw(queues.port), Raw(queues.port)]
    for poll in polls:
        poll.send(f"DELETE {Q}?wait=9&detail=id HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    eventually(lambda: queues.service.parked == 2)
    assert sorted(poll.answer().json[0] for poll in polls) == ["1", "2"]
    for poll in polls:
        poll.close()


def test_a_change_that_hides_nothing_leaves_it_to_all(queues, ask):
    polls = [Raw(queues.port) for _ in range(3)]
    for poll in polls:
        poll.send(f"POST {Q}?wait=9&ttl=100&detail=id HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    eventually(lambda: queues.service.parked == 3)
    ask("PUT", M)
    assert [poll.answer().json for poll in polls] == [["message"]] * 3
    for poll in polls:
        poll.close()


def test_clients_that_hang_up_just_then_lose_no_message_of_others(queues, ask):
    """Polls die while messages come: whatever was not delivered is still there for the last one."""
    for _ in range(30):
        dying = [Raw(queues.port) for _ in range(4)]
        heir = Raw(queues.port)
        for raw in [*dying, heir]:
            raw.send(f"GET {Q}?wait=60&detail=id HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        eventually(lambda: queues.service.parked == 5)
        killer = threading.Thread(target=lambda raws=dying: [raw.close() for raw in raws])
        killer.start()
        ask("PUT", M)
        killer.join()
        assert heir.answer().json == ["message"]
        heir.close()
        assert ask("DELETE", M).status == 204


def test_two_thousand_polls_and_one_put():
    """Exactly one claim gets it, all readers do, and nobody spins meanwhile."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with leveret("--store", "memory://", "--set", "event.threads=2") as server, ExitStack() as opened:
        polls = {}
        for index in range(2000):
            sock = opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            method = "GET" if index % 2 else "POST"
            more = "" if index % 2 else "&limit=1&hide=60"
            sock.sendall(f"{method} {Q}?wait=60{more}&detail=id HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            polls[sock] = method
        ask = Client(server.port)
        opened.callback(ask.close)
        ask("GET", "/")
        # Parking them is work, which may not be over yet; what spins would spin in every second.
        shares = []
        while not shares or (shares[-1] >= 0.02 and len(shares) < 5):
            shares.append(_share_of_a_core(server))
        assert shares[-1] < 0.02, f"parked polls take so much of a core, second by second: {shares}"
        assert ask("PUT", M).status == 201
        answered = []
        for sock, method in polls.items():
            if method == "GET":
                assert b'["message"]' in sock.recv(1000)
            else:
                sock.setblocking(False)
        eventually(lambda: answered or answered.extend(_answers(polls)))
        ask("GET", "/")
        answered += _answers(polls)
        assert len(answered) == 1
        assert b'["message"]' in answered[0]


def _answers(polls):
    found = []
    for sock, method in polls.items():
        if method == "POST":
            try:
                found.append(sock.recv(1000))
            except BlockingIOError:
                continue
    return found


def _share_of_a_core(server):
    """What the server uses when nothing happens."""
    before, began = server.cpu_seconds(), time.monotonic()
    threading.Event().wait(1.0)  # what is measured is that nothing happens
    return (server.cpu_seconds() - before) / (time.monotonic() - began)
