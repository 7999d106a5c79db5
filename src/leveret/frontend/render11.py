"""Messages and queues to the JSON and the headers of v1.1. Exactly its keys; knows no requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from json.encoder import encode_basestring as quoted
from typing import Final

from leveret.frontend.parameters import Detail, Level
from leveret.frontend.render import BYTES, JSON, NO_CONTENT, body_text
from leveret.model import HELD, ROUNDING, Message, Meta, Policy, QueueState, marker_of, timestamp
from scalestack.http.message import Headers, Response
from scalestack.trace import context_in

_NONE: Final = Detail.NONE
_ID: Final = Detail.ID
_ATTRIBUTES: Final = Detail.ATTRIBUTES
_BODY: Final = Detail.BODY
_ALL: Final = Detail.ALL
_NO_META: Final = Meta()
_MARKER: Final = len(marker_of(0))

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

HEADER: Final = b"Leveret-Header-"  # before the name of a message's header


def fields(message: Message, detail: Level, now: float, hid: bool) -> str:
    """What a message has, as the members of a JSON object, but for its id; `hid` where the request hid it just now."""
    if detail is _BODY:
        return f'"body":{body_text(message.body)}'
    if detail is _NONE or detail is _ID:
        return f'"receipt":"{message.receipt}"' if hid else ""
    content_type, headers = "null", "{}"
    meta = message.meta
    if meta is not None:
        content_type = "null" if meta.content_type is None else quoted(meta.content_type)
        headers = _json(dict(meta.headers)) if meta.headers else "{}"
    receipt = f',"receipt":"{message.receipt}"' if hid else ""
    body = f',"body":{body_text(message.body)}' if detail is _ALL else ""
    return (
        f'"ttl":{message.ttl(now)},"hide":{message.hide(now)},"created":"{timestamp(message.created)}",'
        f'"deliveries":{message.deliveries},"marker":"{marker_of(message.sequence)}",'
        f'"content_type":{content_type},"headers":{headers}{receipt}{body}'
    )


def text(message: Message, detail: Level, now: float, hid: bool = False) -> str:
    """One message of a list, as JSON."""
    if detail is _BODY:
        return body_text(message.body)
    if detail is _ID:
        return quoted(message.id)
    return f'{{"id":{quoted(message.id)},{fields(message, detail, now, hid)}}}'


def messages(
    found: Sequence[Message],
    detail: Level,
    now: float,
    hid: bool = False,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Response:
    """The answer with the messages of a collection."""
    if detail is _NONE:
        return NO_CONTENT if not headers else Response(204, headers=headers)
    if len(found) > 1 and (detail is _ALL or detail is _ATTRIBUTES):
        texts = _texts(found, detail, now, hid)
    else:
        texts = [text(message, detail, now, hid) for message in found]
    return Response(200, f"[{','.join(texts)}]".encode(), JSON, headers, carried=found)


def _texts(found: Sequence[Message], detail: Level, now: float, hid: bool) -> list[str]:
    """The same as `text` for each of them: what those that came and were claimed together have in common is written
    once."""
    texts: list[str] = []
    common: tuple[float, float, float, int] | None = None
    times = lease = ""
    for message in found:
        if message.meta is not None:
            texts.append(text(message, detail, now, hid))
            continue
        own = (message.created, message.expires, message.visible_at, message.deliveries)
        if own != common:
            common = own
            times = (
                f'"ttl":{message.ttl(now)},"hide":{message.hide(now)},"created":"{timestamp(message.created)}",'
                f'"deliveries":{message.deliveries},"marker":"'
            )
            lease = "." + message.receipt.partition(".")[2]
        place = f"{message.sequence:x}"
        receipt = f',"receipt":"{place}{lease}"' if hid else ""
        body = f',"body":{body_text(message.body)}' if detail is _ALL else ""
        texts.append(
            f'{{"id":{quoted(message.id)},{times}{place.zfill(_MARKER)}","content_type":null,"headers":{{}}{receipt}{body}}}'
        )
    return texts


def message(found: Message, detail: Level, now: float, hid: bool) -> Response:
    """The answer with one message: its id and its body are sent as they are, not as JSON."""
    if detail is _NONE:
        return NO_CONTENT
    if detail is _BODY:
        meta = found.meta or _NO_META
        kind = BYTES if meta.content_type is None else meta.content_type.encode()
        return Response(200, found.body, kind, tuple(_headers(meta)), carried=(found,))
    if detail is _ID:
        return Response(200, found.id.encode(), BYTES, carried=(found,))
    return Response(200, text(found, detail, now, hid).encode(), JSON, carried=(found,))


def _headers(meta: Meta) -> Headers:
    headers = meta.headers
    if not headers:
        return []
    given = [(HEADER + name.encode(), value.encode()) for name, value in headers.items()]
    # The trace also as every tool knows it, and as it came.
    return given + [(name.encode(), value.encode()) for name, value in context_in(headers).items()]


def outcomes(ids: Sequence[str], found: Sequence[Message | None], detail: Level, now: float, hid: bool) -> Response:
    """The answer that says for each id what became of it."""
    texts: list[str] = []
    for id, message in zip(ids, found, strict=True):
        if message is None or message is HELD:
            texts.append(f'{{"id":{quoted(id)},"status":"{"gone" if message is None else "held"}"}}')
            continue
        more = fields(message, detail, now, hid)
        if hid and detail is _BODY:
            more += f',"receipt":"{message.receipt}"'
        texts.append(f'{{"id":{quoted(id)},"status":"done"{"," if more else ""}{more}}}')
    return Response(200, f"[{','.join(texts)}]".encode(), JSON, carried=found)


def ids(given: Sequence[str], status: int) -> Response:
    """The answer with the ids of messages that were put."""
    return Response(status, f"[{','.join(map(quoted, given))}]".encode(), JSON)


def policy(found: Policy) -> Response:
    return Response(200, _json(found.members()).encode(), JSON)


def queues(found: Sequence[QueueState], now: float, headers: tuple[tuple[bytes, bytes], ...]) -> Response:
    """The answer with queue objects."""
    objects = [_queue(state, now) for state in found]
    return Response(200, _json(objects).encode(), JSON, headers)


def _queue(state: QueueState, now: float) -> dict[str, object]:
    described: dict[str, object] = {
        "id": state.name,
        "messages": state.messages,
        "visible": state.visible,
        "hidden": state.hidden,
        "bytes": state.bytes,
        "oldest": None if state.oldest is None else max(0, int(now - state.oldest + ROUNDING)),
        "policy": state.policy.members(),
    }
    if state.dropped:
        described["dropped"] = state.dropped
    return described
