"""Messages and names to the REST contract's JSON and bytes. Exactly its keys; knows no requests."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from json.encoder import encode_basestring as quoted
from typing import Final

from leveret.frontend.parameters import Detail, Level
from leveret.model import Message
from scalestack.http.message import BlankResponse, Response

JSON: Final = b"application/json"
BYTES: Final = b"application/octet-stream"

# By names of this module: on CPython 3.11 `Detail.ALL` takes ten times as long.
_NONE: Final = Detail.NONE
_ID: Final = Detail.ID
_ATTRIBUTES: Final = Detail.ATTRIBUTES
_BODY: Final = Detail.BODY
_ALL: Final = Detail.ALL


def body_text(body: bytes) -> str:
    """A body inside JSON: a string where it is valid UTF-8, else an object with its base64."""
    try:
        return quoted(body.decode())
    except UnicodeDecodeError:
        return f'{{"base64":"{base64.b64encode(body).decode()}"}}'


def _object(message: Message, now: float, with_body: bool) -> str:
    hide = 0 if message.visible_at <= now else message.hide(now)
    if with_body:
        try:
            body = quoted(message.body.decode())
        except UnicodeDecodeError:
            body = body_text(message.body)
        return f'{{"id":{quoted(message.id)},"ttl":{message.ttl(now)},"hide":{hide},"body":{body}}}'
    return f'{{"id":{quoted(message.id)},"ttl":{message.ttl(now)},"hide":{hide}}}'


def json_response(text: str, carried: Iterable[object]) -> Response:
    """200 with JSON. As `Response(...)`, in half the time."""
    response: Response = BlankResponse()
    response.status = 200
    response.body = text.encode()
    response.content_type = JSON
    response.headers = ()
    response.stream = None
    response.carried = carried
    return response


NO_CONTENT: Final = Response(204)


def messages(found: list[Message], detail: Level, now: float) -> Response:
    """The answer with the messages of a collection; `now` is what their remaining seconds are counted from."""
    if detail is _NONE:
        return NO_CONTENT
    if detail is _ALL or detail is _ATTRIBUTES:
        if len(found) == 1:  # as mostly
            return json_response(f"[{_object(found[0], now, detail is _ALL)}]", found)
        texts = [_object(message, now, detail is _ALL) for message in found]
    elif detail is _BODY:
        texts = [body_text(message.body) for message in found]
    else:
        texts = [quoted(message.id) for message in found]
    return json_response(f"[{','.join(texts)}]", found)


def message(found: Message, detail: Level, now: float) -> Response:
    """The answer with one message: its id and its body are sent as they are, not as JSON."""
    if detail is _ALL:  # as mostly
        return json_response(_object(found, now, True), (found,))
    if detail is _NONE:
        return NO_CONTENT
    if detail is _BODY:
        return Response(200, found.body, BYTES, carried=(found,))
    if detail is _ID:
        return Response(200, found.id.encode(), BYTES, carried=(found,))
    return json_response(_object(found, now, False), (found,))


def names(found: list[str], detail: Level) -> Response:
    """The answer with names of accounts or queues."""
    if detail is _NONE:
        return NO_CONTENT
    texts = [f'{{"id":{quoted(name)}}}' for name in found] if detail is _ALL else map(quoted, found)
    return Response(200, f"[{','.join(texts)}]".encode(), JSON)
