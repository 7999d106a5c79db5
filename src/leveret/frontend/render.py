"""Messages and names to the REST contract's JSON and bytes. Exactly its keys; knows no requests."""

from __future__ import annotations

import base64
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


def _object(message: Message, now: float, with_body: bool) -> str:
    attributes = f'{{"id":{quoted(message.id)},"ttl":{message.ttl(now)},"hide":{message.hide(now)}'
    return f'{attributes},"body":{body_text(message.body)}}}' if with_body else attributes + "}"


NO_CONTENT: Final = Response(204)


def messages(found: list[Message], detail: Detail, now: float) -> Response:
    """The answer with the messages of a collection; `now` is what their remaining seconds are counted from."""
    if detail is Detail.NONE:
        return NO_CONTENT
    if detail is Detail.ALL or detail is Detail.ATTRIBUTES:
        with_body = detail is Detail.ALL
        texts = [_object(message, now, with_body) for message in found]
    elif detail is Detail.BODY:
        texts = [body_text(message.body) for message in found]
    else:
        texts = [quoted(message.id) for message in found]
    return Response(200, f"[{','.join(texts)}]".encode(), JSON)


def message(found: Message, detail: Detail, now: float) -> Response:
    """The answer with one message: its id and its body are sent as they are, not as JSON."""
    if detail is Detail.NONE:
        return NO_CONTENT
    if detail is Detail.BODY:
        return Response(200, found.body, BYTES)
    if detail is Detail.ID:
        return Response(200, found.id.encode(), BYTES)
    return Response(200, _object(found, now, detail is Detail.ALL).encode(), JSON)


def names(found: list[str], detail: Detail) -> Response:
    """The answer with names of accounts or queues."""
    if detail is Detail.NONE:
        return NO_CONTENT
    if detail is Detail.ALL:
        text = ",".join([f'{{"id":{quoted(name)}}}' for name in found])
    else:
        text = ",".join(map(quoted, found))
    return Response(200, f"[{text}]".encode(), JSON)
