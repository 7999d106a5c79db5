"""Between messages and rows: how a message is written, and how it is read. Knows no statement but their columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

from leveret.model import NEVER, BlankMessage, Draft, Message, Meta, Want, Wanted, holds
from leveret.store.base import StoreError

# What is read of a message, in the order in which `message` takes it.
_ALL: Final = Want.ALL

# Few columns, since each takes its time: `visible_at` is 0.0 where the message isn't hidden, and where no body is
# wanted, its size is in its place.
WHOLE: Final = "sequence, id, created, expires, visible_at * hidden, deliveries, body, meta, checksum"
WITHOUT_BODY: Final = "sequence, id, created, expires, visible_at * hidden, deliveries, length(body), meta, NULL"


def columns_of(want: Wanted) -> str:
    """What to read of messages for somebody who wants so much of them."""
    return WHOLE if want is _ALL else WITHOUT_BODY


SEQUENCE: Final = 0
ID: Final = 1
CREATED: Final = 2
VISIBLE_AT: Final = 4
DELIVERIES: Final = 5
BODY: Final = 6

COLUMNS: Final = 11  # of the table, and so of what `row` makes
PLAIN_COLUMNS: Final = 4  # of a plain message, where the rest is common: queue, id, checksum, body


SOME: Final = Message("", b"", 0, 0.0, NEVER, 0.0, 0, None)  # stands for messages that nobody wants to look at


class DamagedMessage(StoreError):
    """What was read of a message is not what was written."""


def row(
    sequence: int, queue: int, draft: Draft, created: float
) -> tuple[int, int, str, float, float | None, int, float, int, int, bytearray, bytes | None]:
    """A new message as a row of the table."""
    meta = None if draft.meta is None else encode_meta(draft.meta)
    hide = draft.hide
    ttl = draft.ttl
    return (
        sequence,
        queue,
        draft.id,
        created,
        created + ttl if ttl else None,
        1 if hide else 0,
        created + hide,
        0,
        checksum(queue, draft.id, draft.body, meta),
        bytearray(draft.body),  # SQLite's module looks for adapters of bytes, which takes longer than a copy
        meta,
    )


def message(found: tuple[Any, ...], queue: int) -> Message:
    """The message in columns `WHOLE` or `WITHOUT_BODY` of the queue; `DamagedMessage` where its checksum is wrong."""
    return messages((found,), queue)[0]


def messages(rows: Iterable[tuple[Any, ...]], queue: int) -> list[Message]:
    """The messages in such rows: one loop without calls of its own, since there are many."""
    all: list[Message] = []
    for found in rows:
        made: Message = BlankMessage()
        made.sequence, id, made.created, expires, made.visible_at, made.deliveries, body, meta, check = found
        made.id = id
        made.expires = NEVER if expires is None else expires
        made.meta = None
        if type(body) is bytes:
            made.body = body
            sum = crc32(body, crc32(id.encode(), queue))
            if check != (sum if meta is None else crc32(meta, sum)):
                raise _damaged(id)
        elif check is None:
            made.body = b""
        else:
            raise _damaged(id)
        if meta is not None:
            made.meta = decode_meta(meta)
        all.append(made)
    return all


def _damaged(id: str) -> DamagedMessage:
    return DamagedMessage(f"the message '{id}' is damaged, and is not handed out: delete it by its id")


def size_of(found: tuple[Any, ...]) -> int:
    """The bytes of the body of the message in these columns."""
    body = found[BODY]
    return len(body) if type(body) is bytes else int(body)


def count_hidden(rows: Iterable[tuple[Any, ...]]) -> int:
    """How many of the messages in these columns are hidden, or were when anybody looked last."""
    return sum([found[VISIBLE_AT] != 0.0 for found in rows])


def is_held(found: tuple[Any, ...], receipt: str, now: float) -> bool:
    """Whether the message in these columns is held by who shows the receipt."""
    return holds(receipt, found[SEQUENCE], found[CREATED], found[DELIVERIES], found[VISIBLE_AT], now)


def checksum(queue: int, id: str, body: bytes, meta: bytes | None) -> int:
    """CRC-32 (that of zlib, RFC 1952 section 8) of what only a new PUT changes, begun with the queue's number."""
    found = crc32(body, crc32(id.encode(), queue))
    return found if meta is None else crc32(meta, found)


def encode_meta(meta: Meta) -> bytes:
    given = {
        "type": meta.content_type,
        "headers": None if meta.headers is None else dict(meta.headers),
        "dedup": meta.dedup_key,
        "group": meta.group,
    }
    return json.dumps({name: value for name, value in given.items() if value is not None}).encode()


def decode_meta(encoded: bytes) -> Meta:
    given = json.loads(encoded)
    return Meta(given.get("type"), given.get("headers"), given.get("dedup"), given.get("group"))


@lru_cache(maxsize=64)
def marks(count: int) -> str:
    """So many question marks, for a list in a statement."""
    return ",".join("?" * count)


_LARGEST: Final = 256


def batches(values: Sequence[Any], width: int = 1) -> Iterator[tuple[int, int, Sequence[Any]]]:
    """Values for statements that take so many rows of `width` each: how many rows, after how many others, and these.

    The numbers of rows are powers of two, so that few prepared statements do for all. A few rows may be missing at the
    end: then NULL stands for them, which is no id and no sequence, and which no table takes.
    """
    count = len(values) // width
    start = 0
    while start < count:
        left = count - start
        size = min(1 << left.bit_length() - 1, _LARGEST)
        if size < left and size < _LARGEST and 2 * size - left <= size // 4:
            size *= 2
        some = values[start * width : (start + size) * width] if size < count else values
        if len(some) < size * width:
            some = [*some, *[None] * (size * width - len(some))]
        yield size, start, some
        start += size
