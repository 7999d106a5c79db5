"""A key as it is kept, and keys as JSON. Plain values: no I/O, no clock, and of a token no more than its digest."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from scalestack.auth.principal import Principal

_FORMAT: Final = 1  # of the file; a change that older servers would misread makes it 2
_MEMBERS: Final = frozenset(
    {
        "id",
        "sha256",
        "account",
        "actions",
        "resources",
        "created",
        "expires",
        "revoked",
        "comment",
        "rotated_from",
    }
)


class Damaged(ValueError):
    """A text that is no list of keys; says where, and nothing of what is secret."""


class State(Enum):
    """What can be done with a key."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key. Times are wall seconds, and whole ones."""

    id: str
    sha256: bytes = field(repr=False)  # of the token. URLs are signed with it: it is to be kept as a secret is
    account: str | None  # None: every account
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)  # patterns of names
    created: float = 0.0
    expires: float = math.inf  # from then on it is no good
    revoked: float | None = None  # when
    comment: str = ""
    rotated_from: str | None = None  # the id of the key that this one takes over from

    def state(self, now: float) -> State:
        if self.revoked is not None:
            return State.REVOKED
        return State.EXPIRED if now >= self.expires else State.VALID

    def principal(self) -> Principal:
        """Who shows this key."""
        return Principal(f"key {self.id}", self.account, frozenset(self.actions), self.resources, self.expires)


def timestamp(seconds: float) -> str:
    """A wall time of whole seconds as text (RFC 3339 section 5.6)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render_keys(keys: Iterable[Key]) -> bytes:
    """The content of the file that keeps these keys."""
    document = {"format": _FORMAT, "keys": [_object(key) for key in keys]}
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def _object(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "sha256": key.sha256.hex(),
        "account": key.account,
        "actions": list(key.actions),
        "resources": list(key.resources),
        "created": timestamp(key.created),
        "expires": None if key.expires == math.inf else timestamp(key.expires),
        "revoked": None if key.revoked is None else timestamp(key.revoked),
        "comment": key.comment,
        "rotated_from": key.rotated_from,
    }


def parse_keys(data: bytes) -> dict[str, Key]:
    """The keys in the content of a file, by id; `Damaged` for anything but what `render_keys` makes."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "its encoding"
        raise Damaged(f"it is no JSON, see {where}") from None
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise Damaged("it has no format number")
    if document["format"] != _FORMAT:
        raise Damaged(f"it is of format {document['format']}, which a newer version must have written")
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise Damaged("it has no list of keys")
    found: dict[str, Key] = {}
    for number, entry in enumerate(entries, 1):
        try:
            key = _parse(entry)
        except (TypeError, ValueError, KeyError, OverflowError):
            raise Damaged(f"key number {number} in it has not the members that a key has") from None
        if key.id in found:
            raise Damaged(f"key '{key.id}' stands in it twice")
        found[key.id] = key
    return found


def _parse(entry: Any) -> Key:
    if not isinstance(entry, dict) or entry.keys() != _MEMBERS:
        raise TypeError
    sha256 = bytes.fromhex(_text(entry["sha256"]))
    if len(sha256) != 32:
        raise ValueError
    for each in ("created", "expires", "revoked"):
        if entry[each] is not None:
            timestamp(_time(entry[each]))  # what can't be written again is no time
    return Key(
        id=_text(entry["id"]),
        sha256=sha256,
        account=_text_or_none(entry["account"]),
        actions=_texts(entry["actions"]),
        resources=_texts(entry["resources"]),
        created=_time(entry["created"]),
        expires=math.inf if entry["expires"] is None else _time(entry["expires"]),
        revoked=None if entry["revoked"] is None else _time(entry["revoked"]),
        comment=_text(entry["comment"]),
        rotated_from=_text_or_none(entry["rotated_from"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(_text(each) for each in value)


def _time(value: object) -> float:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError
    return moment.timestamp()
