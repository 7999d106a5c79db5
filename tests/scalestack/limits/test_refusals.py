"""Refusals: what they say, how they are counted, and how long they are held back."""

import pytest

from scalestack.event.loops import Loops
from scalestack.event.makers import loop_maker
from scalestack.limits import refusals as module
from scalestack.limits.budget import BYTES, REQUESTS, STREAMS, Budget, Excess, Limit, Limits
from scalestack.limits.refusals import Refusals, refusal
from support.web import eventually


class Transport:
    def __init__(self):
        self.closing = False

    def is_closing(self):
        return self.closing


class Connection:
    def __init__(self):
        self.transport = Transport()


@pytest.fixture
def thread():
    loops = Loops(1, loop_maker("auto"))
    loops.start()
    yield loops.threads[0]
    loops.stop()


@pytest.fixture
def budget():
    return Budget(Limits())


def test_a_refusal_says_which_limit_it_was_and_when_to_try_again():
    response = refusal(Excess(REQUESTS, Limit(500, "limits.requests"), 0.002))
    assert (response.status, response.headers) == (429, ((b"Retry-After", b"1"),))
    assert b'"code":"too-many-requests"' in response.body
    assert b"500 requests a second (limits.requests); try again in 1 s" in response.body


def test_it_waits_whole_seconds_rounded_up():
    response = refusal(Excess(BYTES, Limit(1_000_000, "limits.bytes"), 2.1))
    assert response.headers == ((b"Retry-After", b"3"),)
    assert b"1,000,000 bytes a second" in response.body
    assert b"at once" in refusal(Excess(STREAMS, Limit(1, "limits.streams"), 0.0)).body


def test_they_are_counted_by_account_and_kind(budget):
    refusals = Refusals()
    for kind in (REQUESTS, REQUESTS, BYTES):
        refusals.hold("a", kind, budget)
    assert refusals.counted() == {("a", REQUESTS): 2, ("a", BYTES): 1}


def test_counts_are_bounded_and_the_rest_is_counted_together(budget, monkeypatch):
    monkeypatch.setattr(module, "_MOST_KEYS", 2)
    refusals = Refusals()
    for account in "abcda":
        refusals.hold(account, REQUESTS, budget)
    assert refusals.counted() == {("a", REQUESTS): 2, ("b", REQUESTS): 1, ("", REQUESTS): 2}


def test_outside_of_loops_nothing_is_held(budget):
    assert Refusals().hold("a", REQUESTS, budget) is None


def test_on_a_loop_it_is_held_for_a_moment(thread, budget, monkeypatch):
    monkeypatch.setattr(module, "_HOLD", 0.001)
    sent = []

    def ask():
        held = Refusals().hold("a", REQUESTS, budget)
        assert not budget.is_idle(100.0)
        held.listen(lambda value, error: sent.append(error))

    thread.call(ask).result()
    eventually(lambda: sent)
    assert sent == [None]
    assert budget.is_idle(100.0)


def test_where_too_many_are_held_it_is_sent_at_once(thread, budget):
    while budget.hold():
        pass
    assert thread.call(Refusals().hold, "a", REQUESTS, budget).result() is None


def test_a_connection_that_ends_is_held_no_more_and_one_that_sends_on_is(thread, budget):
    connection = Connection()

    def ask():
        held = Refusals().hold("a", REQUESTS, budget, connection)
        sends_on = held.cancel()
        connection.transport.closing = True
        return sends_on, held.cancel()

    assert thread.call(ask).result() == (False, True)
    assert budget.is_idle(100.0)
