"""Between the JSON of REST v1.1 and values. Knows no requests; what it can't read is a `ServerFailed`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from leveret.client.errors import ServerFailed
from leveret.client.values import Draft, Message, Outcome, Policy, QueueStats, as_bytes

T = TypeVar("T")

_POLICY = tuple(field.name for field in fields(Policy))


def read(body: bytes, as_value: Callable[[Any], T]) -> T:
    """The value in an answer's JSON."""
    try:
        return as_value(json.loads(body))
    except (ValueError, KeyError, TypeError) as error:
        told = f"'{error}' is missing in it" if isinstance(error, KeyError) else str(error)
        raise ServerFailed("bad-answer", None, f"the answer is none of Leveret's REST v1.1: {told}") from error


def message(found: Any) -> Message:
    return Message(
        id=found["id"],
        body=_body(found.get("body", "")),
        ttl=found["ttl"],
        hide=found["hide"],
        created=datetime.fromisoformat(found["created"]),
        deliveries=found["deliveries"],
        marker=found["marker"],
        content_type=found["content_type"],
        headers=found["headers"],
        receipt=found.get("receipt"),
    )


def messages(found: Any) -> list[Message]:
    return [message(each) for each in found]


def done_messages(found: Any) -> list[Message | None]:
    """Of an answer about many ids: None for one that is gone."""
    return [message(each) if each["status"] == "done" else None for each in found]


def outcomes(found: Any) -> list[Outcome]:
    return [Outcome(each["status"]) for each in found]


def names(found: Any) -> list[str]:
    return [str(each) for each in found]


def policy(found: Any) -> Policy:
    if not isinstance(found, dict):
        raise TypeError("a policy is an object")
    return Policy(**{name: found.get(name) for name in _POLICY})


def stats(found: Any) -> list[QueueStats]:
    return [
        QueueStats(
            name=each["id"],
            messages=each["messages"],
            visible=each["visible"],
            hidden=each["hidden"],
            bytes=each["bytes"],
            oldest=each["oldest"],
            policy=policy(each["policy"]),
            dropped=each.get("dropped", 0),
        )
        for each in found
    ]


def draft(given: Draft) -> bytes:
    """One object of a request that publishes many; the draft has its id."""
    members: dict[str, Any] = {"id": given.id, "body": _written(as_bytes(given.body))}
    members |= {name: value for name, value in (("ttl", given.ttl), ("hide", given.hide)) if value is not None}
    if given.content_type is not None:
        members["content_type"] = given.content_type
    if given.headers:
        members["headers"] = dict(given.headers)
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def headers(given: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """A message's headers as those of its request; `ValueError` for what can't be sent as one."""
    return [(f"Leveret-Header-{name}".encode(), check_header(name, value).encode()) for name, value in given.items()]


def check_header(name: str, value: str) -> str:
    """The value, where both can be in a header (RFC 9110 sections 5.1 and 5.5)."""
    if not name or not all(char.isascii() and (char.isalnum() or char in "!#$%&'*+-.^_`|~") for char in name):
        raise ValueError(f"a header can't be named {name!r}: letters, digits and !#$%&'*+-.^_`|~ are allowed")
    if not isinstance(value, str):
        raise TypeError(f"the header '{name}' is {value!r}; text is expected")
    if any((ord(char) < 32 and char != "\t") or ord(char) == 127 for char in value) or value != value.strip():
        raise ValueError(f"the header '{name}' holds a control character, or a space at an end, and can't be sent")
    return value


def _body(found: Any) -> bytes:
    if isinstance(found, str):
        return found.encode()
    return base64.b64decode(found["base64"], validate=True)


def _written(body: bytes) -> str | dict[str, str]:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
