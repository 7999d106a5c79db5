"""What is wrong with a file, in the log: each thing at most once a minute, however often somebody comes by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from scalestack.log import Logger

_PAUSE: Final = 60.0  # seconds

_log = Logger("leveret.store")


class Complaints:
    """Those about one file; its thread alone may use them."""

    def __init__(self) -> None:
        self.timer: Callable[[], float] = lambda: 0.0  # seconds since whenever
        self._next: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def say(self, what: str, **values: Any) -> None:
        """Write it down, with the count of those that were not written since the last one of its kind."""
        now = self.timer()
        if now < self._next.get(what, now):
            self._unsaid[what] = self._unsaid.get(what, 0) + 1
            return
        self._next[what] = now + _PAUSE
        unsaid = self._unsaid.pop(what, 0)
        _log.error(what, **values, **({"unsaid": unsaid} if unsaid else {}))
