"""Answers that are too large for one write, or have no end: sent no faster than the client reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from scalestack.http.message import Request, Response
from scalestack.http.unsent import Unsent
from scalestack.http.writer import LAST_CHUNK, encode_chunk, encode_stream_head

PIECE: Final = 64 << 10  # bytes that are written at once

Write = Callable[[bytes | memoryview], None]
Drained = Callable[[], Awaitable[None] | None]  # what to wait for before more is written, if anything


async def send_in_pieces(
    data: bytes, write: Write, drained: Drained, unsent: Unsent, cut: Callable[[], object]
) -> None:
    """Send what is large, so that it shows when the client reads no more: then `cut` may be called."""
    unsent.begin(cut, len(data), monotonic())
    try:
        for start in range(0, len(data), PIECE):
            write(memoryview(data)[start : start + PIECE])
            if (wait := drained()) is not None:
                await wait
    finally:
        unsent.end(cut)


async def send_stream(request: Request, response: Response, keep_alive: bool, write: Write, drained: Drained) -> int:
    """Send a stream as it comes, and close it; answers how many bytes of its content were sent."""
    stream = response.stream
    assert stream is not None
    sent = 0
    try:
        write(encode_stream_head(response, keep_alive, request.http10))
        if request.method != b"HEAD":
            async for data in stream:
                if data:
                    sent += len(data)
                    write(data if request.http10 else encode_chunk(data))
                if (wait := drained()) is not None:
                    await wait
            if not request.http10:
                write(LAST_CHUNK)
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
    return sent
