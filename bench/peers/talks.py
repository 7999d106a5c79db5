"""What one connection of a load says: bytes in, bytes out. The only I/O is in `open`, before anything is measured."""

from __future__ import annotations

import importlib
import socket
from typing import ClassVar

BODY = b"x" * 100


class Unexpected(Exception):
    """An answer other than the one that stands for success."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"unexpected: {data[:200]!r}")


class Talk:
    """One side of a conversation."""

    pushed: ClassVar[bool] = False  # the server sends messages ahead, so that no answer has a request of its own

    reopened: ClassVar[bool] = (
        False  # the server closes after each answer; the next connection begins with `first` again
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.buffer = b""

    def open(self, connection: socket.socket) -> None:
        """Greet, blocking."""

    def first(self) -> bytes:
        """What to send when a connection begins to be measured."""
        raise NotImplementedError

    def answered(self, data: bytes) -> tuple[bytes, int]:
        """What to send next, and how many messages are done by what came."""
        raise NotImplementedError


def named(name: str) -> type[Talk]:
    """The class of `module:Class`, of this package."""
    module, _, kind = name.partition(":")
    found: type[Talk] = getattr(importlib.import_module(f"bench.peers.{module}"), kind)
    return found
