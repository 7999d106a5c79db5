"""How late a loop is, by a clock that only the test moves."""

import pytest

from scalestack.event.lag import BOUNDS, LagProbe
from scalestack.event.loops import Loops
from scalestack.event.makers import loop_maker
from support.web import eventually


class Thread:
    """A loop whose only timer rings when the test says so."""

    name = "loop-0"

    def __init__(self):
        self.timer = None

    def call(self, function):
        function()
        return self

    def result(self):
        return None

    def later(self, seconds, function):
        self.timer = (seconds, function)
        return self

    def cancel(self):
        self.timer = None

    def ring(self):
        self.timer[1]()


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def thread():
    return Thread()


@pytest.fixture
def probe(thread, now):
    probe = LagProbe(thread, lambda: now[0])
    probe.start()
    return probe


def test_a_timer_that_rings_in_time_is_not_late(probe, thread, now):
    for _ in range(3):
        now[0] += 1.0
        thread.ring()
    counts, total = probe.seconds.snapshot()
    assert (counts[0], sum(counts), total) == (3, 3, 0.0)


def test_what_kept_the_loop_from_it_shows(probe, thread, now):
    now[0] += 1.3
    thread.ring()
    counts, total = probe.seconds.snapshot()
    assert counts[BOUNDS.index(0.5)] == 1
    assert total == pytest.approx(0.3)


def test_a_lateness_is_not_counted_against_the_next(probe, thread, now):
    for seconds in (5.0, 1.0):
        now[0] += seconds
        thread.ring()
    assert probe.seconds.snapshot()[1] == pytest.approx(4.0)


def test_a_timer_that_rings_early_is_in_time(probe, thread, now):
    now[0] += 0.999
    thread.ring()
    assert probe.seconds.snapshot()[1] == 0.0


def test_it_measures_no_more_when_it_is_stopped(probe, thread):
    probe.stop()
    assert thread.timer is None
    probe.stop()


def test_on_a_real_loop(monkeypatch):
    monkeypatch.setattr("scalestack.event.lag.INTERVAL", 0.001)
    loops = Loops(1, loop_maker("auto"))
    loops.start()
    probe = LagProbe(loops.threads[0])
    probe.start()
    eventually(lambda: sum(probe.seconds.snapshot()[0]) > 2)
    loops.stop()
    probe.stop()
