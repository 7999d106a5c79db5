"""What happened to messages, by queue. Keeps one rule: whoever reads it, from whatever thread, no total goes down.

A queue whose owner counts while it holds a lock of its own anyway is given an `Activity` for that, in which it alone
counts; what is new in it is entered when the ledger is read, and when the queue goes. Others `add` what they counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Final, TypeAlias

from leveret.model import Activity

Key: TypeAlias = tuple[str, str]  # account and queue

QUEUES: Final = 10_000  # that have totals of their own; the first that come
_PIECE: Final = 1_000  # queues that are entered in one go; between two such, others get the lock
_OTHERS: Final = ("", "")  # no queue has this name


class Ledger:
    """Totals by queue, for any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._totals: dict[Key, Activity] = {}
        self._others = Activity()  # of the queues without totals of their own
        self._open: dict[
            Key, tuple[Activity, Activity]
        ] = {}  # what is counted by each owner, and what is entered of it

    def open(self, key: Key) -> Activity:
        """What the queue's owner is to count in, one thread at a time, until it is closed."""
        counted = Activity()
        with self._lock:
            self._total_locked(key)
            self._open[key] = (counted, Activity())
        return counted

    def close(self, key: Key) -> None:
        """The queue's owner counts no more in what it was given."""
        with self._lock:
            self._enter_locked(key)
            del self._open[key]

    def add(self, counted: Iterable[tuple[Key, Activity]]) -> None:
        """Enter what was counted elsewhere."""
        with self._lock:
            for key, activity in counted:
                self._total_locked(key).add(activity)

    def read(self) -> list[tuple[str, str, Activity]]:
        """Account, queue and totals; with empty names, and last, those of the queues that have none of their own."""
        with self._lock:
            keys = list(self._open)
        for start in range(0, len(keys), _PIECE):
            with self._lock:
                for key in keys[start : start + _PIECE]:
                    if key in self._open:
                        self._enter_locked(key)
        nothing = Activity()
        with self._lock:
            totals = list(self._totals.items())
        others = self._others.since(nothing)
        found = [(account, queue, total.since(nothing)) for (account, queue), total in totals]
        return found if others == nothing else [*found, (*_OTHERS, others)]

    def _total_locked(self, key: Key) -> Activity:
        total = self._totals.get(key)
        if total is None:
            if len(self._totals) >= QUEUES:
                return self._others
            total = self._totals[key] = Activity()
        return total

    def _enter_locked(self, key: Key) -> None:
        counted, entered = self._open[key]
        new = counted.since(entered)
        entered.add(new)
        self._total_locked(key).add(new)
