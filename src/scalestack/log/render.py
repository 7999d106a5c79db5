"""A log record as one line that can neither be forged by what is in it nor give away a secret. Writes nothing.

`plain` is called where the record is made, since what is logged may change right after; the rest, in the thread that
writes. Values under the name of a secret are replaced, and so are tokens, wherever they stand. Bytes are never shown,
and whatever is not printable (control characters, line breaks, ESC, characters that turn the direction of text) is
escaped.
"""

from __future__ import annotations

import enum
import json
import math
import re
import traceback
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from types import TracebackType
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, unquote_plus

from scalestack.clock import timestamp

Event: TypeAlias = dict[str, Any]  # "time" (seconds since the epoch), "level", "logger", "event", then what is of note
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

REDACTED: Final = "[redacted]"

_SECRET: Final = frozenset(
    {"apikey", "authorization", "body", "cookie", "credential", "key", "passphrase", "passwd", "password", "pwd"}
    | {"secret", "signature", "token"}
)
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_USER_INFO: Final = re.compile(r"//[^/?#]*@")
# An API key, as `scalestack.auth.keys.token` makes it: its id is shown. And a JSON Web Token (RFC 7519), which begins
# with an object in base64url.
_TOKENS: Final = re.compile(
    r"(?<![0-9A-Za-z_])([0-9A-Za-z]{1,32}_[0-9A-Za-z]{10}_)[0-9A-Za-z]{33}(?![0-9A-Za-z])"
    r"|(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*",
    re.ASCII,
)
_DEPTH: Final = 4  # containers in containers; what is deeper is left out
_LENGTH: Final = 8192  # characters of one value; the rest is left out
_ITEMS: Final = 100  # of one container; the rest is left out

_HEAD: Final = ("time", "level", "logger", "event", "exc_info")
_COLORS: Final[Mapping[str, str]] = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}


def plain(event: Mapping[str, Any]) -> Event:
    """A copy that is safe to show, of strings, numbers, lists and dicts that nobody else changes."""
    return {_text(key): _plain(value, _text(key), 0) for key, value in event.items()}


def _plain(value: object, name: str, depth: int) -> Any:
    if _is_secret(name, value):
        return REDACTED
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, int):
        return int(value) if -(1 << 256) < value < 1 << 256 else "<a huge number>"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))  # JSON has no word for the others
    if isinstance(value, str):
        return _cut(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{memoryview(value).nbytes} bytes>"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {_text(value)}".removesuffix(": ")
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name, None) for field in fields(value)}
    if isinstance(value, Mapping | list | tuple | AbstractSet):
        if depth == _DEPTH:
            return "…"
        if isinstance(value, Mapping):
            pairs = [(_text(key), item) for key, item in list(value.items())[:_ITEMS]]
            return {key: _plain(item, key, depth + 1) for key, item in pairs}
        return [_plain(item, "", depth + 1) for item in list(value)[:_ITEMS]]
    return _text(value)


def _text(value: object) -> str:
    try:
        return _cut(str(value) if isinstance(value, str | PurePath | BaseException) else repr(value))
    except Exception:  # a log must take what it gets
        return f"<a {type(value).__name__} that can't be shown>"


def _cut(text: str) -> str:
    text = hide_tokens(text)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}… (+{len(text) - _LENGTH} characters)"


def hide_tokens(text: str) -> str:
    """A text without the tokens in it, which got there by mistake: in a path, in an error's message."""
    if "_" not in text and "eyJ" not in text:
        return text
    return _TOKENS.sub(lambda found: f"{found[1] or ''}{REDACTED}", text)


def _is_secret(name: str, value: object = "") -> bool:
    """Whether a value of this name is to be hidden: `token` and `api_token` are; `token_count=3` is not."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not any(word in _SECRET or word.removesuffix("s") in _SECRET for word in words):
        return False
    return len(words) == 1 or not (value is None or isinstance(value, bool | int | float))


def redact_target(target: str) -> str:
    """A request's target without the values of secret parameters, without tokens, and without a user's name and
    password."""
    target = hide_tokens(target)
    if "%" in target and hide_tokens(unquote(target)) != unquote(target):
        target = hide_tokens(unquote(target))  # a token is one however it is encoded
    if "@" in target:
        target = _USER_INFO.sub(f"//{REDACTED}@", target)
    path, mark, query = target.partition("?")
    if "=" not in query:
        return target
    parts = re.split("([&;])", query)
    for index, part in enumerate(parts):
        name, equals, _ = part.partition("=")
        if equals and _is_secret(unquote_plus(name)):  # a server would decode the name as well
            parts[index] = f"{name}={REDACTED}"
    return f"{path}{mark}{''.join(parts)}"


def escape(text: str) -> str:
    r"""`text` with whatever is not printable as \n, \x1b, \u202e, and with a backslash doubled, so as to be clear."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        letter if letter.isprintable() and letter != "\\" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def text_renderer(colors: bool) -> Callable[[Event], str]:
    """For people: `2026-01-31T12:00:00.000Z info     logger: event  name=value`, and tracebacks below, indented."""

    def render(event: Event) -> str:
        level = f"{escape(event['level']):<8}"
        if colors and event["level"] in _COLORS:
            level = f"\x1b[{_COLORS[event['level']]}m{level}\x1b[0m"
        logger = f"{escape(event['logger'])}: " if event["logger"] else ""
        line = f"{timestamp(event['time'])} {level} {logger}{_message(event)}"
        values = [f"{_word(key)}={_value(value)}" for key, value in event.items() if key not in _HEAD]
        if values:
            line = f"{line}  {' '.join(values)}"
        trace = _traceback(event)
        # The bar keeps an exception's own line breaks from beginning what looks like a record.
        return line + "".join(f"\n  | {escape(part)}" for part in trace.splitlines())

    return render


def _message(event: Event) -> str:
    return escape(event["event"] if isinstance(event["event"], str) else _json(event["event"]))


def _value(value: object) -> str:
    if isinstance(value, str):
        return _word(value)
    return _json(value) if isinstance(value, dict | list) else str(value)


def _word(text: str) -> str:
    """Quoted, where it would otherwise not be clear where it ends."""
    if text and not any(letter in ' "=' for letter in text) and text.isprintable() and "\\" not in text:
        return text
    return '"' + escape(text).replace('"', '\\"') + '"'


def render_json(event: Event) -> str:
    """For machines: one object, in ASCII."""
    head = {
        "timestamp": timestamp(event["time"]),
        "level": event["level"],
        "logger": event["logger"],
        "event": event["event"],
    }
    rest = {key: value for key, value in event.items() if key not in _HEAD}
    trace = _traceback(event)
    # The head comes first, and counts: a value named "timestamp" must not take its place.
    return _json({**head, **rest, **head, **({"exception": trace} if trace else {})})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")  # DEL counts as ASCII


def _traceback(event: Event) -> str:
    exc_info: ExcInfo | None = event.get("exc_info")
    if exc_info is None:
        return ""
    try:
        return hide_tokens("".join(traceback.format_exception(*exc_info)).rstrip("\n"))
    except Exception:
        return _text(exc_info[0])
