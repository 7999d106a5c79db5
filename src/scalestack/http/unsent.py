"""Large answers that clients have yet to read, on one loop: where they become too much, who reads nothing is cut off.

A client that asks for much and reads nothing costs as much memory as it asked for. Its time to read alone bounds that
badly: many at once, each within its time, would take all there is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# Seconds without reading, after which a client may be cut off. One that reads is seen when there is room again in the
# system's buffer for its socket: a very slow one, that takes longer for this, counts as still.
_STILL: Final = 1.0


class Unsent:
    """Only its thread uses this. `most`: bytes; answers of clients that read may be more, as they soon are less."""

    __slots__ = ("_answers", "_bytes", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        # How large, and when the client last read of it; who has waited longest is the first.
        self._answers: dict[Callable[[], object], tuple[int, float]] = {}

    def begin(self, cut: Callable[[], object], size: int, now: float) -> None:
        """An answer of so many bytes is to be sent; `cut` gives it up. `now`: seconds, by the same clock always."""
        self._bytes += size
        self._answers[cut] = (size, now)
        while self._bytes > self._most:
            stillest, (_, since) = next(iter(self._answers.items()))
            if now - since < _STILL:
                return
            self.end(stillest)
            stillest()

    def goes_on(self, cut: Callable[[], object], now: float) -> None:
        """Its client has read some of it."""
        answer = self._answers.pop(cut, None)
        if answer is not None:
            self._answers[cut] = (answer[0], now)

    def end(self, cut: Callable[[], object]) -> None:
        """It was sent, or given up; harmless when called again."""
        size, _ = self._answers.pop(cut, (0, 0.0))
        self._bytes -= size
