"""The queue service: defaults, what accounts are allowed, and the space that expired messages give back.

Polls: test_waiters, test_long_polls.
"""

import pytest

from leveret.model import Change, Filters, Page, Put, Quota
from leveret.service import QueueConfig, QueueService, TooManyPolls
from leveret.store.base import AccountFull
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


class Allowed:
    """Allowances of one message and one poll for each account, which refuse at once."""

    def __init__(self):
        self.polls = 0
        self.refused = []

    def quota(self, account):
        return None if account == "free" else Quota(messages=1)

    def enter_poll(self, account):
        if self.polls:
            raise TooManyPolls("one is enough")
        self.polls += 1
        return self.leave_poll

    def leave_poll(self):
        self.polls -= 1

    def refuse(self, account, error):
        self.refused.append(account)
        raise error


class Late(MemoryStore):
    """Answers a put when it is told to."""

    def put(self, account, queue, drafts, now, quota=None):
        self.waiting = Pending()
        return self.waiting


@pytest.fixture
def allowed():
    return Allowed()


@pytest.fixture
def limited(make_service, allowed):
    service = make_service()
    service.allow(allowed)
    return service


def test_an_account_holds_what_its_quota_allows(limited, allowed):
    put(limited, "one", b"")
    with pytest.raises(AccountFull):
        put(limited, "two", b"")
    assert limited.put("free", "q", limited.draft("x", b"")) is Put.CREATED
    assert allowed.refused == ["a"]


def test_without_allowances_it_holds_everything(limited):
    limited.allow(None)
    assert [put(limited, name, b"") for name in "xyz"] == [Put.CREATED] * 3


@pytest.mark.parametrize("error", [AccountFull("full"), RuntimeError("broken")])
def test_a_store_that_answers_later_is_refused_later(make_service, allowed, error):
    store = Late()
    service = make_service(store)
    service.allow(allowed)
    answers = []
    put(service, "one", b"").listen(lambda value, error: answers.append(error or value))
    store.waiting.fail(error)
    put(service, "two", b"").listen(lambda value, error: answers.append(error or value))
    store.waiting.resolve([Put.CREATED])
    assert answers == [error, Put.CREATED]
    assert allowed.refused == (["a"] if isinstance(error, AccountFull) else [])


def poll(service, loops, **more):
    """A parked poll, and where its answer comes to be."""
    answers = []

    def park():
        try:
            pending = service.select("a", "q", Filters(), wait=3600, **more)
        except TooManyPolls as error:
            answers.append(error)
            return None
        pending.listen(lambda value, error: answers.append(value if error is None else error))
        return pending

    return loops.threads[0].call(park).result(), answers


def test_a_poll_too_many_is_refused(limited, loops):
    poll(limited, loops)
    _, (refused,) = poll(limited, loops)
    assert isinstance(refused, TooManyPolls)
    limited.drain()


def test_a_poll_too_many_still_has_what_is_there(limited, loops, allowed):
    allowed.polls = 1
    put(limited, "one", b"")
    (message,) = loops.threads[0].call(limited.select, "a", "q", Filters(), 3600).result()
    assert message.id == "one"


def test_what_waits_for_a_stream_is_no_poll(limited, loops, allowed):
    poll(limited, loops, of_stream=True)
    assert (limited.parked, allowed.polls) == (1, 0)
    limited.drain()


@pytest.mark.parametrize("end", ["answered", "cancelled", "drained"])
def test_a_poll_that_ends_is_counted_no_more(limited, loops, allowed, end):
    pending, answers = poll(limited, loops)
    assert allowed.polls == 1
    if end == "answered":
        put(limited, "one", b"")
    elif end == "cancelled":
        assert loops.threads[0].call(pending.cancel).result()
    else:
        limited.drain()
    eventually(lambda: not allowed.polls)
    assert len(answers) == (end != "cancelled")
