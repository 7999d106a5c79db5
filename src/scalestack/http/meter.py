"""What is counted of requests: by each thread for itself, without a lock. Added up when somebody reads it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final, Protocol

from scalestack.http.router import Entry
from scalestack.metrics.tally import Histogram

NO_ROUTE: Final = "none"  # of a request that no route is for
OTHER: Final = b"other"  # a method that no route has, and that HTTP has not either
BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0
)  # fmt: skip  # seconds

FIRST: Final = BOUNDS[0]  # where nearly all are
_MOST_CELLS: Final = 512  # entries that are remembered
_METHODS: Final = frozenset(b"GET HEAD PUT POST DELETE PATCH OPTIONS CONNECT TRACE".split())

# Route, method, status, and whether it was parked.
Kind = tuple[str, bytes, int, bool]


class HasMethod(Protocol):
    """A request; its method is looked up where it is counted for the first time."""

    @property
    def method(self) -> bytes: ...


class Tally:
    """What one loop thread counts. Only that thread calls it; others read it by `answers` and `refusals`."""

    __slots__ = ("_answers", "_parked", "_refusals", "cells", "first")

    def __init__(self) -> None:
        self._answers: dict[Kind, Histogram] = {}
        # The same histograms, of what was not parked, by where a request led and its status. Who counts an answer finds
        # one here, without making anything, or else by `find`.
        self.cells: dict[Entry | None, dict[int, Histogram]] = {}
        self._parked: dict[Entry | None, dict[int, Histogram]] = {}
        self._refusals: Counter[int] = Counter()
        self.first = FIRST + 0.0  # of its own: what threads share costs each of them

    def answered(
        self, entry: Entry | None, request: HasMethod, status: int, seconds: float, parked: bool = False
    ) -> None:
        """Count the answer to a request that came after so many seconds; `entry` is where it led, if anywhere."""
        try:
            cell = (self._parked if parked else self.cells)[entry][status]
        except KeyError:
            cell = self.find(entry, request.method, status, parked)
        cell.counts[0 if seconds <= self.first else bisect_left(BOUNDS, seconds)] += 1
        cell.sum += seconds

    def find(self, entry: Entry | None, method: bytes, status: int, parked: bool = False) -> Histogram:
        """The histogram of what may be counted for the first time. What a client can make up has none of its own."""
        route = NO_ROUTE if entry is None or entry.route is None else entry.route.path
        known = method if route is not NO_ROUTE or method in _METHODS else OTHER
        found = self._answers.setdefault((route, known, status, parked), Histogram(BOUNDS))
        if entry is not None:
            cells = self._parked if parked else self.cells
            if len(cells) >= _MOST_CELLS:  # each change of the routes has made new entries
                cells.clear()
            cells.setdefault(entry, {})[status] = found
        return found

    def refused(self, status: int) -> None:
        """Count bytes that were no request."""
        self._refusals[status] += 1

    def answers(self) -> dict[Kind, Histogram]:
        """The seconds of each kind of answer. From any thread."""
        return self._answers.copy()

    def refusals(self) -> dict[int, int]:
        """How often bytes were refused that were no request, by status. From any thread."""
        return self._refusals.copy()
