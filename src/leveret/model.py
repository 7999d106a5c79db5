"""What a queue service speaks of: messages, filters, changes. Plain values; no I/O, no clock, no protocol.

Times are seconds of wall time since the epoch, as floats. `NEVER` as `expires` means no end; 0.0 as `visible_at`
means visible since ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

NEVER: Final = math.inf
MAX_SECONDS: Final = 2**31 - 1  # the longest ttl, hide or wait: 68 years
MAX_NAME: Final = 255  # bytes of UTF-8 in the name of an account, a queue or a message

# Sums of a wall time and whole seconds are rounded to within this much, so a remainder may be too long by it.
_ROUNDING: Final = 1e-6  # seconds


class InvalidName(ValueError):
    """A name that breaks the rules; its text says which rule and what would be right."""


def check_name(kind: str, name: str) -> str:
    """`name`, where it may name an account, a queue or a message (`kind` says which), else `InvalidName`."""
    # One look settles nearly every name: it is short and printable ASCII.
    if name.isascii() and name.isprintable() and "/" not in name and 0 < len(name) <= MAX_NAME and name[0] != ".":
        return name
    if not name:
        raise InvalidName(f"the {kind} name is empty; it takes 1 to {MAX_NAME} bytes")
    if len(name.encode()) > MAX_NAME:
        raise InvalidName(f"the {kind} name has {len(name.encode())} bytes of UTF-8; at most {MAX_NAME} are allowed")
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name):
        raise InvalidName(f"the {kind} name holds a control character, which is not allowed")
    if "/" in name:
        raise InvalidName(f"the {kind} name holds a '/', which is not allowed")
    if name in {".", ".."}:
        raise InvalidName(f"the {kind} name may not be '{name}'")
    return name


@dataclass(frozen=True, slots=True)
class Meta:
    """What a message carries beside its body, where its sender gave any of it."""

    content_type: str | None = None
    headers: Mapping[str, str] | None = None
    dedup_key: str | None = None  # a second message with the same key is not stored again
    group: str | None = None  # messages of one group are handed out one after the other


@dataclass(slots=True)  # not frozen, which would make it four times as slow to make
class Draft:
    """A message to be stored."""

    id: str
    body: bytes
    ttl: int  # seconds from now; 0 never expires
    hide: int  # seconds from now; 0 is visible
    meta: Meta | None = None


class Message:
    """A message as it was at the moment a store answered: a copy, which later changes don't reach."""

    __slots__ = ("body", "created", "deliveries", "expires", "id", "meta", "sequence", "visible_at")

    def __init__(
        self,
        id: str,
        body: bytes,
        sequence: int,  # its place in the queue: larger is later; never used twice
        created: float,
        expires: float,
        visible_at: float,
        deliveries: int,  # how often it was hidden by a claim
        meta: Meta | None,
    ) -> None:
        self.id = id
        self.body = body
        self.sequence = sequence
        self.created = created
        self.expires = expires
        self.visible_at = visible_at
        self.deliveries = deliveries
        self.meta = meta

    def ttl(self, now: float) -> int:
        """Seconds until it expires, rounded up; 0 where it never does. At least 1 for one that still will."""
        if self.expires == NEVER:
            return 0
        left = self.expires - now - _ROUNDING
        return math.ceil(left) if left > 0 else 1

    def hide(self, now: float) -> int:
        """Seconds until it is visible, rounded up; 0 where it is."""
        if self.visible_at <= now:
            return 0
        left = self.visible_at - now - _ROUNDING
        return math.ceil(left) if left > 0 else 1

    def __repr__(self) -> str:
        return f"Message({self.id!r}, {len(self.body)} bytes, sequence={self.sequence})"


@dataclass(frozen=True, slots=True)
class Page:
    """Which of a list of accounts or queues: those after `marker`, at most `limit`."""

    limit: int | None = None  # objects; None for all
    marker: str | None = None  # a name; one that is not there means from the beginning


@dataclass(frozen=True, slots=True)
class Filters:
    """Which messages of a queue: in its order, those after `marker`, at most `limit`; hidden ones only where asked."""

    limit: int | None = None  # messages; None for all
    marker: str | None = None  # a message id; one that is not there means from the beginning
    match_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """New attributes for messages; None leaves one as it is."""

    ttl: int | None = None  # seconds from now; 0 never expires
    hide: int | None = None  # seconds from now; 0 is visible; more than 0 is a delivery


class Put(Enum):
    """What became of a draft."""

    CREATED = "created"
    REPLACED = "replaced"


class Want(Enum):
    """What the caller needs of the messages that an answer is about. A store may give more, never less."""

    NOTHING = "nothing"  # whether there are any: one stands for all, and is no more than not None
    ATTRIBUTES = "attributes"  # all but bodies, which may be empty
    ALL = "all"
