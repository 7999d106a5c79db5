"""Requests and responses, as values. No I/O; nothing is decoded before somebody asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar
from urllib.parse import unquote_to_bytes

from scalestack.event.pending import Pending
from scalestack.http.problem import HttpError

if TYPE_CHECKING:
    from scalestack.net.connection import Connection

T = TypeVar("T")

Headers: TypeAlias = list[tuple[bytes, bytes]]


class Grant(Protocol):
    """What the sender of a request may do."""

    @property
    def name(self) -> str:
        """Who that is, for logs."""

    def allows(self, action: str, account: str | None, resource: str | None) -> bool:
        """Whether it may do `action` to a resource of an account: to all of them, where None is given."""


class Head:
    """The header lines of a request. Requests with the same lines, byte for byte, may share one: it never changes."""

    __slots__ = ("_first", "_made", "headers", "http10", "length", "tail")

    def __init__(self, headers: Headers, http10: bool = False) -> None:
        self.headers = headers  # names as the client spelled them
        self.http10 = http10
        # Where it is shared: the bytes of the body, and all that is between the request's target and its body.
        self.length = -1
        self.tail = b"\0"
        self._first: dict[bytes, bytes] | None = None
        self._made: dict[Callable[[Headers], Any], Any] | None = None

    def first(self, name: bytes) -> bytes | None:
        """The value of the first header with this name (lower case), or None."""
        first = self._first
        if first is None:
            first = {key.lower(): value for key, value in reversed(self.headers)}
            self._first = first
        return first.get(name)

    def made(self, make: Callable[[Headers], T]) -> T:
        """What `make` makes of the headers: made once, and never changed either."""
        made = self._made
        if made is None:
            made = self._made = {}
        if make not in made:
            made[make] = make(self.headers)
        found: T = made[make]
        return found


class Request:
    """One request, whole: its body is there."""

    __slots__ = ("body", "connection", "grant", "head", "keep_alive", "line", "query", "usual")

    def __init__(
        self, method: bytes, target: bytes, headers: Headers, body: bytes, keep_alive: bool, http10: bool
    ) -> None:
        path, _, query = target.decode("latin-1").partition("?")
        self.line = f"{method.decode('latin-1')} {path}"  # method and path, as sent: percent-encoded
        self.query = query  # as sent
        self.head = Head(headers, http10)
        self.body = body
        self.keep_alive = keep_alive
        # It comes in HTTP/1.1, its connection stays open, and it is not HEAD: its answer is sent as it is.
        self.usual = keep_alive and not http10 and method != b"HEAD"
        self.connection: Connection | None = None
        self.grant: Grant | None = None  # what its sender may do; None where nobody is asked who they are

    def end_connection(self) -> None:
        """Have the connection end after the answer."""
        self.keep_alive = self.usual = False

    @property
    def method(self) -> bytes:
        return self.line.partition(" ")[0].encode("latin-1")

    @property
    def path(self) -> bytes:
        """As sent, percent-encoded."""
        return self.line.partition(" ")[2].encode("latin-1")

    @property
    def query_string(self) -> bytes:
        """As sent."""
        return self.query.encode("latin-1")

    @query_string.setter
    def query_string(self, query: bytes) -> None:
        self.query = query.decode("latin-1")

    @property
    def target(self) -> bytes:
        return self.path + b"?" + self.query_string if self.query else self.path

    @property
    def headers(self) -> Headers:
        """Names as the client spelled them. Not to be changed."""
        return self.head.headers

    @property
    def http10(self) -> bool:
        return self.head.http10

    def header(self, name: bytes) -> bytes | None:
        """The first header with this name (lower case), or None."""
        return self.head.first(name)

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.path!r}, {len(self.body)} bytes)"


class BlankRequest(Request):
    """One whose maker sets all there is: to call an `__init__` would take longer than that."""

    __slots__ = ()
    __init__ = object.__init__


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


class BlankResponse(Response):
    """One whose maker sets all there is: to call an `__init__` would take longer than that."""

    __slots__ = ()
    __init__ = object.__init__


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
