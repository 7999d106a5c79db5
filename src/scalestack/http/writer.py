"""Responses to bytes; no I/O. What is the same for many responses is made once."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from time import monotonic, time
from typing import Final

from scalestack.http.message import Response

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
_CLOSE: Final = b"Connection: close\r\n"
_KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"
_MOST_HEADS: Final = 512
_BODILESS: Final = frozenset({204, 304})  # these have no body and say no length (RFC 9110 section 8.6)


@dataclass(frozen=True, slots=True)
class _Head:
    """What is before the length, and the whole of a response without a body."""

    start: bytes
    empty: bytes


class Heads:
    """Heads of responses, each made once a second: that is how often `Date` changes (RFC 9110 section 6.6.1)."""

    __slots__ = ("date", "heads", "until")

    def __init__(self, wall: float, now: float) -> None:
        """For the second of the time `wall`, which is `now` on the monotonic clock."""
        second = int(wall)
        self.until = now + second + 1 - wall  # on the monotonic clock
        self.date = b"Date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
        self.heads: dict[tuple[int, bytes | None], _Head] = {}

    def make(self, status: int, content_type: bytes | None) -> _Head:
        """The head with this status and content type, which is to be found in `heads` from now on."""
        start = _start(status, content_type) + self.date
        empty = start + (b"\r\n" if status in _BODILESS else b"Content-Length: 0\r\n\r\n")
        if len(self.heads) >= _MOST_HEADS:
            self.heads.clear()
        made = self.heads[status, content_type] = _Head(start + b"Content-Length: ", empty)
        return made


_now = Heads(0.0, -1.0)


def _renew(now: float) -> Heads:
    """The heads of a new second. Threads may each make them; any will do."""
    global _now  # noqa: PLW0603 - what is shared is replaced, never changed
    _now = heads = Heads(time(), now)
    return heads


def _date() -> bytes:
    now = monotonic()
    return (_now if now < _now.until else _renew(now)).date


def _start(status: int, content_type: bytes | None) -> bytes:
    start = b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode())
    return start + b"Content-Type: " + content_type + b"\r\n" if content_type else start


def encode(response: Response, head: bool = False, keep_alive: bool = True, http10: bool = False) -> bytes:
    """The bytes of a response with a body. `head` leaves the body out, and keeps the length that it would have."""
    now = monotonic()
    heads = _now if now < _now.until else _renew(now)
    try:
        found = heads.heads[response.status, response.content_type]
    except KeyError:
        found = heads.make(response.status, response.content_type)
    body = response.body
    if response.headers or head or http10 or not keep_alive:
        more = _more(response, keep_alive, http10)
        if response.status in _BODILESS:
            return b"%b%b\r\n" % (found.empty[:-2], more)
        return b"%b%d\r\n%b\r\n%b" % (found.start, len(body), more, b"" if head else body)
    if not body or response.status in _BODILESS:
        return found.empty
    return b"%b%d\r\n\r\n%b" % (found.start, len(body), body)


class Writer:
    """Writes the answers to usual requests of one thread. Heads that threads shared would cost each of them more."""

    __slots__ = ("_now",)

    def __init__(self) -> None:
        self._now = Heads(0.0, -1.0)

    def encode(self, response: Response, now: float) -> bytes:
        """As `encode`, of a response with a body, on a connection that stays open; `now` is read from the monotonic
        clock."""
        if response.headers:
            return encode(response)
        heads = self._now
        if now >= heads.until:
            self._now = heads = Heads(time(), now)
        try:
            found = heads.heads[response.status, response.content_type]
        except KeyError:
            found = heads.make(response.status, response.content_type)
        body = response.body
        if not body or response.status in _BODILESS:
            return found.empty
        return b"%b%d\r\n\r\n%b" % (found.start, len(body), body)


def encode_stream_head(response: Response, keep_alive: bool, http10: bool) -> bytes:
    """The head of a response with a stream: chunked, or up to the end of the connection for HTTP/1.0."""
    more = _more(response, keep_alive and not http10, http10)
    chunked = b"" if http10 else b"Transfer-Encoding: chunked\r\n"
    start = _start(response.status, response.content_type)
    return b"%b%b%b%b\r\n" % (start, _date(), more, chunked)


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
