"""The budgets of all accounts that use something now. Those that are as new are forgotten: memory is bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from scalestack.limits.budget import Budget, Limits

_FIRST_SWEEP: Final = 1024  # accounts from which on it is looked for idle ones, when a new one comes
_SWEEP_PAUSE: Final = 1.0  # seconds between looks while the table is as full as it may be


class Budgets:
    """Finds an account's budget. Any thread may ask."""

    def __init__(self, limits_of: Callable[[str], Limits | None], most: int = 100_000) -> None:
        """`limits_of` answers the limits of an account, the same object for the same limits; None for one without any,
        and for a name that is none. Accounts beyond `most` that are in use at once share a budget."""
        self._limits_of = limits_of
        self._most = most
        self._budgets: dict[str, Budget] = {}
        self._shared: dict[int, Budget] = {}  # by the identity of limits; there are as many as were configured
        self._sweep_at = min(_FIRST_SWEEP, most)  # accounts
        self._not_before = 0.0  # when it may be looked for idle ones again
        self._table_lock = threading.Lock()  # guards adding and forgetting; readers take what is there

    def __len__(self) -> int:
        return len(self._budgets)

    def of(self, name: str, now: float) -> Budget | None:
        """The budget of an account, made when needed; None for one without limits."""
        budget = self._budgets.get(name)
        if budget is None:
            limits = self._limits_of(name)
            if limits is None:
                return None
            with self._table_lock:
                budget = self._add_locked(name, limits, now)
        # One that is forgotten between these lines loses what is charged to it now: one request, not a count.
        budget.touched = now
        return budget

    def _add_locked(self, name: str, limits: Limits, now: float) -> Budget:
        there = self._budgets.get(name)
        if there is not None:
            return there
        if len(self._budgets) >= self._sweep_at:
            self._sweep_locked(now)
            if len(self._budgets) >= self._most:
                return self._shared.setdefault(id(limits), Budget(limits))
        budget = self._budgets[name] = Budget(limits)
        return budget

    def _sweep_locked(self, now: float) -> None:
        if now < self._not_before:
            return
        for name, budget in list(self._budgets.items()):
            if budget.is_idle(now):
                del self._budgets[name]
        # Twice as many as are left, so that a look costs each new account the same, however many there are.
        self._sweep_at = min(self._most, max(_FIRST_SWEEP, 2 * len(self._budgets)))
        self._not_before = now + _SWEEP_PAUSE if len(self._budgets) >= self._most else now
