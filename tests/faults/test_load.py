"""The load and the drain themselves: they do what they say, and see no violation of a server that commits none."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from faults.checker import check
from faults.harm import Trial
from faults.history import Change, History, Put, Take
from support.draining import ACCOUNT, drain, listed, look
from support.load import QUEUES, SHARED, Connection, Load, body_of
from support.process import Process, leveret
from support.web import Client, eventually

# Those that the clients do by themselves; what one finds that another has taken depends on chance.
KINDS = {
    "put", "many", "claim", "pop", "delete: done", "delete by receipt: done", "hide by receipt: done",
    "hide by receipt: held",
}  # fmt: skip


@contextmanager
def loaded(puts: int, *kinds: str) -> Iterator[tuple[Trial, Process]]:
    """A server that keeps all in memory, and what clients did to it: so many puts, and some of each of these kinds."""
    trial = Trial()
    with leveret("--store", "memory://") as server:
        with trial.clients.on(server.port, puts) as load:
            load.wait()
            eventually(lambda: what_was_done(trial.history).keys() >= set(kinds))
        yield trial, server


def what_was_done(history: History) -> Counter[str]:
    done: Counter[str] = Counter()
    for queue in QUEUES:
        for operation in history.of(queue):
            if isinstance(operation, Put):
                done["many" if len(operation.ids) > 1 else "put"] += 1
            elif isinstance(operation, Take):
                done["pop" if operation.pops else "claim"] += len(operation.got)
            elif isinstance(operation, Change):
                shown = "" if operation.receipts is None else " by receipt"
                kind = "delete" if operation.seconds is None else "hide"
                done.update(f"{kind}{shown}: {answer}" for answer in operation.answers)
    return done


def test_a_load_does_all_that_clients_can_do_and_a_server_that_loses_nothing_passes() -> None:
    with loaded(3000, *KINDS) as (trial, server):
        report = trial.drain(server)
    report.assert_whole()
    assert report.puts >= 3000
    assert report.unknown == 0
    assert report.handed > 100


def test_a_drain_leaves_nothing_and_what_comes_after_it_is_judged_by_itself() -> None:
    with loaded(100) as (trial, server), closing(Client(server.port)) as client:
        assert listed(client)
        drain(trial.history, client).assert_whole()
        assert listed(client) == {}
        assert trial.history.queues() == []
        with trial.clients.on(server.port, 100) as load:
            load.wait()
        assert drain(trial.history, client).puts >= 100


def test_a_drain_finds_queues_of_which_nothing_is_known() -> None:
    with leveret("--store", "memory://") as server, closing(Client(server.port)) as client:
        client("PUT", f"/v1.1/{ACCOUNT}/other/1", b"1")
        assert drain(History(), client).violations == ["unexpected: 1 in other is there, and was never put"]


def test_a_look_judges_as_a_drain_does_and_takes_nothing_out() -> None:
    with loaded(100) as (trial, server), closing(Client(server.port)) as client:
        look(trial.history, client, SHARED).assert_whole()
        before = listed(client)
        client("DELETE", f"/v1.1/{ACCOUNT}/{SHARED}?match_hidden=true")
        assert look(trial.history, client, SHARED).kinds == {"lost"}
        assert listed(client).keys() == before.keys() - {SHARED}


def test_a_look_reads_more_than_a_page() -> None:
    history = History()
    with leveret("--store", "memory://") as server, closing(Client(server.port)) as client:
        for number in range(1001):
            put = history.put("q", (str(number), b""))
            client("PUT", f"/v1.1/{ACCOUNT}/q/{number}")
            put.ok()
        report = look(history, client, "q")
    report.assert_whole()
    assert report.drained == 1001


def test_what_is_acknowledged_when_nothing_can_be_stored_is_lost() -> None:
    trial = Trial()
    with leveret("--store", "memory://") as server:
        with trial.clients.on(server.port, 100) as load:
            load.wait()
            with load.dying():
                pass
            drained = {queue: len(trial.history.of(queue)) for queue in QUEUES}
            eventually(lambda: any(len(trial.history.of(queue)) > drained[queue] + 50 for queue in QUEUES))
        # What a server would have after a loss of power in that moment: nothing of what came later.
        for queue in QUEUES:
            trial.history.drain(queue).ok([], None)
    assert "lost" in check(trial.history).kinds


def test_what_is_answered_while_a_server_dies_is_unknown() -> None:
    load = Load()
    history = History()
    before = history.put("q", ("1", b""))
    assert load.believes(before)
    with load.dying():
        assert not load.believes(before)
    assert not load.believes(before)
    assert load.believes(history.put("q", ("2", b"")))


def test_bodies_are_of_all_kinds() -> None:
    bodies = [body_of("q", f"0.{number}") for number in range(1000)]
    assert min(map(len, bodies)) < 10
    assert max(map(len, bodies)) > 8192
    assert not all(body.isascii() for body in bodies)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 201 Created\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[1,",
    ],
)
def test_an_answer_that_is_cut_off_is_no_answer(sent: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(sent)

        server = threading.Thread(target=serve)
        server.start()
        with Connection(listener.getsockname()[1]) as connection, pytest.raises(ConnectionError):
            connection.answer()
        server.join()
