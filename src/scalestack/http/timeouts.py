"""How long a client may take for each thing that it does. Time is an argument; knows no connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds, but for the rate."""

    head: float  # from a connection's or a request's begin to the end of its head
    body: float  # between two pieces of a body
    body_rate: float  # bytes per second, at which a body has to come that takes longer than that
    idle: float  # between two requests
    write: float  # for a client that does not read what it asked for

    def for_body(self, began: float, size: int, now: float) -> float:
        """Seconds until more has to be there of a body that began at a moment, and of which so many bytes came: one
        that comes in drops, each of them in time, would else be held for ever."""
        return min(self.body, max(0.0, began + self.body + size / self.body_rate - now))
