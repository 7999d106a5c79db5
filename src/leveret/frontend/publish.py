"""What a request's body says: messages to be put together, and policies. Bytes in, values out; no I/O."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from leveret.frontend.parameters import MAX_MANY
from leveret.model import MAX_SECONDS, InvalidName, Meta, check_name
from scalestack.http.message import Headers, header_text
from scalestack.http.problem import HttpError
from scalestack.trace import PARENT, context_of

MAX_HEADERS: Final = 8 << 10  # bytes of names and values of one message's headers
MAX_CONTENT_TYPE: Final = 255  # bytes
NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")

_PREFIX: Final = b"leveret-header-"
_PARENT: Final = PARENT.encode()
_NO_TRACE: Final[Mapping[str, str]] = {}
_MEMBERS: Final = ("id", "body", "ttl", "hide", "content_type", "headers")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,255}")  # RFC 9110 section 5.6.2
# RFC 9110 section 8.3.1: a type, a subtype, and parameters whose values are tokens or quoted strings.
# Written so that no two ways lead through the same spaces: else it could take for ever to find that it doesn't match.
_MEDIA_TYPE: Final = re.compile(
    rf"{_TOKEN.pattern}/{_TOKEN.pattern}"
    rf"(?:[ \t]*;(?:[ \t]*{_TOKEN.pattern}=(?:{_TOKEN.pattern}|\"(?:[^\"\\]|\\.)*\"))?)*"
)
_UNFIT: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")  # what no header's value may hold
_WHOLE: Final = 1 << 53  # the largest number that all readers of JSON read alike (RFC 8259 section 6)
# Of the members of a policy that are numbers, from where to where they go.
_RANGES: Final = {
    "default_ttl": (0, MAX_SECONDS),
    "default_hide": (0, MAX_SECONDS),
    "max_deliveries": (1, MAX_SECONDS),
    "max_messages": (1, _WHOLE),
    "max_bytes": (1, _WHOLE),
}


class Incoming:
    """A message as it came, checked, but for its size."""

    __slots__ = ("body", "hide", "id", "meta", "ttl")

    def __init__(self, id: str | None, body: bytes, ttl: int | None, hide: int | None, meta: Meta | None) -> None:
        self.id = id
        self.body = body
        self.ttl = ttl
        self.hide = hide
        self.meta = meta


def meta_of(headers: Headers) -> Meta | None:
    """What the headers of a PUT say of its message; `HttpError` 400 where they say too much.

    The trace that its sender is in is kept as `traceparent` and `tracestate`, unless the message has one of its own.
    """
    content_type: str | None = None
    given: dict[str, str] = {}
    trace = _NO_TRACE
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"content-type":
            content_type = header_text(value)
        elif lowered.startswith(_PREFIX):
            key = name[len(_PREFIX) :].decode("latin-1")
            text = header_text(value)
            # A header that is there twice is a list (RFC 9110 section 5.3).
            given[key] = f"{given[key]}, {text}" if key in given else text
        elif lowered == _PARENT:
            trace = context_of(headers)
    if content_type is None and not given and not trace:
        return None
    try:
        return _meta(content_type, given, trace)
    except ValueError as error:
        raise HttpError(400, "bad-header", str(error)) from error


def read_messages(body: bytes, content_type: bytes | None, trace: Mapping[str, str] = _NO_TRACE) -> list[Incoming]:
    """The messages in the body of a PUT to a queue; `HttpError` 400 that says which of them is wrong, and how.

    `trace` is the one that the sender is in, by `context_of`: it is kept with those that have none of their own.
    """
    kind = (content_type or b"").partition(b";")[0].strip().lower().decode("latin-1")
    if kind in NDJSON:
        given = list(_lines(body))
    else:
        listed = _listed(body)
        given = [("message", number, value) for number, value in enumerate(listed, 1)]
    if not 0 < len(given) <= MAX_MANY:
        raise _bad(f"there are {len(given)} messages; 1 to {MAX_MANY} are expected")
    return [_plain_text(value, trace) or _incoming(value, f"{unit} {number}", trace) for unit, number, value in given]


def _listed(body: bytes) -> list[Any]:
    value = _parsed(body, "the body")
    members = dict(value) if type(value) is tuple else {}
    listed = members.get("messages")
    if type(listed) is not list or len(members) != 1:
        raise _bad('the body is not {"messages":[…]}; to send one message a line, say application/x-ndjson')
    if len(value) > 1:
        raise _bad("the body is no JSON: the member 'messages' is there twice")
    return listed


def _lines(body: bytes) -> Iterator[tuple[str, int, Any]]:
    found = 0
    for number, line in enumerate(body.split(b"\n"), 1):
        if line.strip():
            found += 1
            if found > MAX_MANY:
                raise _bad(f"there are more than {MAX_MANY} messages; 1 to {MAX_MANY} are expected")
            yield "line", number, _parsed(line, f"line {number}")


def _plain_text(value: Any, trace: Mapping[str, str]) -> Incoming | None:
    """A message of a text, and an id if it has one, as most are: in a tenth of the steps. None where it is more than
    that, or may be wrong."""
    if type(value) is not tuple or trace:
        return None
    members = dict(value)
    id = members.get("id")
    text = members.get("body")
    if type(text) is not str or len(value) != len(members) or len(value) != (1 if id is None else 2):
        return None
    try:
        if id is not None:
            if type(id) is not str or not id.isascii():
                return None
            check_name("message", id)
        return Incoming(id, text.encode(), None, None, None)
    except ValueError:
        return None


def _json(text: bytes, where: str, bad: Callable[[str], HttpError] | None = None) -> Any:
    return _unfolded(_parsed(text, where, bad), where, bad)


def _parsed(text: bytes, where: str, bad: Callable[[str], HttpError] | None = None) -> Any:
    """What JSON says, with each object as a tuple of its members: `_unfolded` makes dictionaries of them."""
    try:
        # Decoded here, as `json.loads` would take UTF-16 and UTF-32 for JSON too, which others don't (RFC 8259, 8.1).
        decoded = text.removeprefix(BOM_UTF8).decode()
        # With `tuple` no function of ours is called for each object.
        return json.loads(decoded, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=tuple)
    except RecursionError as error:
        raise (bad or _bad)(f"{where} is nested too deeply") from error
    except ValueError as error:  # of JSON, of UTF-8, and of numbers that are too long
        raise (bad or _bad)(f"{where} is no JSON: {error}") from error


def _unfolded(value: Any, where: str, bad: Callable[[str], HttpError] | None = None) -> Any:
    try:
        return _with_objects(value)
    except RecursionError as error:
        raise (bad or _bad)(f"{where} is nested too deeply") from error
    except ValueError as error:
        raise (bad or _bad)(f"{where} is no JSON: {error}") from error


def _with_objects(value: Any) -> Any:
    if type(value) is not tuple and type(value) is not list:
        return value
    # Without comprehensions, which would be functions of their own: half as much could be nested.
    made: list[Any] = []
    if type(value) is list:
        for each in value:
            made.append(_with_objects(each))  # noqa: PERF401
        return made
    for name, member in value:
        made.append((name, _with_objects(member)))
    return _unambiguous(made)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON knows")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):  # it would be written as what `_no_constant` refuses
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _unambiguous(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, unless a name is there twice: which of them is meant, readers disagree on (RFC 8259 section 4)."""
    made = dict(members)
    if len(made) < len(members):
        counts = Counter([name for name, _ in members])
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the member '{twice[:40]}' is there twice")
    return made


