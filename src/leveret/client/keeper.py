"""Leases that are extended by themselves, from one thread for all. Knows when; what is asked is the claim's own."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from leveret.client.lease import EXTEND_AFTER, TRY_AGAIN_AFTER

_IDLE: Final = 5.0  # seconds without a lease after which the thread ends


class Kept(Protocol):
    """A claim whose lease is kept."""

    def prolong(self) -> bool | None:
        """Extend it: True where that was done, None where it may be tried again, False where it is over."""

    @property
    def seconds(self) -> float:
        """How long it lasts after that."""


class LeaseKeeper:
    """Extends leases when a third of them is over. Its thread is there while it has any."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()  # guards all that follow
        self._heap: list[tuple[float, int, Kept]] = []
        self._kept: set[int] = set()  # numbers of the entries that are wanted still
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0  # when the thread looks again, unless it is notified
        self._closed = False

    def keep(self, lease: Kept) -> int:
        """From now on; answers what `let_go` takes."""
        with self._changed:
            number = next(self._numbers)
            if self._closed:
                return number
            self._kept.add(number)
            due = self._clock() + lease.seconds * EXTEND_AFTER
            heapq.heappush(self._heap, (due, number, lease))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leveret-leases", daemon=True)
                self._thread.start()
            elif due < self._wakes_at:
                self._changed.notify()
            return number

    def let_go(self, number: int) -> None:
        """No more; an extension that is under way still ends."""
        with self._changed:
            self._kept.discard(number)
            while self._heap and self._heap[0][1] not in self._kept:
                heapq.heappop(self._heap)
            if len(self._heap) > 2 * len(self._kept) + 64:  # those that were let go long before they were due
                self._heap = [entry for entry in self._heap if entry[1] in self._kept]
                heapq.heapify(self._heap)

    def extend_due(self) -> float | None:
        """Extend what is due; answers the seconds until the next is, None where there is none."""
        while True:
            with self._changed:
                while self._heap and self._heap[0][1] not in self._kept:
                    heapq.heappop(self._heap)
                if not self._heap:
                    return None
                due, number, lease = self._heap[0]
                now = self._clock()
                if due > now:
                    return due - now
                heapq.heappop(self._heap)
            extended = lease.prolong()
            with self._changed:
                if extended is False:
                    self._kept.discard(number)
                elif number in self._kept:
                    pause = lease.seconds * (EXTEND_AFTER if extended else TRY_AGAIN_AFTER)
                    heapq.heappush(self._heap, (self._clock() + pause, number, lease))

    def close(self) -> None:
        """Let go of all, and end; harmless when called again."""
        with self._changed:
            self._closed = True
            self._kept.clear()
            self._heap.clear()
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        was_idle = False
        while True:
            self.extend_due()
            with self._changed:
                idle = not self._heap
                if self._closed or (idle and was_idle):
                    self._thread = None
                    return
                now = self._clock()
                # What came since then may be due earlier than what was told.
                pause = _IDLE if idle else max(0.0, self._heap[0][0] - now)
                self._wakes_at = now + pause
                was_idle = not self._changed.wait(pause) and idle
