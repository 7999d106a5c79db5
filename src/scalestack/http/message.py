"""Requests and responses, as values. No I/O; nothing is decoded before somebody asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import unquote_to_bytes

from scalestack.event.pending import Pending
from scalestack.http.problem import HttpError

if TYPE_CHECKING:
    from scalestack.net.connection import Connection

Headers: TypeAlias = list[tuple[bytes, bytes]]


class Grant(Protocol):
    """What the sender of a request may do."""

    @property
    def name(self) -> str:
        """Who that is, for logs."""

    def allows(self, action: str, account: str | None, resource: str | None) -> bool:
        """Whether it may do `action` to a resource of an account: to all of them, where None is given."""


class Request:
    """One request, whole: its body is there."""

    __slots__ = ("body", "connection", "grant", "headers", "http10", "keep_alive", "method", "path", "query_string")

    def __init__(
        self, method: bytes, target: bytes, headers: Headers, body: bytes, keep_alive: bool, http10: bool
    ) -> None:
        self.method = method
        self.path, _, self.query_string = target.partition(b"?")  # as sent, percent-encoded
        self.headers = headers  # names as the client spelled them
        self.body = body
        self.keep_alive = keep_alive
        self.http10 = http10
        self.connection: Connection | None = None
        self.grant: Grant | None = None  # what its sender may do; None where nobody is asked who they are

    @property
    def target(self) -> bytes:
        return self.path + b"?" + self.query_string if self.query_string else self.path

    def header(self, name: bytes) -> bytes | None:
        """The first header with this name (lower case), or None."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.path!r}, {len(self.body)} bytes)"


class Response:
    """One response. With a `stream` in place of a body it is sent as it comes, chunked."""

    __slots__ = ("body", "carried", "content_type", "headers", "status", "stream")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        content_type: bytes | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        stream: AsyncIterator[bytes] | None = None,
        carried: Iterable[object] = (),
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.stream = stream
        self.carried = carried  # what the body was made from, for layers that look at it; it is not sent

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


Answered: TypeAlias = Response | Pending[Response] | Awaitable[Response]
# Called with the request and with what the path's parameters matched, decoded.
Handler: TypeAlias = Callable[..., Answered]


def decode_percent(raw: bytes, where: str) -> str:
    """`raw` with its percent-encoding undone, once; 400 where it is broken or isn't UTF-8 (RFC 3986 section 2.1)."""
    if b"%" in raw:
        for escape in raw.split(b"%")[1:]:
            if len(escape) < 2 or not _is_hex(escape[:2]):
                raise HttpError(
                    400, "bad-encoding", f"the {where} has a '%' without two hex digits; a '%' itself is written %25"
                )
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise HttpError(400, "bad-encoding", f"the {where} is not UTF-8 after percent-decoding") from error


def parse_query(raw: bytes) -> list[tuple[str, str]]:
    """The parameters of a query string, in order, decoded; `+` is a space, as forms send it (URL Standard, 5.1)."""
    pairs = []
    for part in raw.split(b"&"):
        if part:
            name, _, value = part.replace(b"+", b" ").partition(b"=")
            pairs.append((decode_percent(name, "query string"), decode_percent(value, "query string")))
    return pairs


def _is_hex(two: bytes) -> bool:
    return all(char in b"0123456789abcdefABCDEF" for char in two)


def header_text(value: bytes) -> str:
    """A header's value as text; what is not UTF-8 is read as Latin-1 (RFC 9110 section 5.5)."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
