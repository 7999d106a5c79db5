"""What a queue service speaks of: messages, filters, changes. Plain values; no I/O, no clock, no protocol.

Times are seconds of wall time since the epoch, as floats. `NEVER` as `expires` means no end; 0.0 as `visible_at`
means visible since ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from math import ceil, floor, isinf
from threading import local
from typing import Final, Literal, TypeAlias

NEVER: Final = math.inf
MAX_SECONDS: Final = 2**31 - 1  # the longest ttl, hide or wait: 68 years
MAX_NAME: Final = 255  # bytes of UTF-8 in the name of an account, a queue or a message

# Sums of a wall time and whole seconds are rounded to within this much, so a remainder may be too long by it, and an
# age too short.
ROUNDING: Final = 1e-6  # seconds
_MARKER: Final = 15  # digits of the longest marker: its place is below 2^60
_HEX: Final = frozenset("0123456789abcdefABCDEF")  # `int` takes more


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
    ttl_given: bool = True  # else the default of its queue's policy is stronger
    hide_given: bool = True
    only_new: bool = False  # leave the message that has its id as it is, if there is one


class BlankDraft(Draft):
    """One whose maker sets all there is: to call an `__init__` would take longer than that."""

    __slots__ = ()
    __init__ = object.__init__


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
        expires = self.expires
        if isinf(expires):
            return 0
        left = expires - now - ROUNDING
        return ceil(left) if left > 0 else 1

    def hide(self, now: float) -> int:
        """Seconds until it is visible, rounded up; 0 where it is."""
        if self.visible_at <= now:
            return 0
        left = self.visible_at - now - ROUNDING
        return ceil(left) if left > 0 else 1

    @property
    def receipt(self) -> str:
        """What its holder shows as long as it is hidden: opaque, and fresh with every hide."""
        return f"{_lease(self.sequence, self.created, self.deliveries)}.{_exact(self.visible_at):x}"

    def __repr__(self) -> str:
        return f"Message({self.id!r}, {len(self.body)} bytes, sequence={self.sequence})"


class BlankMessage(Message):
    """One whose maker sets all there is: to call an `__init__` would take longer than that."""

    __slots__ = ()
    __init__ = object.__init__


HELD: Final = Message("", b"", 0, 0.0, NEVER, 0.0, 0, None)  # stands for one that was left alone: not this receipt's


def _exact(seconds: float) -> int:
    """A wall time as a whole number, without loss: for the next centuries no float is finer."""
    return 0 if isinf(seconds) else int(seconds * (1 << 22))


def _lease(sequence: int, created: float, deliveries: int) -> str:
    """What one lease has that no other has: a replaced message is newer, and the next claim is another delivery."""
    return f"{sequence:x}.{_exact(created):x}.{deliveries:x}"


def holds(receipt: str, sequence: int, created: float, deliveries: int, visible_at: float, now: float) -> bool:
    """Whether `receipt` is of the lease that is on this message, which has not run out."""
    return visible_at > now and receipt.rpartition(".")[0] == _lease(sequence, created, deliveries)


class _Second(local):
    """The one that a thread has written last. Threads that shared one would pay for that, each time."""

    written = (0, "1970-01-01T00:00:00")


_second: Final = _Second()


def timestamp(seconds: float) -> str:
    """A wall time as text (RFC 3339 section 5.6), in UTC and to the microsecond."""
    whole = floor(seconds)
    micros = round((seconds - whole) * 1_000_000)
    if micros == 1_000_000:
        whole, micros = whole + 1, 0
    known, text = _second.written
    if known != whole:  # the messages of an answer have mostly come together
        text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        _second.written = whole, text
    return f"{text}.{micros:06d}Z"


def marker_of(sequence: int) -> str:
    """The opaque text for a place in a queue."""
    return f"{sequence:012x}"


def place_of(marker: str) -> int | None:
    """The place that a marker stands for; None where it is none."""
    if 0 < len(marker) <= _MARKER and _HEX.issuperset(marker):
        return int(marker, 16)
    return None


@dataclass(frozen=True, slots=True)
class Policy:
    """What is set for one queue; None where nothing is. It lasts though the queue is empty."""

    default_ttl: int | None = None  # seconds, where a PUT names none; 0: for ever
    default_hide: int | None = None  # seconds, where a PUT names none
    max_deliveries: int | None = None  # what was claimed so often is not handed out again, but moved
    dead_letter: str | None = None  # the queue, of the same account, to which it is moved; None: it is dropped
    max_messages: int | None = None  # hidden ones included; a PUT of more is refused
    max_bytes: int | None = None  # of bodies

    def __bool__(self) -> bool:
        """Whether anything is set."""
        return self != NO_POLICY

    def changed(self, change: Mapping[str, int | str | None]) -> Policy:
        """With other members, of which None removes one."""
        return replace(self, **change)  # type: ignore[arg-type]  # who makes a change has checked it

    def members(self) -> dict[str, int | str]:
        """What is set, by name."""
        found = {member.name: getattr(self, member.name) for member in fields(self)}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def limited(self) -> bool:
        """Whether a PUT may find the queue full."""
        return self.max_messages is not None or self.max_bytes is not None

    def settle(self, draft: Draft) -> Draft:
        """The draft with the defaults of this policy where it was given nothing."""
        ttl = draft.ttl if draft.ttl_given or self.default_ttl is None else self.default_ttl
        hide = draft.hide if draft.hide_given or self.default_hide is None else self.default_hide
        return Draft(draft.id, draft.body, ttl, hide, draft.meta, True, True, draft.only_new)


NO_POLICY: Final = Policy()


@dataclass(frozen=True, slots=True)
class QueueState:
    """What a queue has, at one instant."""

    name: str
    messages: int
    hidden: int
    bytes: int  # of bodies
    oldest: float | None  # the wall time at which the first message, in the queue's order, was put
    policy: Policy
    dropped: int  # by `max_deliveries`, where there is no dead letter queue

    @property
    def visible(self) -> int:
        return self.messages - self.hidden


@dataclass(frozen=True, slots=True)
class Quota:
    """What an account may hold, hidden messages included, expired ones not; None where there is no limit."""

    messages: int | None = None
    bytes: int | None = None  # of bodies
    queues: int | None = None  # that have messages


@dataclass(frozen=True, slots=True)
class AccountState:
    """What an account has, at one instant."""

    name: str
    queues: int
    messages: int
    bytes: int  # of bodies


@dataclass(slots=True)
class Activity:
    """What happened to messages of a queue since they are counted: totals, which never go down."""

    put: int = 0  # new ones, and those that replaced another
    claimed: int = 0  # deliveries: one that is claimed again counts again
    deleted: int = 0  # by id, by a pop, or with their whole queue or account
    expired: int = 0  # each once: when it is freed
    dead: int = 0  # delivered too often: moved to a dead letter queue, or dropped

    def add(self, other: Activity) -> None:
        """Have the other's counts among these."""
        self.put += other.put
        self.claimed += other.claimed
        self.deleted += other.deleted
        self.expired += other.expired
        self.dead += other.dead

    def since(self, before: Activity) -> Activity:
        """What came after `before`, which was this one then."""
        return Activity(
            self.put - before.put,
            self.claimed - before.claimed,
            self.deleted - before.deleted,
            self.expired - before.expired,
            self.dead - before.dead,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Which of a list of accounts or queues: those after `marker`, at most `limit`."""

    limit: int | None = None  # objects; None for all
    marker: str | None = None  # a name; one that is not there means from the beginning


@dataclass(frozen=True, slots=True)
class Filters:
    """Which messages of a queue: in its order, those after a place, at most `limit`; hidden ones only where asked."""

    limit: int | None = None  # messages; None for all
    marker: str | None = None  # a message id; one that is not there means from the beginning
    match_hidden: bool = False
    after: int | None = None  # a place, whether or not its message is there; where given, `marker` is not
    newest_first: bool = False  # the other way round: "after" is then "older than"
    max_bytes: int | None = None  # of bodies, where they are wanted: as many messages as fit, and one at least

    @property
    def narrow(self) -> bool:
        """Whether it may miss what another finds."""
        return self.marker is not None or self.after is not None


@dataclass(frozen=True, slots=True)
class Change:
    """New attributes for messages; None leaves one as it is."""

    ttl: int | None = None  # seconds from now; 0 never expires
    hide: int | None = None  # seconds from now; 0 is visible; more than 0 is a delivery


class Put:
    """What became of a draft. Literals: of these, on a free-threaded Python, no thread counts the references."""

    CREATED: Final = "created"
    REPLACED: Final = "replaced"
    EXISTS: Final = "exists"  # it was for a new message only, and nothing is changed


Outcome: TypeAlias = Literal["created", "replaced", "exists"]


class Want:
    """What the caller needs of the messages that an answer is about. A store may give more, never less."""

    NOTHING: Final = "nothing"  # whether there are any: one stands for all, and is no more than not None
    ATTRIBUTES: Final = "attributes"  # all but bodies, which may be empty
    ALL: Final = "all"


Wanted: TypeAlias = Literal["all", "attributes", "nothing"]
