"""Tallies of what is measured. Keeps one rule: one thread writes each, any thread reads it, and none takes a lock."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """How many measured values lie between bounds, and what they add up to.

    `bounds` are the upper bounds of buckets, rising, each of which belongs to its bucket (`le` of Prometheus); beyond
    the last is one bucket more. Values have the unit of the bounds. `ValueError` where the bounds don't rise.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        if any(low >= high for low, high in zip(self.bounds, self.bounds[1:], strict=False)):
            raise ValueError(f"the bounds of a histogram rise from each to the next, which {self.bounds} do not")
        self.counts = [0] * (len(self.bounds) + 1)  # per bucket
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value. Always called by the same thread, or by one at a time."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def snapshot(self) -> tuple[tuple[int, ...], float]:
        """How many values are in each bucket, the one beyond the last bound included, and the sum of all; from any
        thread. A value that is counted in that moment may be in the one and not yet in the other."""
        return tuple(self.counts), self.sum
