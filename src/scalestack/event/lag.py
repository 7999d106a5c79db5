"""How late a loop is: a timer on it that should ring once a second. Measures; says nothing to anybody."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from scalestack.event.loops import LoopError, LoopThread
from scalestack.metrics.tally import Histogram

BOUNDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)  # seconds; loops count in milliseconds
INTERVAL: Final = 1.0  # seconds


class LagProbe:
    """Measures one loop. What blocks a loop for longer than the interval is always seen; what is shorter, in proportion
    to its share of the time. A loop that hangs is one whose count stands still."""

    def __init__(self, thread: LoopThread, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.thread = thread
        self.seconds = Histogram(BOUNDS)  # how late the timer rang
        self._monotonic = monotonic
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.thread.call(self._arm).result()

    def stop(self) -> None:
        """Measure no more. Blocks; harmless when called again, or when the loop has ended."""
        with contextlib.suppress(LoopError):
            self.thread.call(self._cancel).result()

    def _arm(self) -> None:
        self._due = self._monotonic() + INTERVAL
        self._timer = self.thread.later(INTERVAL, self._ring)

    def _ring(self) -> None:
        self.seconds.observe(max(0.0, self._monotonic() - self._due))
        self._arm()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
