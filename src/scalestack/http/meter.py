"""What is counted of requests: by each thread for itself, without a lock. Added up when somebody reads it."""

from __future__ import annotations

from collections import Counter
from typing import Final

from scalestack.http.router import Entry
from scalestack.metrics.tally import Histogram

NO_ROUTE: Final = "none"  # of a request that no route is for
OTHER: Final = b"other"  # a method that no route has, and that HTTP has not either
BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0
)  # fmt: skip  # seconds

_METHODS: Final = frozenset(b"GET HEAD PUT POST DELETE PATCH OPTIONS CONNECT TRACE".split())

# Route, method, status, and whether it was parked.
Kind = tuple[str, bytes, int, bool]


class Tally:
    """What one loop thread counts. Only that thread calls it; others read it by `answers`, `refusals`, and the counts
    of bytes, which are those of HTTP, without TLS."""

    __slots__ = ("_answers", "_refusals", "received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self._answers: dict[Kind, Histogram] = {}
        self._refusals: Counter[int] = Counter()

    def answered(self, entry: Entry | None, method: bytes, status: int, seconds: float, parked: bool = False) -> None:
        """Count an answer that came after so many seconds; `entry` is where the request led, if anywhere."""
        route = NO_ROUTE if entry is None or entry.route is None else entry.route.path
        histogram = self._answers.get((route, method, status, parked))
        if histogram is None:
            histogram = self._begin(route, method, status, parked)
        histogram.observe(seconds)

    def _begin(self, route: str, method: bytes, status: int, parked: bool) -> Histogram:
        """The histogram of what may be counted for the first time. What a client can make up has none of its own."""
        known = method if route is not NO_ROUTE or method in _METHODS else OTHER
        return self._answers.setdefault((route, known, status, parked), Histogram(BOUNDS))

    def refused(self, status: int) -> None:
        """Count bytes that were no request."""
        self._refusals[status] += 1

    def answers(self) -> dict[Kind, Histogram]:
        """The seconds of each kind of answer. From any thread."""
        return self._answers.copy()

    def refusals(self) -> dict[int, int]:
        """How often bytes were refused that were no request, by status. From any thread."""
        return self._refusals.copy()
