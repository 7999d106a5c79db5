"""Large answers that clients have yet to read: who reads nothing is cut off where they become too much."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scalestack.http.unsent import Unsent

LONG = 5.0  # seconds in which a client has read nothing


class Cuts:
    """Whom it has cut off."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._calls: dict[str, Callable[[], None]] = {}

    def __getitem__(self, name: str) -> Callable[[], None]:
        return self._calls.setdefault(name, lambda: self.names.append(name))


@pytest.fixture
def cuts() -> Cuts:
    return Cuts()


@pytest.fixture
def unsent() -> Unsent:
    return Unsent(100)


def test_as_long_as_there_is_room_nobody_is_cut_off(unsent: Unsent, cuts: Cuts) -> None:
    unsent.begin(cuts["slow"], 50, now=0)
    unsent.begin(cuts["other"], 50, now=LONG)
    assert cuts.names == []


def test_where_they_are_too_much_who_has_read_nothing_for_longest_is_cut_off(unsent: Unsent, cuts: Cuts) -> None:
    unsent.begin(cuts["slowest"], 50, now=0)
    unsent.begin(cuts["slow"], 50, now=1)
    unsent.begin(cuts["new"], 50, now=LONG)
    assert cuts.names == ["slowest"]


def test_as_many_are_cut_off_as_it_takes(unsent: Unsent, cuts: Cuts) -> None:
    for name in ("first", "second", "third"):
        unsent.begin(cuts[name], 30, now=0)
    unsent.begin(cuts["new"], 70, now=LONG)
    assert cuts.names == ["first", "second"]


def test_who_reads_is_never_cut_off(unsent: Unsent, cuts: Cuts) -> None:
    unsent.begin(cuts["reads"], 90, now=0)
    unsent.goes_on(cuts["reads"], now=LONG)
    unsent.begin(cuts["new"], 90, now=LONG)
    assert cuts.names == []


def test_who_reads_comes_after_who_does_not(unsent: Unsent, cuts: Cuts) -> None:
    unsent.begin(cuts["reads"], 50, now=0)
    unsent.begin(cuts["still"], 50, now=0)
    unsent.goes_on(cuts["reads"], now=1)
    unsent.begin(cuts["new"], 50, now=LONG)
    assert cuts.names == ["still"]


def test_one_answer_alone_may_be_larger_than_the_limit(unsent: Unsent, cuts: Cuts) -> None:
    unsent.begin(cuts["large"], 1_000, now=0)
    assert cuts.names == []


def test_what_was_sent_counts_no_more(unsent: Unsent, cuts: Cuts) -> None:
    unsent.begin(cuts["done"], 90, now=0)
    unsent.end(cuts["done"])
    unsent.end(cuts["done"])
    unsent.begin(cuts["slow"], 90, now=0)
    unsent.begin(cuts["new"], 10, now=LONG)
    assert cuts.names == []
