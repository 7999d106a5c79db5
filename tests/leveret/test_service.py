"""The queue service: defaults, and the space that expired messages give back. Polls: test_waiters, test_long_polls."""

import pytest

from leveret.model import Change, Filters, Page, Put
from leveret.service import QueueConfig, QueueService
from leveret.store.memory import MemoryStore
from scalestack.event.loops import Loops
from scalestack.event.makers import loop_maker
from scalestack.event.pending import Pending
from support.web import eventually

ALL = Filters(match_hidden=True)


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def loops():
    loops = Loops(1, loop_maker("auto"))
    loops.start()
    yield loops
    loops.stop()


@pytest.fixture
def make_service(loops, now):
    def make(store=None, **config):
        service = QueueService(store or MemoryStore(), lambda: now[0], QueueConfig(**config), loops.threads[0])
        service.start()
        return service

    return make


def put(service, id, body, **attributes):
    return service.put("a", "q", service.draft(id, body, **attributes))


def test_a_message_has_the_configured_attributes_where_it_names_none(make_service, now):
    service = make_service(default_ttl=30, default_hide=5)
    put(service, "plain", b"")
    put(service, "own", b"", ttl=0, hide=0)
    plain, own = service.select("a", "q", ALL)
    assert (plain.ttl(now[0]), plain.hide(now[0])) == (30, 5)
    assert (own.ttl(now[0]), own.hide(now[0])) == (0, 0)


def test_one_message_by_its_id(make_service):
    service = make_service()
    assert put(service, "m", b"1") is Put.CREATED
    assert put(service, "m", b"2") is Put.REPLACED
    assert service.get("a", "q", "m").body == b"2"
    assert service.update("a", "q", "m", Change(hide=9)).visible_at == 1009
    assert service.delete("a", "q", "m").body == b"2"
    assert service.get("a", "q", "m") is None


def test_what_matches_without_waiting(make_service):
    service = make_service()
    for name in "xyz":
        put(service, name, b"")
    assert [message.id for message in service.update_matching("a", "q", Filters(limit=1), Change(hide=9))] == ["x"]
    assert [message.id for message in service.delete_matching("a", "q", Filters(limit=1))] == ["y"]
    assert [message.id for message in service.select("a", "q", Filters())] == ["z"]
    assert service.list_queues("a", Page()) == ["q"]
    assert service.delete_queues("a", Page()) == ["q"]
    assert service.list_accounts(Page()) == []


def test_a_poll_outside_of_a_loop_is_an_error(make_service):
    with pytest.raises(RuntimeError, match="only be parked on a loop thread"):
        make_service().select("a", "q", Filters(), wait=1)


class Swept(MemoryStore):
    """Says when it was swept, and sometimes later."""

    def __init__(self, later=False):
        super().__init__()
        self.sweeps = []
        self.later = later
        self.asked = []

    def sweep(self, now):
        self.sweeps.append(now)
        if not self.later:
            return super().sweep(now)
        self.asked.append(Pending())
        return self.asked[-1]


@pytest.fixture(autouse=True)
def sweep_at_once(monkeypatch):
    monkeypatch.setattr("leveret.service._SWEEP_PAUSE", 0.001)


def test_what_expired_is_freed_without_being_asked_for(make_service, now):
    store = Swept()
    service = make_service(store)
    for number in range(5000):
        put(service, str(number), b"", ttl=1)
    now[0] += 1
    put(service, "later", b"", ttl=1000)
    eventually(lambda: store._accounts["a"].queues["q"].records.by_id.keys() == {"later"})
    assert len(store.sweeps) >= 4, "a sweep is bounded, and followed by the next"


def test_nothing_is_swept_where_nothing_expires(make_service, loops):
    store = Swept()
    put(make_service(store), "m", b"", ttl=0)
    loops.threads[0].call(lambda: None).result()
    assert store.sweeps == []


def test_a_sweep_that_fails_is_tried_again(make_service, loops, now):
    store = Swept(later=True)
    put(make_service(store), "m", b"", ttl=1)
    now[0] += 1
    eventually(lambda: len(store.asked) == 1)
    loops.threads[0].call(store.asked[0].fail, OSError("the disk is on fire")).result()
    eventually(lambda: len(store.asked) == 2)
    loops.threads[0].call(store.asked[1].resolve, None).result()
