"""What a log offers to other modules. They write with `structlog.get_logger(name)`, and ask for `Log` to log access."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

# (peer, method, target, status, bytes sent, seconds taken); from any thread, and it never blocks.
Access: TypeAlias = Callable[[str, str, str, int, int, float], None]


@dataclass(frozen=True)
class Log:
    """The interface of the log module."""

    access: Access | None = None  # None: there is no access log, and nothing is to be made for it
