"""Messages and names to the REST contract's JSON and bytes. Exactly its keys; knows no requests."""

from __future__ import annotations

import base64
from collections.abc import Callable
from json.encoder import encode_basestring as quoted
from typing import Final

from leveret.frontend.parameters import Detail
from leveret.model import Message
from scalestack.http.message import Response

JSON: Final = b"application/json"
BYTES: Final = b"application/octet-stream"


def body_text(body: bytes) -> str:
    """A body inside JSON: a string where it is valid UTF-8, else an object with its base64."""
    try:
        return quoted(body.decode())
    except UnicodeDecodeError:
        return f'{{"base64":"{base64.b64encode(body).decode()}"}}'


def _id(message: Message, now: float) -> str:
    return quoted(message.id)


def _attributes(message: Message, now: float) -> str:
    return f'{{"id":{quoted(message.id)},"ttl":{message.ttl(now)},"hide":{message.hide(now)}}}'


def _body(message: Message, now: float) -> str:
    return body_text(message.body)


def _all(message: Message, now: float) -> str:
    return (
        f'{{"id":{quoted(message.id)},"ttl":{message.ttl(now)},"hide":{message.hide(now)},'
        f'"body":{body_text(message.body)}}}'
    )


_SHAPES: Final[dict[Detail, Callable[[Message, float], str]]] = {
    Detail.ID: _id,
    Detail.ATTRIBUTES: _attributes,
    Detail.BODY: _body,
    Detail.ALL: _all,
}
NO_CONTENT: Final = Response(204)


def messages(found: list[Message], detail: Detail, now: float) -> Response:
    """The answer with the messages of a collection; `now` is what their remaining seconds are counted from."""
    if detail is Detail.NONE:
        return NO_CONTENT
    shape = _SHAPES[detail]
    text = ",".join([shape(message, now) for message in found])
    return Response(200, f"[{text}]".encode(), JSON)


def message(found: Message, detail: Detail, now: float) -> Response:
    """The answer with one message: its id and its body are sent as they are, not as JSON."""
    if detail is Detail.NONE:
        return NO_CONTENT
    if detail is Detail.BODY:
        return Response(200, found.body, BYTES)
    if detail is Detail.ID:
        return Response(200, found.id.encode(), BYTES)
    return Response(200, _SHAPES[detail](found, now).encode(), JSON)


def names(found: list[str], detail: Detail) -> Response:
    """The answer with names of accounts or queues."""
    if detail is Detail.NONE:
        return NO_CONTENT
    if detail is Detail.ALL:
        text = ",".join([f'{{"id":{quoted(name)}}}' for name in found])
    else:
        text = ",".join(map(quoted, found))
    return Response(200, f"[{text}]".encode(), JSON)
