"""Two sides, round by round, and what is said of them."""

import pytest

from bench import threads
from bench.threads import Comparison, Failed, Sample, Side, comparisons, run

ONE, TWO = Side("one", ("1",)), Side("two", ("2",))


def compared(*rates):
    each = Comparison("put", ONE, TWO, 1.5)
    each.samples = [(Sample(before, 1e-6), Sample(after, 2e-6)) for before, after in rates]
    return each


def test_ratios_are_those_of_each_round():
    assert compared((10.0, 15.0), (20.0, 40.0)).ratios == [1.5, 2.0]


def test_dearer_is_what_processor_time_grew_by():
    assert compared((10.0, 15.0)).dearer == 2


def test_the_record_has_every_round():
    figures = compared((10.0, 15.0), (20.0, 40.0)).figures()
    assert figures["ratios"] == [1.5, 2.0]
    assert figures["sides"]["two"]["requests_per_second"] == [15, 40]


def test_sides_alternate(monkeypatch):
    measured = []
    monkeypatch.setattr(threads, "measure", lambda side: measured.append(side.name) or Sample(1.0, 1.0))
    run([compared()], 2)
    assert measured == ["one", "two", "two", "one"]


def test_one_thread_and_two_and_one_shard_and_two_are_compared():
    assert [each.name for each in comparisons(100)] == [
        "put, own queues",
        "put, one queue",
        "mix, own queues",
        "mix, one queue",
        "SQLite put, durability off",
        "SQLite put, durability full",
    ]


def test_a_measurement_that_fails_says_why_in_a_line():
    with pytest.raises(Failed, match=r"--requests.*positive"):
        threads.measure(Side("none", ("put", "--requests", "0")))
