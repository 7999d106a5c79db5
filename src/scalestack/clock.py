"""Wall time: a clock that never jumps, and how a time is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]  # seconds of wall time since the epoch


def steady_clock(wall: Clock = time.time, monotonic: Clock = time.monotonic) -> Clock:
    """A clock that starts at the wall time of now, and that no later change of the system's clock moves."""
    return _steady(monotonic, wall() - monotonic())


def again(clock: Clock) -> Clock:
    """The same clock for one thread alone: on a free-threaded Python, threads that share one pay for that."""
    offset = getattr(clock, "offset", None)
    return clock if offset is None else _steady(clock.monotonic, offset + 0.0)  # type: ignore[attr-defined]


def _steady(monotonic: Clock, offset: float) -> Clock:
    def clock() -> float:
        return monotonic() + offset

    clock.monotonic = monotonic  # type: ignore[attr-defined]
    clock.offset = offset  # type: ignore[attr-defined]
    return clock


def timestamp(seconds: float) -> str:
    """A wall time as text, in UTC and with milliseconds (RFC 3339 section 5.6)."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
