"""What a log offers to other modules. They write with a `Logger`, and ask for `Log` to log access."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

# (peer, method, target, status, bytes sent, seconds taken); from any thread, and it never blocks.
Access: TypeAlias = Callable[[str, str, str, int, int, float], None]


@dataclass(frozen=True)
class Log:
    """The interface of the log module."""

    access: Access | None = None  # None: there is no access log, and nothing is to be made for it


class Said:
    """What a record of `logging` has in the place of a message: an event with values. A text for other handlers."""

    __slots__ = ("event", "values")

    def __init__(self, event: str, values: dict[str, Any]) -> None:
        self.event = event
        self.values = values

    def __str__(self) -> str:
        return " ".join(f"{name}={value!r}" for name, value in {"event": self.event, **self.values}.items())


class Logger:
    """Writes events with values: by structlog where the program has set that up, else by `logging`.

    structlog is asked only where somebody else has imported it: it takes longer to import than all of a server's
    framework. Left to itself it prints, and what is part of somebody's program must not write to its output.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **values: Any) -> None:
        self._write(logging.DEBUG, event, values)

    def info(self, event: str, **values: Any) -> None:
        self._write(logging.INFO, event, values)

    def warning(self, event: str, **values: Any) -> None:
        self._write(logging.WARNING, event, values)

    def error(self, event: str, **values: Any) -> None:
        """`exc_info`, an exception, is shown with its traceback."""
        self._write(logging.ERROR, event, values)

    def exception(self, event: str, **values: Any) -> None:
        self._write(logging.ERROR, event, {"exc_info": True, **values})

    def _write(self, level: int, event: str, values: dict[str, Any]) -> None:
        structlog = sys.modules.get("structlog")
        is_configured = getattr(structlog, "is_configured", None)  # not there while another thread imports it
        if structlog is not None and is_configured is not None and is_configured():
            structlog.get_logger(self._name).log(level, event, **values)
        elif self._logger.isEnabledFor(level):
            exc_info = values.pop("exc_info", None)
            self._logger.log(level, Said(event, values), exc_info=exc_info, stacklevel=3)
