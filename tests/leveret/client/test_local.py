"""A service in this process: nothing is left waiting, and what fails within it is told as a server would."""

import asyncio
import os
import threading
import warnings

import pytest

from leveret import connect, connect_async
from leveret.client import ClientClosed, Unavailable
from leveret.client.calls import Call
from leveret.store.base import StoreFailed
from leveret.store.memory import MemoryStore
from support.queues import serving_queues
from support.web import PATIENCE, eventually


@pytest.fixture
def client():
    with connect("memory://") as client:
        yield client


def parked(client):
    return client._transport.local.service.parked


def test_closing_answers_who_waits(client):
    ended = []

    def wait():
        with pytest.raises(ClientClosed):
            client.queue("acme", "jobs").claim(wait=60)
        ended.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    eventually(lambda: parked(client))
    client.close()
    waiting.join(PATIENCE)
    assert ended == [True]


def test_a_wait_that_is_cancelled_is_parked_no_more():
    async def main():
        async with connect_async("memory://") as client:
            waiting = asyncio.create_task(client.queue("acme", "jobs").pop(wait=60))
            while not parked(client):  # noqa: ASYNC110 - another thread parks it
                await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            while parked(client):  # noqa: ASYNC110
                await asyncio.sleep(0)

    asyncio.run(main())


def test_a_path_that_is_none_is_answered_as_by_a_server(client):
    reply = client._transport.send(Call("GET", "/none"))
    assert (reply.status, reply.headers["content-type"]) == (404, "application/problem+json")
    assert client._transport.send(Call("POST", "/")).headers["allow"]


def test_a_store_that_fails_is_unavailable(monkeypatch):
    def fail(*_):
        raise StoreFailed("the disk is gone")

    monkeypatch.setattr(MemoryStore, "get", fail)
    with connect("memory://", retries=0) as client, pytest.raises(Unavailable, match="the disk is gone") as caught:
        client.queue("acme", "jobs").get("1")
    assert caught.value.status == 503


def test_a_fault_is_raised_as_it_is(client, monkeypatch):
    monkeypatch.setattr(MemoryStore, "get", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        client.queue("acme", "jobs").get("1")


def test_a_store_that_does_not_open_leaves_no_thread(monkeypatch):
    def fail(*_):
        raise StoreFailed("no")

    monkeypatch.setattr(MemoryStore, "open", fail)
    before = threading.active_count()
    with pytest.raises(Unavailable, match="no"):
        connect("memory://")
    assert threading.active_count() == before


def forked(run):
    """The exit code of a fork of this process that runs no more than that: 1 where it fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is the very thing that is to be borne
        child = os.fork()
    if not child:
        try:
            run()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_fork_of_the_process_is_told_to_connect_by_itself():
    with connect("memory://") as client:
        client.queue("a", "q").put("x")

        def use():
            with pytest.raises(ClientClosed, match="connect in each process"):
                client.queue("a", "q").put("y")
            client.close()

        assert forked(use) == 0
        assert [message.text for message in client.queue("a", "q").messages()] == ["x"]


def test_a_fork_has_connections_of_its_own():
    with serving_queues(MemoryStore()) as queues, connect(f"http://127.0.0.1:{queues.port}") as client:
        queue = client.queue("a", "q")
        queue.put("x", "1")
        assert forked(lambda: queue.put("y", "2")) == 0
        assert [message.text for message in queue.messages()] == ["x", "y"]
