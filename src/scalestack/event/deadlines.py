"""Many deadlines on one timer of a loop, where it does no harm to be a little late. Knows no loop but its clock.

A timer of uvloop takes half a kilobyte, and of thousands that are set nearly all are cancelled. Here each is an entry
in the set of those that are due together. A deadline is never early, and late by up to a sixty-fourth of a second, or
by up to a quarter of a second where it is sixteen seconds away or more.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil
from typing import Final, Protocol, TypeAlias

_TICKS: Final = 64  # in a second
_FAR: Final = 16.0  # seconds
_COARSE: Final = 16  # ticks that are one where it is far


class Due(Protocol):
    """What has a deadline."""

    def due(self) -> object:
        """Called when the time is up."""


Handle: TypeAlias = set[Due]  # those that are due together


class Timer(Protocol):
    """What ends a call that is to come."""

    def cancel(self) -> object: ...


class Deadlines:
    """The deadlines of one thread, which alone may call this."""

    def __init__(
        self,
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], object]], Timer],
        failed: Callable[[Exception], object],
    ) -> None:
        """`clock` is that of the loop, in seconds; `later` calls on it; `failed` is told what a `due` raises."""
        self._clock = clock
        self._later = later
        self._failed = failed
        self._due: dict[int, Handle] = {}  # by tick. An empty set stays until then: its tick is in the order once
        self._order: list[int] = []  # a heap of the ticks
        self._timer: Timer | None = None
        self._timer_at = 0

    def add(self, seconds: float, member: Due) -> Handle:
        """Have `member.due()` called in so many seconds, once. `discard`, with what is answered, ends that."""
        now = self._clock()
        tick = max(ceil((now + seconds) * _TICKS), int(now * _TICKS) + 1)
        if seconds >= _FAR:
            tick = -(-tick // _COARSE) * _COARSE
        members = self._due.get(tick)
        if members is not None:
            members.add(member)
            return members
        members = self._due[tick] = {member}
        heappush(self._order, tick)
        if self._timer is None or tick < self._timer_at:
            self._arm(now)
        return members

    @staticmethod
    def discard(members: Handle, member: Due) -> None:
        """Don't call it; harmless when that was done."""
        members.discard(member)
        if not members:
            members.clear()  # gives back what many have taken

    def _arm(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._order[0]
        self._timer = self._later(self._timer_at / _TICKS - now, self._ring)

    def _ring(self) -> None:
        now = self._clock() * _TICKS
        while self._order and self._order[0] <= now:
            members = self._due[self._order[0]]
            while members:
                try:
                    members.pop().due()
                except Exception as error:  # one's failure is not the next one's
                    self._failed(error)
            del self._due[heappop(self._order)]
        self._timer = None  # not before: what was added meanwhile needs no timer of its own
        if self._order:
            self._arm(self._clock())