def _incoming(value: Any, where: str, trace: Mapping[str, str]) -> Incoming:
    value = _unfolded(value, where)
    if not isinstance(value, dict):
        raise _bad(f"{where} is no object; one with a member 'body' is expected")
    unknown = [name for name in value if name not in _MEMBERS]
    if unknown:
        raise _bad(f"{where} has a member '{unknown[0][:40]}'; known are {', '.join(_MEMBERS)}")
    if "body" not in value:
        raise _bad(f"{where} has no body")
    id = value.get("id")
    try:
        if id is not None:
            if not isinstance(id, str):
                raise ValueError("its id is no string")
            _encodable(id, "the id")
            check_name("message", id)
        body, default_type = _body(value["body"])
        content_type = value.get("content_type")
        if content_type is not None and not isinstance(content_type, str):
            raise ValueError("its content_type is no string")
        headers = value.get("headers")
        if headers is not None and not isinstance(headers, dict):
            raise ValueError("its headers are no object")
        meta = _meta(default_type if content_type is None else content_type, headers or {}, trace)
        return Incoming(id, body, _seconds(value, "ttl"), _seconds(value, "hide"), meta)
    except InvalidName as error:
        raise HttpError(400, "bad-name", f"{where}: {error}") from error
    except ValueError as error:
        raise _bad(f"{where}: {error}") from error


