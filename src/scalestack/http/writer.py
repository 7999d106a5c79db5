"""Responses to bytes; no I/O. What is the same for many responses is made once."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from scalestack.http.message import Response

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
_CLOSE: Final = b"Connection: close\r\n"
_KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"
_BODILESS: Final = frozenset({204, 304})  # these have no body and say no length (RFC 9110 section 8.6)


class Date:
    """The `Date` header's line (RFC 9110 section 6.6.1), made once a second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._line = b""

    def line(self, second: int) -> bytes:
        if second != self._second:
            self._line = b"Date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
            self._second = second
        return self._line


_date = Date()


@lru_cache(maxsize=512)
def _start(status: int, content_type: bytes | None) -> bytes:
    start = b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode())
    return start + b"Content-Type: " + content_type + b"\r\n" if content_type else start


def encode(response: Response, head: bool = False, keep_alive: bool = True, http10: bool = False) -> bytes:
    """The bytes of a response with a body. `head` leaves the body out, and keeps the length that it would have."""
    status = response.status
    start = _start(status, response.content_type)
    date = _date.line(int(time.time()))
    if response.headers or not keep_alive or http10:
        date += _more(response, keep_alive, http10)
    if status in _BODILESS:
        return b"%b%b\r\n" % (start, date)
    body = response.body
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (start, date, len(body), b"" if head else body)


def encode_stream_head(response: Response, keep_alive: bool, http10: bool) -> bytes:
    """The head of a response with a stream: chunked, or up to the end of the connection for HTTP/1.0."""
    more = _more(response, keep_alive and not http10, http10)
    chunked = b"" if http10 else b"Transfer-Encoding: chunked\r\n"
    start = _start(response.status, response.content_type)
    return b"%b%b%b%b\r\n" % (start, _date.line(int(time.time())), more, chunked)


def encode_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _more(response: Response, keep_alive: bool, http10: bool) -> bytes:
    lines = []
    for name, value in response.headers:
        if b"\r" in value or b"\n" in value or b"\r" in name or b"\n" in name:
            raise ValueError(f"a header of a response holds a line break: {name!r}")
        lines.append(b"%b: %b\r\n" % (name, value))
    if not keep_alive:
        lines.append(_CLOSE)
    elif http10:
        lines.append(_KEEP_ALIVE)
    return b"".join(lines)
