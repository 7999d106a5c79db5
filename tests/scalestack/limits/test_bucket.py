"""A rate and its burst: what passes, what waits how long, and what is owed."""

import pytest

from scalestack.limits.bucket import Bucket


def pass_all(bucket, now, amount=1, most=1_000_000):
    """How many pass at once."""
    passed = 0
    while passed < most and not bucket.wait(amount, now):
        bucket.charge(amount, now)
        passed += 1
    return passed


@pytest.mark.parametrize(("rate", "burst", "passed"), [(10, 2.0, 20), (500, 2.0, 1000), (7, 1.0, 7), (0.1, 2.0, 1)])
def test_a_full_bucket_lets_a_burst_pass_and_at_least_one(rate, burst, passed):
    assert pass_all(Bucket(rate, burst), 1000.0) == passed


def test_after_a_burst_as_much_passes_as_the_rate_says():
    bucket = Bucket(100, 1.0)
    pass_all(bucket, 0.0)
    assert sum(pass_all(bucket, second / 10) for second in range(1, 101)) == 1000


def test_the_wait_is_until_there_is_room_and_then_it_passes():
    bucket = Bucket(4, 1.0)
    pass_all(bucket, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(0.25)
    assert bucket.wait(2, 0.0) == pytest.approx(0.5)
    assert bucket.wait(1, 0.25) == 0.0


def test_to_ask_costs_nothing():
    bucket = Bucket(1, 1.0)
    bucket.charge(1, 0.0)
    for _ in range(1000):
        assert bucket.wait(1, 0.0)
    assert bucket.wait(1, 1.0) == 0.0


def test_idleness_saves_up_no_more_than_a_burst():
    bucket = Bucket(10, 1.0)
    pass_all(bucket, 0.0)
    assert pass_all(bucket, 1_000_000.0) == 10


def test_more_than_a_burst_passes_when_the_bucket_is_full_and_leaves_a_debt():
    bucket = Bucket(100, 2.0)
    bucket.charge(1, 0.0)
    assert bucket.wait(1000, 0.0) == pytest.approx(0.01)
    assert bucket.wait(1000, 0.01) == 0.0
    bucket.charge(1000, 0.01)
    assert bucket.wait(1, 0.01) == pytest.approx(8.01)


def test_what_passed_already_is_charged_into_debt():
    bucket = Bucket(100, 1.0)
    bucket.charge(500, 0.0)
    assert bucket.wait(0, 0.0) == pytest.approx(4.0)
