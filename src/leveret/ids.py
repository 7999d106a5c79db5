"""Ids for messages that were given none: nobody else makes the same, and later ones sort after earlier ones."""

from __future__ import annotations

import os
from typing import Final

from scalestack.clock import steady_clock

_clock: Final = steady_clock()  # a system's clock that is set back must not have later ids sort before earlier ones


def make_ids(count: int) -> list[str]:
    """So many ids, in order; by the clock to the millisecond, and then by their number in this call (up to 65,536)."""
    start = f"{int(_clock() * 1000):012x}"
    rest = os.urandom(7).hex()
    return [f"{start}{number:04x}{rest}" for number in range(count)]


def make_id() -> str:
    return make_ids(1)[0]
