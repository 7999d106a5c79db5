"""The target `batch`: the body of a put of many is decoded, and says what JSON says, or is refused as a whole.

The first byte of an input says whether the rest is one document of JSON or one message a line.
"""

# ruff: noqa: PT017 - a code of an error is a rule that is checked, where others would be raised

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from leveret.frontend.parameters import MAX_MANY
from leveret.frontend.publish import MAX_CONTENT_TYPE, MAX_HEADERS, Incoming, read_messages
from leveret.frontend.render import body_text
from leveret.model import MAX_SECONDS, check_name
from scalestack.http.problem import HttpError

JSON: Final = b"application/json"
LINES: Final = b"application/x-ndjson"
CODES: Final = {"bad-message", "bad-name"}
TRACE: Final = {"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "tracestate": "a=b"}

Plain = tuple[str | None, bytes, int | None, int | None, str | None, Mapping[str, str]]


def check(data: bytes) -> None:
    """Decode an input in all ways; `AssertionError` where a rule is broken."""
    if not data:
        return
    kind, body = LINES if data[0] & 1 else JSON, data[1:]
    found = _read(body, kind)
    # A trace is kept beside what a sender gives, and decides nothing; with one, no shortcut is taken.
    traced = _read(body, kind, TRACE)
    assert (found is None) == (traced is None), "whether it is refused depends on the trace of its sender"
    if found is None or traced is None:
        return
    assert 0 < len(found) <= MAX_MANY
    said = [json.loads(line) for line in body.split(b"\n") if line.strip()] if kind == LINES else _listed(body)
    assert len(said) == len(found), "messages are missing, or made up"
    for value, message, other in zip(said, found, traced, strict=True):
        _check_said(value, message)
        assert _plain(message)[:5] == _plain(other)[:5], "the shortcut reads it otherwise"
        assert _plain(message)[5].items() <= _plain(other)[5].items(), "a trace takes the place of a header"
    _check_again(found)


def _read(body: bytes, kind: bytes, trace: Mapping[str, str] | None = None) -> list[Incoming] | None:
    """The messages; None where they are refused."""
    try:
        return read_messages(body, kind, trace or {})
    except HttpError as error:
        assert error.status == 400, error
        assert error.code in CODES, error
        return None


def _listed(body: bytes) -> list[Any]:
    listed = json.loads(body)["messages"]
    assert isinstance(listed, list)
    return listed


def _plain(message: Incoming) -> Plain:
    meta = message.meta
    if meta is None:
        return message.id, message.body, message.ttl, message.hide, None, {}
    return message.id, message.body, message.ttl, message.hide, meta.content_type, meta.headers or {}


def _check_said(value: Any, message: Incoming) -> None:
    """A message is what Python's own reader of JSON makes of it, and keeps all rules."""
    assert isinstance(value, dict)
    id, body, ttl, hide, content_type, headers = _plain(message)
    assert value.keys() <= {"id", "body", "ttl", "hide", "content_type", "headers"}, "a member that is not known"
    assert value.get("id") == id
    if id is not None:
        check_name("message", id)
    for sent, seconds in ((value.get("ttl"), ttl), (value.get("hide"), hide)):
        assert sent == seconds
        assert type(sent) is type(seconds)
        assert seconds is None or 0 <= seconds <= MAX_SECONDS
    said = value["body"]
    if isinstance(said, str):
        assert body == said.encode()
    elif isinstance(said, dict) and said.keys() == {"base64"} and isinstance(said["base64"], str):
        assert body == base64.b64decode(said["base64"], validate=True)
    else:
        assert _same_json(json.loads(body), said), "a body that says something else"
        assert content_type == (value.get("content_type") or "application/json")
    if value.get("content_type") is not None:
        assert content_type == value["content_type"]
        assert len(value["content_type"].encode()) <= MAX_CONTENT_TYPE
    assert headers == (value.get("headers") or {})
    assert sum(len(name) + len(text.encode()) for name, text in headers.items()) <= MAX_HEADERS
    for text in (content_type or "", *headers, *headers.values()):
        assert not set(text) & set("\r\n\0"), "an end of a line, in what becomes a header"


def _same_json(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON, where 1 is not true, and 1.0 not 1."""
    return json.dumps(one) == json.dumps(other)


def _check_again(found: list[Incoming]) -> None:
    """What was decoded is decoded again from what the API would give of it, in both forms, with a shortcut or not."""
    before = [_plain(message) for message in found]
    for spell in (_short, _long):
        spelled = [spell(each) for each in before]
        document = ('{"messages":[' + ",".join(spelled) + "]}").encode()
        for body, kind in ((document, JSON), ("\n".join(spelled).encode(), LINES)):
            again = _read(body, kind)
            assert again is not None, "what was taken once is refused when it comes again"
            assert [_plain(message) for message in again] == before, "it comes back otherwise"
    # Whole or nothing: one bad message among them, and none is taken.
    bad = "\n".join([*map(_short, before), '{"body":1,"body":2}']).encode()
    assert _read(bad, LINES) is None, "it takes some of them"


def _short(message: Plain) -> str:
    id, body, ttl, hide, content_type, headers = message
    members = {"id": id, "ttl": ttl, "hide": hide, "content_type": content_type, "headers": headers or None}
    given = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members.items() if value is not None]
    return "{" + ",".join([*given, f'"body":{body_text(body)}']) + "}"


def _long(message: Plain) -> str:
    id, body, ttl, hide, content_type, headers = message
    text = base64.b64encode(body).decode()
    members = {
        "headers": headers, "content_type": content_type, "hide": hide, "ttl": ttl, "body": {"base64": text}, "id": id,
    }  # fmt: skip
    return json.dumps(members)
