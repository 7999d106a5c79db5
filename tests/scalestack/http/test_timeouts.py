"""How long a client may take for a body."""

from scalestack.http.timeouts import Timeouts

TIMEOUTS = Timeouts(head=10, body=30, body_rate=500, idle=75, write=60)


def test_the_next_piece_has_the_whole_time_as_long_as_the_body_is_young():
    assert TIMEOUTS.for_body(began=100, size=0, now=100) == 30


def test_what_came_gives_more_time():
    assert TIMEOUTS.for_body(began=100, size=0, now=120) == 10
    assert TIMEOUTS.for_body(began=100, size=5_000, now=120) == 20


def test_between_two_pieces_it_is_never_more_than_the_time_for_one():
    assert TIMEOUTS.for_body(began=100, size=8_000_000, now=120) == 30


def test_a_body_that_comes_too_slowly_has_no_time_left():
    assert TIMEOUTS.for_body(began=100, size=100, now=131) == 0
