"""Requests that are like ones before them. Whatever is not, byte for byte, is for the parser: here nothing is refused.

Clients repeat themselves: of a request, mostly, only the last segment of the path and the body differ from one before.
Its header lines were read then, by httptools and the parser, which found that they decide about nothing but how long
the body is; and the router knows where the path leads. So both are found by their bytes, and what differs is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from scalestack.http.message import BlankRequest, Head, Request
from scalestack.http.router import Entry

_LINE: Final = b"\r\n"
_END: Final = b"\r\n\r\n"
_VERSION: Final = b" HTTP/1.1"
_MOST: Final = 1024  # heads that a thread knows
_KNOWABLE: Final = 1024  # bytes of header lines that are worth knowing

_Text = TypeVar("_Text", str, bytes)


class Known:
    """What the connections of one thread know: it alone may call this."""

    __slots__ = ("_heads", "_queries", "hosts")

    def __init__(self) -> None:
        # By the bytes of their lines. These may hold credentials, which can't be guessed by this: a dictionary compares
        # what has the same hash, and the hash has a secret in it.
        self._heads: dict[bytes, Head] = {}
        self._queries: set[str] = set()  # that may stand in a target: a worker's claim has the same one every time
        self.hosts: set[bytes] = set()  # values of Host that are valid

    def __len__(self) -> int:
        """How many heads are known."""
        return len(self._heads)

    def learn(self, request: Request, data: bytes, end_of_line: int, longest: int) -> None:
        """Know the header lines of a request that was read from the begin of `data`, in one piece, the next time.

        The caller vouches that they hold nothing that the parser must look at each time. `end_of_line` is where the
        target ends; lines of more than `longest` bytes are left to the parser and its limits.
        """
        end = data.find(_END, end_of_line + len(_VERSION))
        lines = data[end_of_line + len(_VERSION) + len(_LINE) : end]
        if (
            data.startswith(_VERSION + _LINE, end_of_line)
            and 0 < len(lines) <= min(longest, _KNOWABLE)
            and len(data) == end + len(_END) + len(request.body)
            and lines.count(b"\n") + 1 == lines.count(_LINE) + 1 == len(request.headers)
        ):
            if len(self._heads) >= _MOST:
                self._heads.clear()
            head = request.head
            head.length = len(request.body)
            head.tail = data[end_of_line : end + len(_END)]
            self._heads[lines] = head

    def recognize(
        self, data: bytes, last: Head, paths: Mapping[str, tuple[Entry, tuple[str, ...]]], longest: int
    ) -> tuple[Request, Entry, tuple[str, ...]] | None:
        """The request that `data` is, from the first byte to the last, and where it leads; None where it isn't known.

        `last` is the head of the connection's last request: nearly always, it comes again. `paths` are the router's. A
        request line has up to `longest` bytes. Only to be called where a request may begin.
        """
        head = last
        # Mostly all that is not known is before this and behind it. It begins where the request line ends, as no byte
        # that could be a line's end is let pass in what is before.
        line, found, body = data.partition(head.tail)
        if not found:
            line, _, rest = data.partition(_LINE)
            lines, ended, body = rest.partition(_END)
            # Not by `get`: on free-threaded CPython 3.13 it takes the lock of the dictionary, which costs too much.
            if not ended or lines not in self._heads or not line.endswith(_VERSION):
                return None
            head = self._heads[lines]
            line = line[: -len(_VERSION)]
        if head.length != len(body) or len(line) > longest:
            return None
        try:
            text = line.decode("ascii")
        except UnicodeDecodeError:
            return None
        query = ""
        if "?" in text:
            text, _, query = text.partition("?")
            if query not in self._queries and not self._may_be_query(query):
                return None
        start, _, segment = text.rpartition("/")
        if not (segment.isalnum() or (segment and "%" not in segment and _is_plain(segment))):
            return None
        try:
            entry, parameters = paths[start]
        except KeyError:
            return None
        request: Request = BlankRequest()
        request.line = text
        request.query = query
        request.head = head
        request.body = body
        request.keep_alive = request.usual = True
        request.grant = None
        return request, entry, parameters + (segment,)  # noqa: RUF005 - takes half the time

    def remember_host(self, value: bytes) -> None:
        """Know that a Host header may have this value."""
        _remember(self.hosts, value)

    def _may_be_query(self, query: str) -> bool:
        if not _is_plain(query):
            return False
        _remember(self._queries, query)
        return True


def _remember(known: set[_Text], text: _Text) -> None:
    """As many as there may be, and none that is long."""
    if len(text) <= _KNOWABLE:
        if len(known) >= _MOST:
            known.clear()
        known.add(text)


def _is_plain(text: str) -> bool:
    """Whether ASCII text may be in a target as it is (RFC 9112 section 3.2). Of other text, the parser says it."""
    return text.isprintable() and " " not in text and "#" not in text
