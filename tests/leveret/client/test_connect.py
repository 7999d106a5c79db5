"""Queues in this process, without a server: the same for every URL, and the same store that a server would have."""

import signal
import threading
from contextlib import closing

import pytest

from leveret import connect
from leveret.client import LeaseEnded
from leveret.client.connect import InvalidUrl
from leveret.model import InvalidName
from leveret.store.base import StoreFailed, Unusable
from support.process import leveret
from support.web import PATIENCE, Client, eventually


@pytest.fixture(params=["memory://", "sqlite:///jobs.db"])
def client(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with connect(request.param) as client:
        yield client


@pytest.fixture
def queue(client):
    return client.queue("acme", "jobs")


def test_what_is_put_is_there_in_order(queue):
    assert queue.put(b"\0first", id="1") == "1"
    queue.put("zweitè", id="2")
    assert [(message.id, message.body) for message in queue.messages()] == [("1", b"\0first"), ("2", "zweitè".encode())]
    assert queue.get("1").body == b"\0first"
    assert queue.get("3") is None


def test_ids_that_are_given_are_unique_and_in_order_of_time(queue):
    ids = [queue.put(b"") for _ in range(100)]
    assert len(set(ids)) == 100
    assert [id[:12] for id in ids] == sorted(id[:12] for id in ids)


def test_attributes_are_seconds(queue):
    queue.put("", id="1", ttl=30, hide=20)
    assert queue.messages() == []
    (message,) = queue.messages(hidden=True)
    assert 29 < message.expires - message.created <= 30
    assert queue.change("1", hide=0).id == "1"
    assert len(queue.messages(limit=1)) == 1
    assert queue.change("none", ttl=5) is None


def test_a_claim_that_is_left_normally_deletes_its_message(queue):
    queue.put("work", id="1")
    with queue.claim() as claim:
        assert (claim.id, claim.body) == ("1", b"work")
        assert queue.claim() is None
    assert queue.get("1") is None


def test_a_claim_that_is_left_by_an_exception_releases_its_message(queue):
    queue.put("work", id="1")
    with pytest.raises(ZeroDivisionError), queue.claim():
        raise ZeroDivisionError
    claim = queue.claim()
    assert claim.message.deliveries == 2
    claim.extend(600)
    assert queue.claim() is None
    claim.release()
    assert queue.claim().id == "1"


def test_a_claim_whose_lease_has_ended_leaves_the_message_to_others(queue):
    queue.put("work", id="1")
    late = queue.claim(seconds=0)
    other = queue.claim(seconds=60)
    for what in (late.delete, late.release, lambda: late.extend(5)):
        with pytest.raises(LeaseEnded, match="'1' has ended"):
            what()
    with pytest.raises(ZeroDivisionError), late:
        raise ZeroDivisionError
    assert queue.claim() is None
    other.delete()
    assert queue.get("1") is None


@pytest.mark.parametrize("given", [{"ttl": -1}, {"hide": 0.5}, {"ttl": "5"}, {"hide": 2**31}])
def test_seconds_are_checked(queue, given):
    with pytest.raises(ValueError, match="whole seconds from 0 to"):
        queue.put("", **given)
    with pytest.raises(ValueError, match="whole seconds"):
        queue.claim(seconds=-1)


@pytest.mark.parametrize("body", [None, 7, {"a": 1}])
def test_a_body_is_bytes_or_text(queue, body):
    with pytest.raises(TypeError, match="a body is bytes, or text"):
        queue.put(body)
    assert queue.messages() == []


def test_who_is_interrupted_takes_nothing_and_keeps_nobody_waiting(client, queue):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            queue.pop(wait=60)
    finally:
        signal.signal(signal.SIGALRM, before)
    eventually(lambda: not client._backend._service.parked)
    queue.put("precious")
    assert len(queue.messages()) == 1


def test_pop_takes_the_first_and_deletes_it(queue):
    queue.put("1")
    queue.put("2")
    assert [queue.pop().body, queue.pop().body, queue.pop()] == [b"1", b"2", None]


def test_delete_says_whether_it_was_there(queue):
    queue.put("", id="1")
    assert queue.delete("1")
    assert not queue.delete("1")


def test_accounts_and_queues_are_those_with_messages(client):
    client.queue("b", "2").put("")
    client.queue("b", "1").put("")
    client.queue("a", "1").put("")
    assert client.accounts() == ["b", "a"]
    assert client.queues("b") == ["2", "1"]
    client.queue("a", "1").pop()
    assert client.accounts() == ["b"]


@pytest.mark.parametrize("take", ["claim", "pop"])
def test_waiting_ends_with_a_message(queue, take):
    timer = threading.Timer(0.05, queue.put, ["late"])
    timer.start()
    assert getattr(queue, take)(wait=60).body == b"late"
    timer.join()


def test_closing_answers_who_waits(client, queue):
    found = []
    waiting = threading.Thread(target=lambda: found.append(queue.claim(wait=60)))
    waiting.start()
    while not client._backend._service.parked:
        pass
    client.close()
    waiting.join(PATIENCE)
    assert found == [None]


def test_a_closed_client_says_so(client, queue):
    client.close()
    client.close()
    with pytest.raises(StoreFailed, match="closed"):
        queue.put("")


def test_names_are_checked(client, queue):
    with pytest.raises(InvalidName, match="account name"):
        client.queue("", "q")
    with pytest.raises(InvalidName, match="message name"):
        queue.put("", id="a/b")


@pytest.mark.parametrize("url", ["sqlite:///~/q.db", "sqlite:///q.db?mode=ro", "sqlite:///my%20q.db"])
def test_a_path_that_may_be_meant_otherwise_is_refused(url):
    with pytest.raises(InvalidUrl, match="is taken as it is"):
        connect(url)


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "redis://x", "memory://x", "jobs.db"])
def test_another_url_is_refused_with_those_that_are_known(url):
    with pytest.raises(InvalidUrl, match=r"sqlite:///relative\.db.+sqlite:////absolute\.db"):
        connect(url)


def test_a_file_keeps_what_is_in_it_and_a_server_serves_it(tmp_path):
    url = f"sqlite:///{tmp_path}/jobs.db"
    with connect(url) as client:
        client.queue("acme", "jobs").put("hello", id="1")
        with pytest.raises(Unusable, match="is in use by process"):
            connect(url)
    with leveret("--store", url) as server, closing(Client(server.port)) as ask:
        assert ask("GET", "/v1.0/acme/jobs/1?detail=body").body == b"hello"