def _body(value: Any) -> tuple[bytes, str | None]:
    """The bytes, and their content type where it follows from how they were given."""
    if isinstance(value, str):
        return _encodable(value, "the body"), None
    if isinstance(value, dict) and value.keys() == {"base64"} and isinstance(value["base64"], str):
        try:
            return base64.b64decode(value["base64"], validate=True), None
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"its body is no base64: {error}") from error
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _encodable(text, "the body"), "application/json"


def _encodable(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} holds half of a surrogate pair, which is no character") from error


def _seconds(value: Mapping[str, Any], name: str) -> int | None:
    seconds = value.get(name)
    if seconds is None or (type(seconds) is int and 0 <= seconds <= MAX_SECONDS):
        return seconds
    raise ValueError(f"its {name} is {_shown(seconds)}; whole seconds from 0 to {MAX_SECONDS} are expected")


def _meta(content_type: str | None, headers: Mapping[str, Any], trace: Mapping[str, str]) -> Meta | None:
    if content_type is None and not headers and not trace:
        return None
    if content_type is not None:
        if _UNFIT.search(content_type) or len(content_type.encode()) > MAX_CONTENT_TYPE:
            raise ValueError(f"the content type takes up to {MAX_CONTENT_TYPE} bytes, and no control characters")
        if not _MEDIA_TYPE.fullmatch(content_type):
            raise ValueError(f"the content type is '{content_type[:40]}'; one such as text/plain is expected")
    size = 0
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"the header name '{name[:40]}' is not one that HTTP can carry")
        if not isinstance(value, str) or _UNFIT.search(value) or value != value.strip():
            raise ValueError(f"the header '{name}' takes text without control characters, or spaces at its ends")
        size += len(name) + len(value.encode())
    if size > MAX_HEADERS:
        raise ValueError(f"the headers have {size:,} bytes; up to {MAX_HEADERS:,} are allowed")
    kept = dict(headers)
    if trace and not any(name.lower() == PARENT for name in headers):
        # Never an error: what there is no room for is left out, the state before the parent that it belongs to.
        for name, value in trace.items():
            size += len(name) + len(value)
            if size > MAX_HEADERS:
                break
            kept.setdefault(name, value)
    return Meta(content_type, kept or None)


def read_policy(body: bytes) -> dict[str, int | str | None] | None:
    """What a PATCH changes of a policy, by member; None for all of it. `HttpError` 400 for what can't be."""
    value = _json(body, "the body", _bad_policy)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _bad_policy("the body is no object of members to set, and not null, which removes the policy")
    for name, member in value.items():
        if name not in _RANGES and name != "dead_letter":
            raise _bad_policy(
                f"there is no '{name[:40]}' in a policy; known are {', '.join([*_RANGES, 'dead_letter'])}"
            )
        if member is None:
            continue
        if name == "dead_letter":
            if not isinstance(member, str):
                raise _bad_policy(f"dead_letter is {_shown(member)}; the name of a queue is expected, or null")
            try:
                _encodable(member, "the name")
                check_name("queue", member)
            except ValueError as error:
                raise _bad_policy(f"dead_letter: {error}") from error
            continue
        low, high = _RANGES[name]
        if type(member) is not int or not low <= member <= high:
            raise _bad_policy(f"{name} is {_shown(member)}; a whole number from {low} to {high} is expected, or null")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "…"


def _bad(detail: str) -> HttpError:
    return HttpError(400, "bad-message", detail)


def _bad_policy(detail: str) -> HttpError:
    return HttpError(400, "bad-policy", detail)
