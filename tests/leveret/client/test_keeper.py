"""Leases are extended when a third is over, each when it is due; none after it was let go."""

import threading

import pytest

from leveret.client.keeper import LeaseKeeper
from support.web import PATIENCE


class Lease:
    def __init__(self, seconds, *answers):
        self.seconds = seconds
        self.answers = list(answers)
        self.extended = 0

    def prolong(self):
        self.extended += 1
        return self.answers.pop(0) if self.answers else True


class Keeper(LeaseKeeper):
    """One whose time is set, and whose thread is the test's."""

    def __init__(self):
        super().__init__(lambda: self.now)
        self.now = 0.0
        self._thread = threading.current_thread()


@pytest.fixture
def keeper():
    return Keeper()


def test_nothing_is_due_where_there_is_nothing(keeper):
    assert keeper.extend_due() is None


def test_a_lease_is_extended_each_time_that_a_third_is_over(keeper):
    lease = Lease(30)
    keeper.keep(lease)
    assert (keeper.extend_due(), lease.extended) == (10, 0)
    keeper.now = 10.5
    assert (keeper.extend_due(), lease.extended) == (10, 1)
    keeper.now = 20.5
    assert (keeper.extend_due(), lease.extended) == (10, 2)


def test_each_lease_has_its_own_time(keeper):
    long, short = Lease(300), Lease(30)
    keeper.keep(long)
    keeper.keep(short)
    assert keeper.extend_due() == 10
    keeper.now = 99
    assert keeper.extend_due() == pytest.approx(1)
    assert (long.extended, short.extended) == (0, 1)


def test_what_could_not_be_extended_is_tried_again_at_a_sixth(keeper):
    lease = Lease(60, None, True)
    keeper.keep(lease)
    keeper.now = 20
    assert keeper.extend_due() == pytest.approx(10)
    keeper.now = 30
    assert keeper.extend_due() == pytest.approx(20)


@pytest.mark.parametrize("end", ["let go", "over", "closed"])
def test_what_is_at_its_end_is_extended_no_more(keeper, end):
    lease = Lease(30, False)
    number = keeper.keep(lease)
    if end == "let go":
        keeper.let_go(number)
    elif end == "closed":
        keeper.close()
    keeper.now = 10
    assert keeper.extend_due() is None
    keeper.now = 99
    assert keeper.extend_due() is None
    assert lease.extended == (end == "over")


def test_a_lease_that_is_let_go_while_it_is_extended_is_not_kept(keeper):
    lease = Lease(30)
    number = keeper.keep(lease)
    lease.prolong = lambda: keeper.let_go(number) or True
    keeper.now = 10
    assert keeper.extend_due() is None


def test_those_that_were_let_go_take_no_room(keeper):
    keeper.keep(Lease(1))
    for _ in range(1000):
        keeper.let_go(keeper.keep(Lease(1000)))
    assert len(keeper._heap) < 100


def test_its_thread_extends_and_ends_with_it():
    extended = threading.Event()

    class Soon(Lease):
        def prolong(self):
            extended.set()
            return True

    keeper = LeaseKeeper()
    keeper.keep(Lease(600))
    thread = keeper._thread
    keeper.keep(Soon(0.03))
    assert extended.wait(PATIENCE)
    keeper.close()
    keeper.close()
    assert not thread.is_alive()
    keeper.keep(Lease(1))
    assert keeper.extend_due() is None
