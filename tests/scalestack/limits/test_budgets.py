"""The budgets of accounts: each has its own as long as it matters, and there are never too many."""

import pytest

from scalestack.limits.budget import REQUESTS, Limit, Limits
from scalestack.limits.budgets import Budgets

LIMITS = Limits({REQUESTS: Limit(1, "limits.requests")}, burst=1.0)


@pytest.fixture
def budgets():
    return Budgets(lambda name: None if name == "free" else LIMITS, most=2000)


def use(budgets, names, now):
    for name in names:
        assert budgets.of(name, now).admit(0, now, False) is None


def test_an_account_has_one_and_the_next_has_another(budgets):
    assert budgets.of("a", 0.0) is budgets.of("a", 1.0)
    assert budgets.of("a", 0.0) is not budgets.of("b", 0.0)


def test_an_account_without_limits_has_none(budgets):
    assert budgets.of("free", 0.0) is None
    assert len(budgets) == 0


def test_idle_ones_are_forgotten_when_others_come(budgets):
    use(budgets, map(str, range(1024)), 0.0)
    use(budgets, ["a"], 10.0)
    assert len(budgets) == 1


def test_those_in_use_are_kept(budgets):
    use(budgets, map(str, range(1024)), 0.0)
    budgets.of("7", 0.0).enter("streams")
    used = budgets.of("7", 0.0)
    use(budgets, ["a"], 10.0)
    assert budgets.of("7", 10.0) is used


def test_beyond_the_most_that_are_in_use_all_share_one(budgets):
    use(budgets, map(str, range(2000)), 0.0)
    shared = budgets.of("a", 0.0)
    assert budgets.of("b", 0.0) is shared
    assert len(budgets) == 2000
    use(budgets, ["c"], 10.0)
    assert budgets.of("c", 10.0) is not shared, "there is room again"
