"""What a log offers to other modules. They write with a `Logger`, and ask for `Log` to log access."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

# (peer, method, target, status, bytes sent, seconds taken); from any thread, and it never blocks.
Access: TypeAlias = Callable[[str, str, str, int, int, float], None]


@dataclass(frozen=True)
class Log:
    """The interface of the log module."""

    access: Access | None = None  # None: there is no access log, and nothing is to be made for it


class Logger:
    """Writes events with values: by structlog where that is set up, as the log module does, else by `logging`.

    Left to itself structlog prints, and what is part of somebody's program must not write to its output.
    """

    def __init__(self, name: str) -> None:
        self._structured: Any = structlog.get_logger(name)
        self._plain: Any = structlog.wrap_logger(
            logging.getLogger(name),
            processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    def _now(self) -> Any:
        return self._structured if structlog.is_configured() else self._plain

    def debug(self, event: str, **values: Any) -> None:
        self._now().debug(event, **values)

    def info(self, event: str, **values: Any) -> None:
        self._now().info(event, **values)

    def warning(self, event: str, **values: Any) -> None:
        self._now().warning(event, **values)

    def error(self, event: str, **values: Any) -> None:
        """`exc_info`, an exception, is shown with its traceback."""
        self._now().error(event, **values)

    def exception(self, event: str, **values: Any) -> None:
        self._now().exception(event, **values)
