"""What a client gives and gets: messages, queues in numbers, policies. Plain values; no I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from leveret.model import MAX_SECONDS


@dataclass(frozen=True)
class Message:
    """A message as it was when the service answered: a copy, which later changes don't reach."""

    id: str
    body: bytes
    ttl: int  # seconds until it expires; 0: never
    hide: int  # seconds until it is visible; 0: it is
    created: datetime  # with a time zone
    deliveries: int  # how often it was claimed, this time included
    marker: str  # its place in the queue, for `after`; opaque
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    receipt: str | None = None  # of the lease, where the call began or extended one; opaque

    @property
    def text(self) -> str:
        """The body as text; `UnicodeDecodeError` where it is not UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body's value; `ValueError` where it is not JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Draft:
    """A message to be put. None stands for the default of the queue or of the service."""

    body: bytes | str  # text is stored as UTF-8
    id: str | None = None  # None: one is made, unique, and later ones sort after earlier ones
    ttl: int | None = None  # seconds that it lives; 0: for ever
    hide: int | None = None  # seconds until it is visible
    content_type: str | None = None
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Policy:
    """The rules of a queue; None where one is not set."""

    default_ttl: int | None = None  # seconds that a message lives whose sender doesn't say; 0: for ever
    default_hide: int | None = None  # seconds until a message is visible whose sender doesn't say
    max_deliveries: int | None = None  # a message that would be claimed more often is moved, or dropped
    dead_letter: str | None = None  # the queue of the same account to which it is moved
    max_messages: int | None = None  # a put beyond it is a `QueueFull`
    max_bytes: int | None = None  # of bodies; a put beyond it is a `QueueFull`


@dataclass(frozen=True)
class QueueStats:
    """A queue in numbers, at one moment."""

    name: str
    messages: int
    visible: int
    hidden: int
    bytes: int  # of bodies
    oldest: float | None  # seconds since the first of its messages came; None where it has none
    policy: Policy
    dropped: int  # messages that were claimed too often and had no dead-letter queue to go to


class Outcome(StrEnum):
    """What became of one of many ids."""

    DONE = "done"
    GONE = "gone"  # there is no such message
    HELD = "held"  # its lease is not the receipt's any more; it was left alone


# Seconds until a message may be claimed again after a failure, or a function that tells them from the message.
Backoff: TypeAlias = int | Callable[[Message], int]


def exponential(message: Message) -> int:
    """1 second after the first delivery, then 2, 4, 8 and so on, at most 300."""
    return int(min(300, 2 ** min(max(message.deliveries - 1, 0), 16)))


def as_bytes(body: bytes | str) -> bytes:
    """What is stored of a body; `TypeError` where it is none."""
    if not isinstance(body, bytes | bytearray | memoryview | str):
        raise TypeError(f"a body is bytes, or text that is stored as UTF-8, and not {type(body).__name__}")
    return body.encode() if isinstance(body, str) else bytes(body)


def check_whole(least: int = 0, **given: int | None) -> None:
    """`ValueError` for what is no whole number, or out of range; None is in it."""
    for name, number in given.items():
        if number is not None and (type(number) is not int or not least <= number <= MAX_SECONDS):
            raise ValueError(f"{name} is {number!r}; a whole number from {least} to {MAX_SECONDS} is expected")
