"""Which queue is to be swept next: one entry for each, by time, and none for its messages. Knows nothing of queues."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from threading import Lock
from typing import Final, Generic, Protocol, TypeVar

from leveret.model import NEVER

_SPARE: Final = 64  # void entries that are not worth a clean-up


class Dated(Protocol):
    """`due_at` is written by the agenda alone: when the item is to be looked at, or `NEVER`."""

    due_at: float


D = TypeVar("D", bound=Dated)


class Agenda(Generic[D]):
    """Items by due time, for any thread. An item has one valid entry at most: the one for its `due_at`.

    Who makes an item due first stores what it is due for, then looks at `due_at`; who sweeps takes the item first,
    which resets `due_at`, then looks at what is stored, or else moves it under the lock that guards what is stored. So
    one of the two sees the other, and nothing is forgotten.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._heap: list[tuple[float, int, D]] = []
        self._ties = count()
        self._valid = 0
        self._said = NEVER  # the earliest time that was told to whoever calls the sweep

    def add(self, item: D, at: float) -> bool:
        """See that `item` is due at `at` at the latest; whether that is earlier than anybody was told."""
        with self._lock:
            if at < item.due_at:
                if item.due_at == NEVER:
                    self._valid += 1
                item.due_at = at
                heappush(self._heap, (at, next(self._ties), item))
                self._tidy_locked()
            if at < self._said:
                self._said = at
                return True
            return False

    def move(self, item: D, at: float) -> bool:
        """Have `item` due at `at`, later than before or earlier, `NEVER` for not at all; answers as `add` does."""
        with self._lock:
            if at != item.due_at:
                self._valid += (at != NEVER) - (item.due_at != NEVER)
                item.due_at = at
                if at != NEVER:
                    heappush(self._heap, (at, next(self._ties), item))
                self._tidy_locked()
            if at < self._said:
                self._said = at
                return True
            return False

    def drop(self, item: D) -> None:
        with self._lock:
            if item.due_at != NEVER:
                item.due_at = NEVER
                self._valid -= 1
            self._tidy_locked()

    def take(self, now: float) -> D | None:
        """The item which is due longest, off the agenda; None where none is."""
        with self._lock:
            self._skip_void_locked()
            if not self._heap or self._heap[0][0] > now:
                return None
            _, _, item = heappop(self._heap)
            item.due_at = NEVER
            self._valid -= 1
            return item

    def first(self, now: float) -> D | None:
        """The same item, which stays on the agenda."""
        with self._lock:
            self._skip_void_locked()
            return self._heap[0][2] if self._heap and self._heap[0][0] <= now else None

    def tell(self) -> float | None:
        """When the next item is due, which the caller now knows; None where none is."""
        with self._lock:
            self._skip_void_locked()
            self._said = self._heap[0][0] if self._heap else NEVER
            return self._heap[0][0] if self._heap else None

    def _skip_void_locked(self) -> None:
        heap = self._heap
        while heap and heap[0][0] != heap[0][2].due_at:
            heappop(heap)

    def _tidy_locked(self) -> None:
        # Void entries are found when they come due, which may be in 68 years: drop them once they are the most. And all
        # of them with the last valid one, as an item that owns this agenda would be kept by what it keeps.
        if not self._valid:
            self._heap.clear()
        elif len(self._heap) > 2 * self._valid + _SPARE:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].due_at]
            heapify(self._heap)
