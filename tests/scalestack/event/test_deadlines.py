"""Many deadlines on one timer: when each is told, and what is kept."""

import pytest

from scalestack.event.deadlines import Deadlines

FINE = 1 / 64  # seconds
COARSE = 1 / 4


class Timer:
    def __init__(self, at, call):
        self.at = at
        self.call = call
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class Loop:
    """A loop whose time passes when it is told to."""

    def __init__(self):
        self.now = 1000.0
        self.timers = []
        self.failed = []
        self.deadlines = Deadlines(lambda: self.now, self.later, self.failed.append)

    def later(self, seconds, call):
        assert seconds >= 0
        self.timers.append(Timer(self.now + seconds, call))
        return self.timers[-1]

    @property
    def armed(self):
        return [timer for timer in self.timers if not timer.cancelled]

    def run(self, seconds):
        until = self.now + seconds
        while True:
            due = [timer for timer in self.armed if timer.at <= until]
            if not due:
                break
            timer = min(due, key=lambda each: each.at)
            self.timers.remove(timer)
            self.now = timer.at
            timer.call()
        self.now = until


class Member:
    def __init__(self, loop, act=lambda: None):
        self.loop = loop
        self.act = act
        self.told = []

    def due(self):
        self.told.append(self.loop.now)
        self.act()


@pytest.fixture
def loop():
    return Loop()


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.5, 1.0, 15.9, 16.0, 20.01, 600.0])
def test_it_is_told_once_and_never_early_and_little_late(loop, seconds):
    member = Member(loop)
    loop.deadlines.add(seconds, member)
    loop.run(1000)
    (told,) = member.told
    late = told - 1000.0 - seconds
    assert 0 <= late <= (FINE if seconds < 16 else COARSE + FINE)


def test_what_is_discarded_is_not_told(loop):
    member = Member(loop)
    handle = loop.deadlines.add(1.0, member)
    loop.deadlines.discard(handle, member)
    loop.run(10)
    assert member.told == []


def test_to_discard_what_was_told_is_harmless(loop):
    member = Member(loop)
    handle = loop.deadlines.add(1.0, member)
    loop.run(10)
    loop.deadlines.discard(handle, member)
    assert len(member.told) == 1


def test_many_share_one_timer(loop):
    members = [Member(loop) for _ in range(1000)]
    for member in members:
        loop.deadlines.add(600.0, member)
    assert len(loop.armed) == 1
    loop.run(601)
    assert all(len(member.told) == 1 for member in members)
    assert loop.armed == []


def test_an_earlier_one_is_told_first(loop):
    late, early = Member(loop), Member(loop)
    loop.deadlines.add(600.0, late)
    loop.deadlines.add(1.0, early)
    loop.run(2)
    assert (len(early.told), late.told) == (1, [])
    loop.run(600)
    assert len(late.told) == 1


def test_who_is_told_may_add_itself_again(loop):
    member = Member(loop)
    member.act = lambda: len(member.told) < 3 and loop.deadlines.add(0.0, member)
    loop.deadlines.add(0.0, member)
    loop.run(1)
    assert len(member.told) == 3


def test_who_is_told_may_discard_another_that_is_due_as_well(loop):
    members = [Member(loop), Member(loop)]
    handles = [loop.deadlines.add(1.0, member) for member in members]

    def discard_the_other(own):
        other = 1 - own
        loop.deadlines.discard(handles[other], members[other])

    for own, member in enumerate(members):
        member.act = lambda own=own: discard_the_other(own)
    loop.run(2)
    assert sum(len(member.told) for member in members) == 1


def test_one_that_fails_keeps_no_other_from_being_told(loop):
    problem = RuntimeError("it fails")

    def fail():
        raise problem

    broken, whole = Member(loop, fail), Member(loop)
    loop.deadlines.add(1.0, broken)
    loop.deadlines.add(1.0, whole)
    loop.run(2)
    assert len(whole.told) == 1
    assert loop.failed == [problem]


def test_what_comes_and_goes_leaves_nothing_that_grows(loop):
    for _ in range(10_000):
        member = Member(loop)
        loop.deadlines.discard(loop.deadlines.add(600.0, member), member)
    assert len(loop.deadlines._due) == len(loop.deadlines._order) == 1


def test_after_all_are_over_nothing_is_kept(loop):
    for number in range(100):
        loop.deadlines.add(number / 10, Member(loop))
    loop.run(11)
    assert loop.deadlines._due == {}
    assert loop.deadlines._order == []
    assert loop.armed == []
