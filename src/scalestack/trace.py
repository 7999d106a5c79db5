"""W3C Trace Context: which trace a request or a message is part of, as its headers say. Pure.

Forgiving: what breaks the rules is as if it were not there, and never an error (section 4.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from scalestack.http.message import Headers, header_text

PARENT: Final = "traceparent"
STATE: Final = "tracestate"

_LONGEST: Final = 256  # characters of a parent: one of a later version may have more than the 55 of today's
_MOST_STATE: Final = 512  # characters of a state that are passed on (section 3.3.1.5)
_LARGE: Final = 128  # characters of a member of a state that goes first where there are too many
_MEMBERS: Final = 32  # of a state
# Section 3.2.2: version, trace, span and flags; what later versions add begins with a dash.
_FORM: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?"
)
# Section 3.3.1.3, of Level 2, which takes all that Level 1 does: a key and a value.
_MEMBER: Final = re.compile(r"([a-z0-9][a-z0-9_\-*/@]{0,255})=[ -+\--<>-~]{0,255}[!-+\--<>-~]")


@dataclass(frozen=True, slots=True)
class Span:
    """A span of somebody else's."""

    trace: int  # 128 bits
    id: int  # 64 bits
    flags: int  # 8 bits: the lowest says whether it is sampled


def parse_parent(text: str) -> Span | None:
    """The span that a `traceparent` names (section 3.2); None for what is none."""
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "00" and more is not None:
        return None
    return Span(int(trace, 16), int(span, 16), int(flags, 16))


def parse_state(text: str) -> str:
    """A `tracestate` (section 3.3), without spaces around its members and as long as is to be passed on; empty for what
    is none."""
    members = [member for each in text.split(",") if (member := each.strip(" \t"))]
    keys = set()
    for member in members:
        found = _MEMBER.fullmatch(member)
        if found is None:
            return ""
        keys.add(found[1])
    if len(keys) < len(members) or len(members) > _MEMBERS:
        return ""
    return _shortened(members)


def _shortened(members: list[str]) -> str:
    """Large members go first, then the last ones (section 3.3.1.5)."""
    excess = sum(map(len, members)) + len(members) - 1 - _MOST_STATE
    for number in reversed(range(len(members))):
        if excess > 0 and len(members[number]) > _LARGE:
            excess -= len(members.pop(number)) + 1
    while excess > 0:
        excess -= len(members.pop()) + 1
    return ",".join(members)


def context_of(headers: Headers) -> dict[str, str]:
    """The trace that the sender of a request is in: its `traceparent`, and its `tracestate` where it has one."""
    return _context((name.decode("latin-1"), header_text(value)) for name, value in headers)


def context_in(headers: Mapping[str, str]) -> dict[str, str]:
    """The same, of the headers that are kept with a message."""
    return _context(headers.items())


def _context(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    parents: list[str] = []
    states: list[str] = []
    for name, value in headers:
        lowered = name.lower()
        if lowered == PARENT:
            parents.append(value.strip(" \t"))
        elif lowered == STATE:
            states.append(value)
    if len(parents) != 1 or parse_parent(parents[0]) is None:  # of two, either could be meant
        return {}
    state = parse_state(",".join(states))  # several are one list (section 3.3.1)
    return {PARENT: parents[0], STATE: state} if state else {PARENT: parents[0]}
