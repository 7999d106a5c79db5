"""The count of hidden messages: at any instant that of a plain list, whatever order ends are added and removed in."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leveret.store.hidden import Hidden

NOW = 1000.0


def test_nothing_is_hidden_at_first() -> None:
    assert Hidden().count(NOW) == 0


def test_one_counts_until_the_instant_of_its_end() -> None:
    hidden = Hidden()
    hidden.add(NOW + 5, NOW)
    assert [hidden.count(NOW), hidden.count(NOW + 4.75), hidden.count(NOW + 5)] == [1, 1, 0]


def test_one_that_is_taken_back_does_not_count() -> None:
    hidden = Hidden()
    hidden.add(NOW + 5, NOW)
    hidden.add(NOW + 9, NOW)
    hidden.remove(NOW + 5, NOW + 1)
    assert [hidden.count(NOW + 1), hidden.count(NOW + 5), hidden.count(NOW + 9)] == [1, 1, 0]


def test_one_whose_end_is_past_needs_no_taking_back() -> None:
    hidden = Hidden()
    hidden.add(NOW + 5, NOW)
    hidden.add(NOW + 9, NOW)
    hidden.remove(NOW + 5, NOW + 5)
    assert hidden.count(NOW + 5) == 1


def test_equal_ends_are_counted_each() -> None:
    hidden = Hidden()
    for _ in range(3):
        hidden.add(NOW + 5, NOW)
    hidden.remove(NOW + 5, NOW)
    assert hidden.count(NOW) == 2


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 8)),
            st.tuples(st.just("remove"), st.integers(0, 30)),
            st.tuples(st.just("advance"), st.integers(0, 4)),
            st.tuples(st.just("count"), st.just(0)),
        ),
        max_size=60,
    )
)
@settings(deadline=None, max_examples=100)
def test_any_short_history(steps: list[tuple[str, int]]) -> None:
    check(steps)


@pytest.mark.parametrize("seed", range(6))
def test_a_long_history_with_few_counts(seed: int) -> None:
    chance = random.Random(seed)
    kinds = ["add", "add", "remove", "remove", "remove", "advance"]
    steps = [(chance.choice(kinds), chance.choice([0, 1, 1, 5, 50, 700])) for _ in range(6000)]
    check([*steps, ("count", 0)], ask=seed % 2 == 0)


def check(steps: list[tuple[str, int]], ask: bool = True) -> None:
    """Do the same to a list of the messages' ends; `ask` for the count at every step."""
    now, hidden = NOW, Hidden()
    ends: list[float] = []
    for kind, number in steps:
        if kind == "add":
            ends.append(now + number + 1)
            hidden.add(now + number + 1, now)
        elif kind == "remove" and ends:
            end = ends.pop(number % len(ends))
            hidden.remove(end, now)
        elif kind == "advance":
            now += number
        if ask or kind == "count":
            assert hidden.count(now) == sum(end > now for end in ends)


def test_claims_that_are_done_with_early_leave_nothing() -> None:
    hidden = Hidden()
    for number in range(20_000):
        hidden.add(NOW + 3600 + number, NOW)
        hidden.remove(NOW + 3600 + number, NOW)
    assert hidden.count(NOW) == 0
    assert len(hidden._ends) + len(hidden._undone) < 500


def test_leases_that_run_out_uncounted_leave_nothing() -> None:
    hidden = Hidden()
    for number in range(20_000):
        hidden.add(NOW + number + 10, NOW + number)
    assert len(hidden._ends) < 500


def test_extensions_leave_nothing() -> None:
    hidden = Hidden()
    now = NOW
    hidden.add(now + 30, now)
    for _ in range(20_000):
        hidden.remove(now + 30, now + 1)
        now += 1
        hidden.add(now + 30, now)
    assert hidden.count(now) == 1
    assert len(hidden._ends) + len(hidden._undone) < 500


def test_a_clock_that_differs_between_threads_never_counts_below_nothing() -> None:
    hidden = Hidden()
    hidden.add(NOW + 5, NOW)
    assert hidden.count(NOW + 6) == 0
    hidden.remove(NOW + 5, NOW + 4)
    assert hidden.count(NOW + 4) == 0
