"""How long refusals of bad credentials are held back."""

import pytest

from scalestack.auth.slow import Failures, network_of


def test_the_first_failures_are_refused_at_once():
    failures = Failures(3, 1.0, 5.0)
    assert [failures.delay("10.0.0.1", 0.0) for _ in range(3)] == [0, 0, 0]


def test_more_wait_for_their_turn():
    failures = Failures(3, 2.0, 5.0)
    delays = [failures.delay("10.0.0.1", 0.0) for _ in range(5)]
    assert delays[3:] == [0.5, 1.0]


def test_none_waits_longer_than_the_longest():
    failures = Failures(1, 1.0, 5.0)
    assert max(failures.delay("10.0.0.1", 0.0) for _ in range(1000)) == 5.0


def test_a_flood_is_not_held_against_an_address_for_longer_than_that():
    failures = Failures(1, 1.0, 5.0)
    for _ in range(1000):
        failures.delay("10.0.0.1", 0.0)
    assert failures.delay("10.0.0.1", 6.0) <= 1.0


def test_time_makes_up_for_failures():
    failures = Failures(2, 1.0, 5.0)
    for _ in range(2):
        failures.delay("10.0.0.1", 0.0)
    assert failures.delay("10.0.0.1", 10.0) == 0


def test_each_address_is_counted_by_itself():
    failures = Failures(1, 1.0, 5.0)
    failures.delay("10.0.0.1", 0.0)
    assert failures.delay("10.0.0.2", 0.0) == 0


def test_addresses_without_number_take_no_memory_without_bound():
    failures = Failures(1, 1.0, 5.0)
    for number in range(20_000):
        failures.delay(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(failures._paid) == 10_000


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix", "unix"),
    ],
)
def test_what_one_client_has_at_the_least_counts_as_one_address(address, network):
    assert network_of(address) == network
