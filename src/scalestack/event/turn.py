"""Writes that are put off to the end of a loop's turn. Knows no connection and no protocol.

Each write to a socket wakes whoever waits at its other end, and to wake somebody takes the processor longer than the
write itself. Of a hundred requests that have come together, the answers are therefore written one right after the other
when all have been found: a client, or a proxy, wakes up once and finds many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol


class Sink(Protocol):
    """What is written to: a transport."""

    def write(self, data: bytes, /) -> object: ...

    def is_closing(self) -> bool: ...


_MOST: Final = 64 << 10  # bytes that are put off: who reads too slowly is to be noticed before there are more


class Turn:
    """The writes of one thread, which alone may call this."""

    __slots__ = ("_failed", "_size", "_soon", "_writes")

    def __init__(self, soon: Callable[[Callable[[], object]], object], failed: Callable[[Exception], object]) -> None:
        """`soon` calls at the begin of the loop's next turn; `failed` is told what a write raises."""
        self._soon = soon
        self._failed = failed
        self._writes: list[tuple[Sink, bytes]] = []
        self._size = 0  # bytes of them

    def write(self, sink: Sink, data: bytes) -> None:
        """Write at the end of this turn, after what was put off before; or at once, where that is much. Who writes or
        closes by itself has to `flush` first."""
        writes = self._writes
        if not writes:
            self._soon(self.flush)
        writes.append((sink, data))
        self._size = size = self._size + len(data)
        if size > _MOST:
            self.flush()

    def flush(self) -> None:
        """Write all that was put off; not what is closed by now."""
        writes = self._writes
        if not writes:
            return
        self._writes = []
        self._size = 0
        for sink, data in writes:
            try:
                if not sink.is_closing():
                    sink.write(data)
            except Exception as error:  # one's failure is not the next one's
                self._failed(error)
