"""What one account may use: all limits at once, and nothing charged for what is refused."""

import threading

import pytest

from scalestack.limits.budget import BYTES, CONNECTIONS, REQUESTS, STREAMS, Budget, Limit, Limits


def budget(burst=1.0, **most):
    limits = {kind: Limit(value, f"limits.{kind}") for kind, value in most.items()}
    return Budget(
        Limits(
            {kind: limits[kind] for kind in (REQUESTS, BYTES) if kind in limits},
            {kind: limits[kind] for kind in limits if kind not in (REQUESTS, BYTES)},
            burst,
        )
    )


def admitted(budget, size=0, now=0.0, new_connection=False, most=100):
    """How many requests pass, and why the next one does not."""
    for count in range(most):
        excess = budget.admit(size, now, new_connection)
        if excess is not None:
            return count, excess
    return most, None


def test_requests_up_to_the_limit_which_is_named():
    count, excess = admitted(budget(requests=5))
    assert (count, excess.kind, excess.limit) == (5, REQUESTS, Limit(5, "limits.requests"))
    assert excess.wait == pytest.approx(0.2)


def test_bytes_up_to_the_limit():
    count, excess = admitted(budget(bytes=1000), size=300)
    assert (count, excess.kind) == (3, BYTES)


def test_what_one_limit_refuses_the_other_does_not_charge():
    both = budget(requests=2, bytes=1000)
    assert both.admit(1000, 0.0, False) is None
    assert admitted(both, size=10)[1].kind == BYTES
    both.admit(10, 0.0, False)
    assert both.admit(0, 0.0, False) is None, "a request is left, since the refused ones took none"


def test_connections_up_to_the_limit_and_again_when_one_has_left():
    limited = budget(connections=2)
    count, excess = admitted(limited, new_connection=True)
    assert (count, excess.kind) == (2, CONNECTIONS)
    assert limited.admit(0, 0.0, False) is None, "those that are there go on"
    limited.leave(CONNECTIONS)
    assert limited.admit(0, 0.0, True) is None


def test_a_connection_whose_request_is_refused_is_not_counted():
    limited = budget(connections=1, requests=1)
    limited.admit(0, 0.0, False)
    assert limited.admit(0, 0.0, True).kind == REQUESTS
    assert limited.admit(0, 1.0, True) is None


def test_what_is_sent_is_owed():
    limited = budget(bytes=100)
    limited.owe(300, 0.0)
    assert limited.debt(0.0) == pytest.approx(2.0)
    assert limited.admit(1, 0.0, False).wait == pytest.approx(2.01)
    assert budget(requests=1).debt(0.0) == 0.0


def test_a_kind_at_once_up_to_its_limit():
    limited = budget(streams=1)
    assert limited.enter(STREAMS) is None
    assert limited.enter(STREAMS).limit == Limit(1, "limits.streams")
    limited.leave(STREAMS)
    assert limited.enter(STREAMS) is None
    assert budget().enter(STREAMS) is None, "without a limit"


def test_only_so_many_refusals_are_held():
    limited = budget()
    assert sum(limited.hold() for _ in range(1500)) == 1000
    limited.let_go()
    assert limited.hold()


def test_it_is_idle_when_nothing_is_in_use_and_nothing_owed():
    limited = budget(requests=1, bytes=10)
    assert limited.is_idle(100.0)
    for enter, leave in (
        (lambda: limited.enter(STREAMS), lambda: limited.leave(STREAMS)),
        (limited.hold, limited.let_go),
    ):
        enter()
        assert not limited.is_idle(100.0)
        leave()
        assert limited.is_idle(100.0)
    limited.owe(20, 100.0)
    assert not limited.is_idle(101.9)
    assert limited.is_idle(102.1)
    limited.touched = 102.0
    assert not limited.is_idle(106.9), "whoever was given it may be about to charge it"
    assert limited.is_idle(107.1)


def test_threads_together_get_no_more_than_the_limit():
    limited = budget(requests=1000, connections=500)
    passed = []

    def ask():
        passed.append(sum(limited.admit(0, 0.0, True) is None for _ in range(300)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 500
