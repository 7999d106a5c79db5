"""A queue as a stream of server-sent events (HTML Standard, section 9.2). Removes nothing, and keeps no message.

A reader is given the next page when it has taken the last: what a slow one holds is what fits its socket, and a page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from leveret.frontend import render11
from leveret.frontend.parameters import Level
from leveret.model import Filters, Message, Want, Wanted, marker_of
from leveret.service import QueueService
from scalestack.event.loops import arrival

CONTENT_TYPE: Final = b"text/event-stream"
HEADERS: Final = ((b"Cache-Control", b"no-store"), (b"X-Accel-Buffering", b"no"))  # the second is for nginx

_PAGE: Final = 100  # messages in a piece
_PAGE_BYTES: Final = 64 << 10  # of bodies in a piece, unless one message alone has more
_HEARTBEAT: Final = 15  # seconds of silence, after which a comment shows that both ends are still there


async def follow(
    service: QueueService, account: str, queue: str, after: int | None, hidden: bool, detail: Level, want: Wanted
) -> AsyncIterator[bytes]:
    """The events of a queue, after a place or from its beginning, until the server stops or the reader goes."""
    filters = Filters(_PAGE, match_hidden=hidden, after=after, max_bytes=_PAGE_BYTES if want is Want.ALL else None)
    yield b": following\n\n"
    while not service.draining:
        found = await arrival(service.select(account, queue, filters, _HEARTBEAT, want, of_stream=True))
        if found:
            now = service.clock()
            yield "".join([_event(message, detail, now) for message in found]).encode()
            filters = replace(filters, after=found[-1].sequence)
        elif not service.draining:
            yield b": still there\n\n"


def _event(message: Message, detail: Level, now: float) -> str:
    # JSON holds no line break, so that one line of data is all.
    return f"id: {marker_of(message.sequence)}\ndata: {render11.text(message, detail, now)}\n\n"
