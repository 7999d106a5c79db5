"""Wall time that never jumps: read once from the system, then carried on by the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]  # seconds of wall time since the epoch


def steady_clock(wall: Clock = time.time, monotonic: Clock = time.monotonic) -> Clock:
    """A clock that starts at the wall time of now, and that no later change of the system's clock moves."""
    offset = wall() - monotonic()
    return lambda: monotonic() + offset
