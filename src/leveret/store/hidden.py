"""How many messages of a queue are hidden: exact at any instant, and counted by nobody. Knows times only."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

_FEW: Final = 64  # ends that aren't worth to be tidied up


class Hidden:
    """The times at which messages become visible. Its owner holds the queue's lock around each call.

    Those whose time is past count no more, which takes no call. Those that are visible earlier, or gone, are kept in a
    heap of their own till then: to take one out of the middle of the first would need a search.
    """

    __slots__ = ("_ends", "_undone")

    def __init__(self) -> None:
        self._ends: list[float] = []
        self._undone: list[float] = []

    def add(self, at: float, now: float) -> None:
        """A message is hidden until `at`."""
        ends = self._ends
        heappush(ends, at)
        # Two out for one in: what is past never piles up, though nobody counts.
        if ends[0] <= now:
            heappop(ends)
            if ends and ends[0] <= now:
                heappop(ends)

    def remove(self, at: float, now: float) -> None:
        """The message that was hidden until `at` is not any more, whether or not that is past."""
        if at <= now:
            return
        undone = self._undone
        heappush(undone, at)
        if undone[0] <= now:
            heappop(undone)
        if len(undone) > _FEW and 2 * len(undone) > len(self._ends):
            self._tidy(now)

    def count(self, now: float) -> int:
        """How many messages are hidden."""
        for heap in (self._ends, self._undone):
            while heap and heap[0] <= now:
                heappop(heap)
        return max(0, len(self._ends) - len(self._undone))

    def _tidy(self, now: float) -> None:
        """Take out of both what is in both, and what is past."""
        undone = sorted(self._undone, reverse=True)
        left: list[float] = []
        for at in sorted(self._ends):
            while undone and undone[-1] < at:
                undone.pop()  # its counterpart was past for somebody whose clock was a little ahead
            if undone and undone[-1] == at:
                undone.pop()
            elif at > now:
                left.append(at)
        self._ends = left  # a sorted list is a heap
        self._undone = []
