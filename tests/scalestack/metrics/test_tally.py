"""Histograms: every value is in one bucket, and a bound belongs to the bucket below it."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalestack.metrics.tally import Histogram


def test_one_that_has_seen_nothing_has_empty_buckets() -> None:
    assert Histogram((1.0, 2.0)).snapshot() == ((0, 0, 0), 0.0)


@pytest.mark.parametrize(
    ("value", "counts"),
    [(0.5, (1, 0, 0)), (1.0, (1, 0, 0)), (1.5, (0, 1, 0)), (2.0, (0, 1, 0)), (2.5, (0, 0, 1)), (inf, (0, 0, 1))],
)
def test_a_value_is_in_the_first_bucket_whose_bound_is_not_below_it(value: float, counts: tuple[int, ...]) -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(value)
    assert histogram.snapshot() == (counts, value)


def test_without_bounds_everything_is_in_one_bucket() -> None:
    histogram = Histogram(())
    histogram.observe(3.0)
    assert histogram.snapshot() == ((1,), 3.0)


def test_a_snapshot_stays_as_it_was() -> None:
    histogram = Histogram((1.0,))
    before = histogram.snapshot()
    histogram.observe(1.0)
    assert before == ((0, 0), 0.0)


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (1.0, 1.0)])
def test_bounds_that_do_not_rise_are_refused(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rise"):
        Histogram(bounds)


@given(st.lists(st.floats(-10, 10), max_size=50), st.lists(st.floats(-10, 10), unique=True, max_size=8).map(sorted))
def test_no_value_is_lost(values: list[float], bounds: list[float]) -> None:
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    counts, total = histogram.snapshot()
    assert sum(counts) == len(values)
    assert total == pytest.approx(sum(values))
    for number, bound in enumerate(bounds):
        assert sum(counts[: number + 1]) == sum(value <= bound for value in values)
