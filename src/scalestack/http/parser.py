"""Bytes in, requests out; no I/O. httptools reads, and what it would let pass although it is ambiguous is refused here.

llhttp, in its strict mode, already refuses two lengths, a length beside chunked, bare CR and LF, folded lines, a space
before a colon and signs in sizes (RFC 9112 sections 2.2, 3, 5, 6 and 7).

Nearly every request is small, comes in one piece and has nothing unusual in its head. For those a few comparisons tell
that no limit and no rule can be broken; all others are looked at closely. What is nearly the same as a request before
doesn't come here at all: see `known`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httptools

from scalestack.http import head
from scalestack.http.head import CREDENTIALS, DECISIVE, HOST, KINDS, LENGTH
from scalestack.http.known import Known
from scalestack.http.limits import ParserLimits
from scalestack.http.message import Headers, Request
from scalestack.http.problem import HttpError
from scalestack.http.target import check_host, split_target

__all__ = ["ParserLimits", "RequestParser"]

_SLICE: Final = 4 << 10  # bytes of requests fed at a time: bounds what is answered before others have their turn
_BODY_SLICE: Final = 16 << 10  # bytes fed at a time within a body
_HASH: Final = 0x23
_SLASH: Final = 0x2F
_CL: Final = b"content-length"
_SPACE: Final = 0x20
_END: Final = b"\r\n\r\n"


class RequestParser:
    """One connection's requests, in order. `deliver` is called with each, as soon as its last byte is there.

    `expects_body` is called where a client waits for "100 Continue" before it sends one. After an error nothing
    more may be fed: where the next request would begin is not known any more.
    """

    __slots__ = (
        "_at", "_authority", "_body", "_body_fed", "_body_size", "_chunked", "_credentials", "_data", "_decisive",
        "_deliver", "_delivered", "_ended", "_error", "_expects_body", "_head_fed", "_headers", "_held", "_hosts",
        "_http10", "_known", "_lead", "_left", "_limits", "_line", "_method", "_more", "_parser", "_short", "_small",
        "_tail", "_trailers", "_url", "between", "fresh", "in_body", "longest",
    )  # fmt: skip

    def __init__(
        self,
        limits: ParserLimits,
        deliver: Callable[[Request], None],
        expects_body: Callable[[], None],
        known: Known | None = None,
    ) -> None:
        """`known` is shared with other parsers that have the same limits, and are called by the same thread."""
        self._limits = limits
        self._known = Known() if known is None else known
        self._small = min(limits.max_target, limits.max_head)  # no request of so few bytes breaks either
        self.longest = self._small // 2  # bytes of a request line that breaks neither, nor does one and header lines
        self._short = len(str(limits.max_body))  # no length of fewer digits breaks it
        self._deliver = deliver
        self._expects_body = expects_body
        # Made when the first byte is fed: it takes a kilobyte, and a connection whose requests are known needs none.
        self._parser: Any = None
        self._error: HttpError | None = None
        self._data = b""  # what is being fed, where the head of a request is in it as a whole
        self._at = 0  # and where that begins
        self._line = bytearray()  # else: the request line, as far as it was fed
        self._tail = b""  # the last bytes that were fed of a head or of chunks, where an end may have begun
        self._head_fed = 0  # bytes of a head that is not complete
        self._body_fed = 0  # bytes from which a body was read, with its chunk sizes and trailers
        self._delivered = False  # a request was delivered in the call under way
        self._ended = False  # the last request said that it is the last
        # Empty lines before a request, as far as half of one; None once the request has begun.
        self._lead: bytes | None = b""
        self.between = True  # no request has begun
        self.fresh = True  # nothing at all has come since the last request
        self.in_body = False
        self._method = b""
        self._url = b""
        self._authority: bytes | None = None  # of a target in absolute form, which counts instead of Host
        self._headers: Headers = []
        self._hosts = 0
        self._credentials = 0
        self._decisive: list[tuple[bytes, bytes]] = []
        self._body: bytes | None = None
        self._more = bytearray()  # of a body that comes in several parts, all but the first
        self._body_size = 0
        self._left = 0  # bytes of a body with a length that are still to come
        self._chunked = False
        self._trailers = 0
        self._http10 = False
        # httptools takes what follows a request for an upgrade for another protocol: its body is read here.
        self._held: Request | None = None  # the request, until its body is complete

    @property
    def in_head(self) -> bool:
        """Whether a request has begun whose head is not complete."""
        return not self.between and not self.in_body

    @property
    def body_size(self) -> int:
        """Bytes of the body that is under way, as far as they came."""
        return self._body_size or len(self._more)

    def close(self) -> None:
        """Let go of what would keep this alive: httptools' parser and the owner's methods, which hold it as well."""
        self._ended = True
        del self._parser, self._deliver, self._expects_body

    def feed(self, data: bytes | memoryview) -> int:
        """Take some of `data`, and say how much: call again with the rest. `HttpError` for what can't be a request."""
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        self.fresh = False
        taken = self._feed(data)
        self.fresh = self.between and self._lead == b"" and not self._ended
        return taken

    def _feed(self, data: bytes | memoryview) -> int:
        size = len(data)
        if size > _SLICE:
            size = min(size, _BODY_SLICE if self.in_body else _SLICE)
            data = memoryview(data)[:size]
            if size < self._left and self._held is None:
                self._left -= size
                self._read(data)
                return size
        return self._feed_pieces(data if type(data) is bytes else bytes(data), size)

    def _feed_pieces(self, data: bytes, size: int) -> int:
        """Feed what is there in pieces, none of which goes beyond the end of a head or of a body: so it is known where
        each request begins, and what stands there."""
        self._delivered = False
        start = 0
        while start < size and self.between and data[start] > _SPACE and not self._ended:
            end = data.find(_END, start) + len(_END)
            if end < len(_END):
                break
            self._data = data
            self._at = start
            self._read(data if end - start == size else data[start:end])
            start = end
            if self.in_head:
                self._lead = None  # it has begun, and asks for more: the preface of HTTP/2
            if self._left:
                end += self._left
                if end > size or self._held is not None:
                    break
                self._left = 0
                self._read(data[start:end])
                start = end
        if start < size:
            self._feed_closely(data, start, size)
        return size

    def _feed_closely(self, data: bytes, start: int, size: int) -> None:
        """As `_feed_pieces`, in the midst of a request, or before it where empty lines may be.

        What comes after a request that said "close" is not listened to (RFC 9112 section 9.6).
        """
        self._data = b""
        while start < size and not self._ended:
            if self._lead is not None and not self.in_body:
                start = self._skip_empty_lines(data, start, size)
                if start == size:
                    break
            if self.in_body and not self._chunked:
                end = min(start + self._left, size)
                self._left -= end - start
            else:
                end = self._end_of_block(data, start, size)
            piece = data if end - start == size else data[start:end]
            if not self.in_body:
                self._read_head(piece)
            elif self._held is not None:
                self._read_held(self._held, piece)
            else:
                self._read(piece)
                if self._chunked:
                    self._count_chunks(len(piece))
            start = end
        if not self.between:
            self._tail = (self._tail + data[-3:])[-3:]

    def _skip_empty_lines(self, data: bytes, start: int, size: int) -> int:
        """Where a request begins: empty lines before it are skipped (RFC 9112 section 2.2), but not ones that end in a
        bare LF or CR."""
        rest = data[start:].lstrip(b"\r\n")
        empty = (self._lead or b"") + data[start : size - len(rest)]
        lines, half = divmod(len(empty), 2)
        if empty != b"\r\n" * lines + b"\r" * half or (rest and half):
            raise HttpError(400, "bad-request", "a line does not end with CR LF")
        self._lead = None if rest else b"\r" * half
        if rest or half or not self._delivered:  # an empty line at once behind a body is of an old client
            self.between = False
        self._count_head(len(empty))
        return size - len(rest)

    def _end_of_block(self, data: bytes, start: int, size: int) -> int:
        """Where the next empty line ends: a head ends with one, and so do chunks, after the last or its trailers."""
        if start == 0 and self._tail:
            found = (self._tail + data[:3]).find(_END)
            if found >= 0:
                return found + len(_END) - len(self._tail)
        found = data.find(_END, start)
        return size if found < 0 else found + len(_END)

    def _read_head(self, piece: bytes) -> None:
        if not self._line.endswith(b"\n"):
            end = piece.find(b"\n")
            self._line += piece if end < 0 else piece[: end + 1]
        self._read(piece)
        if not (self.in_body or self.between):
            self._count_head(len(piece))
            if len(self._headers) > self._limits.max_headers:
                raise self._limits.too_many("headers")

    def _read(self, piece: bytes | memoryview) -> None:
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # it may be ignored (RFC 9110 section 7.8): what follows is HTTP as before
        except httptools.HttpParserError as problem:
            raise self._error or head.refusal(problem) from problem

    def _read_held(self, request: Request, piece: bytes) -> None:
        """Read the body of a request for an upgrade."""
        self._more += piece
        if not self._left:
            request.body = bytes(self._more)
            self._more = bytearray()
            self._held = None
            self._complete(request)

    def _count_head(self, size: int) -> None:
        self._head_fed += size
        if self._head_fed > self._limits.max_head:
            raise self._limits.head_too_large(self._url)

    def _count_chunks(self, size: int) -> None:
        """Chunks of one byte take six; what is beyond that is extensions and trailers, which nobody asked for."""
        self._body_fed += size
        if self._body_fed - 8 * self._body_size > self._limits.max_head + _SLICE:
            raise HttpError(431, "headers-too-large", "chunk sizes and trailers take too much beside the body")

    # What httptools calls. An exception in one of these ends the parsing.

    def on_url(self, url: bytes) -> None:
        self.between = False
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_body:
            self._on_trailer()
            return  # it must not pass for a header (RFC 9110 section 6.5.1)
        if value.endswith((b" ", b"\t")):
            value = value.rstrip(b" \t")  # not a part of it (RFC 9112 section 5)
        self._headers.append((name, value))
        kind = 0
        if name in KINDS:  # not by `get`, which on free-threaded CPython 3.13 takes a lock
            kind = KINDS[name]
        elif (lowered := name.lower()) in KINDS:
            kind = KINDS[lowered]
        if kind == HOST:
            self._hosts += 1
            if value not in self._known.hosts:
                self._closely(check_host, value)
                self._known.remember_host(value)
        elif kind == CREDENTIALS:
            self._credentials += 1
        elif kind == LENGTH:
            self._left = int(value)
            if len(value) >= self._short:
                self._decisive.append((_CL, value))
        elif kind == DECISIVE:
            self._decisive.append((name.lower(), value))

    def _on_trailer(self) -> None:
        self._trailers += 1
        if self._trailers > self._limits.max_headers:
            self._error = self._limits.too_many("trailers")
            raise self._error

    def on_headers_complete(self) -> None:
        url = self._url
        data = self._data
        self._method = method = self._parser.get_method()
        if not (
            self._hosts == 1
            and self._credentials <= 1
            and len(data) <= self._small
            # One space after the method, and this very version.
            and data.startswith(b" HTTP/1.1\r\n", self._at + len(method) + 1 + len(url))
            and url[0] == _SLASH
            and _HASH not in url
            and method != b"CONNECT"
            and len(self._headers) <= self._limits.max_headers
        ):
            self._closely(self._check_head)
        if self._decisive:
            self._closely(self._check_decisive)
        self.in_body = True

    def _closely(self, check: Callable[..., None], *given: bytes) -> None:
        try:
            check(*given)
        except HttpError as error:
            self._error = error  # httptools wraps what is raised, so that it has to be kept
            raise

    def on_body(self, part: bytes) -> None:
        self._body_size += len(part)
        if self._body_size > self._limits.max_body:
            self._error = self._limits.body_too_large()
            raise self._error
        if self._body is None:
            self._body = part
        else:
            self._more += part

    def on_message_complete(self) -> None:
        parser = self._parser
        keep_alive = parser.should_keep_alive()
        body = self._body
        if body is None:
            body = b""
        else:
            if self._more:
                body += self._more
                self._more = bytearray()
            self._body = None
            self._body_size = 0
        request = Request(self._method, self._url, self._headers, body, keep_alive, self._http10)
        if self._data and keep_alive and not (self._decisive or self._delivered or self._http10):
            self._known.learn(request, self._data, len(self._method) + 1 + len(self._url), self.longest)
        self._url = b""
        self._headers = []
        self._hosts = 0
        self._credentials = 0
        self._http10 = False
        self._authority = None
        if self._decisive:
            self._decisive = []
        if self._left:  # nothing of the body of a request for an upgrade was read
            self._held = request
            self.in_body = True
        else:
            self._complete(request)

    def _complete(self, request: Request) -> None:
        self._head_fed = 0
        self._lead = b""
        self._tail = b""
        if self._line:
            self._line = bytearray()
        if self._chunked:
            self._chunked = False
            self._body_fed = self._trailers = 0
        self._ended = not request.keep_alive
        self._delivered = True
        self.between = True
        self.in_body = False
        self._deliver(request)

    def _check_head(self) -> None:
        limits = self._limits
        url = self._url
        if self._method == b"CONNECT":  # httptools takes what follows it, a body too, for another protocol
            raise HttpError(501, "not-a-proxy", "CONNECT is for proxies, and this is none")
        if len(url) > limits.max_target:
            raise limits.head_too_large(url)
        if len(self._headers) > limits.max_headers:
            raise limits.too_many("headers")
        if len(url) + sum(len(name) + len(value) + 4 for name, value in self._headers) > limits.max_head:
            raise limits.head_too_large(url)
        line = self._line or self._data[self._at : self._data.find(b"\n", self._at) + 1]
        self._http10 = head.is_http10(line, self._method, url, self._parser.get_http_version())
        if self._hosts != 1 and (self._hosts or not self._http10):
            raise HttpError(400, "bad-host", f"a request must have one Host header; this has {self._hosts or 'none'}")
        if self._credentials > 1:
            raise HttpError(400, "bad-request", "a request may have one Authorization header (RFC 9110 section 5.3)")
        if _HASH in url:
            raise HttpError(400, "bad-request", "the request target has a '#', which is never sent")
        if url[0] != _SLASH:
            self._authority, self._url = split_target(url, self._method)

    def _check_decisive(self) -> None:
        expects = False
        for name, value in self._decisive:
            if name == b"content-length":
                if int(value) > self._limits.max_body:
                    raise self._limits.body_too_large()
            elif name == b"transfer-encoding":
                codings = b",".join(each for found, each in self._decisive if found == name)
                head.check_coding(codings, self._http10, self._parser.should_upgrade())
                self._chunked = True
            elif name == b"origin":
                if not self._limits.cross_origin:
                    head.check_origin(value, self._authority, self._headers)
            elif name == b"expect":
                if value.lower() != b"100-continue":
                    raise HttpError(417, "expectation", "the only expectation understood is 100-continue")
                expects = not self._http10
        if expects and (self._left or self._chunked):
            self._expects_body()
