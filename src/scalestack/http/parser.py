"""Bytes in, requests out; no I/O. httptools reads, and what it would let pass although it is ambiguous is refused here.

llhttp, in its strict mode, already refuses two lengths, a length beside chunked, bare CR and LF, folded lines, a space
before a colon and signs in sizes (RFC 9112 sections 2.2, 3, 5, 6 and 7).

Nearly every request is small, comes in one piece and has nothing unusual in its head. For those a few comparisons tell
that no limit and no rule can be broken; all others are looked at closely. What is nearly the same as a request before
doesn't come here at all: see `known`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httptools

from scalestack.http.known import Known
from scalestack.http.message import Headers, Request
from scalestack.http.problem import HttpError


@dataclass(frozen=True, slots=True)
class ParserLimits:
    max_target: int = 128 << 10  # bytes of the request target; more is 414
    max_head: int = 160 << 10  # bytes of request line and headers together; more is 431
    max_headers: int = 100  # header lines; more is 431
    max_body: int = 8 << 20  # bytes; more is 413
    cross_origin: bool = False  # what a browser sends for a page of another origin is taken, and is not 403


_HOST: Final = 1
_LENGTH: Final = 2
_DECISIVE: Final = 3  # decides about framing, or needs an answer
_CREDENTIALS: Final = 4

# Common spellings are found without lower-casing; 0 is for what means nothing to a parser.
_KINDS: Final = {
    spelling: kind
    for name, kind in {
        b"host": _HOST,
        b"content-length": _LENGTH,
        b"transfer-encoding": _DECISIVE,
        b"expect": _DECISIVE,
        b"origin": _DECISIVE,
        b"upgrade": _DECISIVE,
        b"accept": 0,
        b"accept-encoding": 0,
        b"authorization": _CREDENTIALS,
        b"connection": 0,
        b"content-type": 0,
        b"user-agent": 0,
    }.items()
    for spelling in (name, name.title())
}
_SLICE: Final = 4 << 10  # bytes of requests fed at a time: bounds what is answered before others have their turn
_BODY_SLICE: Final = 16 << 10  # bytes fed at a time within a body
_HASH: Final = 0x23
_SLASH: Final = 0x2F
_CL: Final = b"content-length"
_SPACE: Final = 0x20
_CR: Final = 0x0D


class RequestParser:
    """One connection's requests, in order. `deliver` is called with each, as soon as its last byte is there.

    `expects_body` is called where a client waits for "100 Continue" before it sends one. After an error nothing
    more may be fed: where the next request would begin is not known any more.
    """

    __slots__ = (
        "_body", "_body_fed", "_body_size", "_credentials", "_data", "_decisive", "_deliver", "_delivered",
        "_ended", "_error", "_expects_body", "_head_fed", "_headers", "_held", "_held_left", "_hosts",
        "_http10", "_known", "_lead", "_limits", "_method", "_more", "_parser", "_short", "_small", "_url",
        "between", "fresh", "in_body", "longest",
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
        self._data = b""  # what is being fed, where it begins with a request
        self._head_fed = 0  # bytes of a head that is not complete, fed in earlier calls
        self._body_fed = 0  # bytes from which a body was read in several calls, with its chunk sizes and trailers
        self._delivered = False  # a request was delivered in the call under way
        self._ended = False  # the last request said that it is the last
        # Empty lines before a request, as far as half of one; None once the request has begun.
        self._lead: bytes | None = b""
        self.between = True  # no request has begun
        self.fresh = True  # nothing at all has come since the last request
        self.in_body = False
        self._method = b""
        self._url = b""
        self._headers: Headers = []
        self._hosts = 0
        self._credentials = 0
        self._decisive: list[tuple[bytes, bytes]] = []
        self._body: bytes | None = None
        self._more = bytearray()  # of a body that comes in several parts, all but the first
        self._body_size = 0
        self._http10 = False
        # httptools takes what follows a request for an upgrade for another protocol: its body is read here.
        self._held: Request | None = None  # the request, until its body is complete
        self._held_left = 0  # bytes of the body that are still to come

    @property
    def in_head(self) -> bool:
        """Whether a request has begun whose head is not complete."""
        return not self.between and not self.in_body

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
        if not self.between or data[0] <= _SPACE or self._ended:
            return self._feed_closely(data, size)
        self._data = data if type(data) is bytes else b""
        self._delivered = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as problem:
            self._recover(problem, data)
        if not self.between or data[-1] == _CR:  # type: ignore[redundant-expr]  # what was called has changed it
            self._count(data, size)
        return size

    def _feed_closely(self, data: bytes | memoryview, size: int) -> int:
        """As `feed`, in the midst of a request, or before it where empty lines may be."""
        if self._ended:
            return size  # a client that said "close" and goes on is not listened to (RFC 9112 section 9.6)
        if self._held is not None:
            self._read_held(self._held, data)
            return size
        lead = self._lead
        if lead is not None and not self.in_body:
            self._lead = _after_empty_lines(lead, bytes(data)) if lead or data[0] in b"\r\n" else None
        self.between = False
        self._data = b""
        self._delivered = False
        self._feed_rest(data)
        self._count(data, size)
        return size

    def _recover(self, problem: Exception, data: bytes | memoryview) -> None:
        if isinstance(problem, httptools.HttpParserUpgrade):
            # An upgrade may be ignored (RFC 9110 section 7.8): what follows is HTTP as before.
            rest = data[problem.args[0] :]
            if self._held is not None:
                self._read_held(self._held, rest)
            else:
                self._feed_rest(rest)
        elif not self._ended:
            raise self._error or _refusal(problem) from problem

    def _feed_rest(self, rest: bytes | memoryview) -> None:
        if rest and not self._ended:
            try:
                self._parser.feed_data(rest)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as problem:
                self._recover(problem, rest)

    def _read_held(self, request: Request, data: bytes | memoryview) -> None:
        """Read the body of a request for an upgrade, and what comes after it."""
        body = data[: self._held_left]
        self._held_left -= len(body)
        self._more += body
        if not self._held_left:
            request.body = bytes(self._more)
            self._more = bytearray()
            self._held = None
            self._complete(request)
            self._feed_rest(data[len(body) :])

    def _count(self, data: bytes | memoryview, size: int) -> None:
        """Hold a request that is not complete yet to its limits."""
        if self.between:
            if data[-1] == _CR:
                self._lead = None  # a body's last byte, or the half of an empty line: it can't be told
        elif self.in_body:
            self._head_fed = 0
            self._body_fed += size
            # Chunks of one byte take six; what is beyond that is trailers, which nobody asked for.
            if self._body_fed - 8 * self._body_size > self._limits.max_head + _SLICE:
                raise HttpError(431, "headers-too-large", "chunk sizes and trailers take too much beside the body")
        elif self._delivered:
            # How much of this call belongs to the head that has begun is not known: it counts as one byte.
            self._lead = None
            self._head_fed = 1
        else:
            if self._lead == b"" and data[0] > _SPACE:
                self._lead = None
            self._head_fed += size
            if self._head_fed > self._limits.max_head:
                raise self._too_large()

    def _too_large(self) -> HttpError:
        limits = self._limits
        if len(self._url) > limits.max_target:
            return HttpError(414, "target-too-long", f"the request target may have at most {limits.max_target} bytes")
        return HttpError(431, "headers-too-large", f"request line and headers may have at most {limits.max_head} bytes")

    # What httptools calls. An exception in one of these ends the parsing.

    def on_url(self, url: bytes) -> None:
        self.between = False
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_body:
            return  # a trailer must not pass for a header (RFC 9110 section 6.5.1)
        self._headers.append((name, value))
        kind = 0
        if name in _KINDS:  # not by `get`, which on free-threaded CPython 3.13 takes a lock
            kind = _KINDS[name]
        elif (lowered := name.lower()) in _KINDS:
            kind = _KINDS[lowered]
        if kind == _HOST:
            self._hosts += 1
        elif kind == _CREDENTIALS:
            self._credentials += 1
        elif kind == _DECISIVE or (kind == _LENGTH and len(value) >= self._short):
            self._decisive.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        url = self._url
        data = self._data
        self._method = method = self._parser.get_method()
        if not (
            self._hosts == 1
            and self._credentials <= 1
            and len(data) <= self._small
            and data.startswith(b" HTTP/1.1\r\n", len(method) + 1 + len(url))
            and not self._delivered
            and url[0] == _SLASH
            and _HASH not in url
            and method != b"CONNECT"
            and len(self._headers) <= self._limits.max_headers
        ):
            self._closely(self._check_head)
        if self._decisive:
            self._closely(self._check_decisive)
        self.in_body = True

    def _closely(self, check: Callable[[], None]) -> None:
        try:
            check()
        except HttpError as error:
            self._error = error  # httptools wraps what is raised, so that it has to be kept
            raise

    def on_body(self, part: bytes) -> None:
        self._body_size += len(part)
        if self._body_size > self._limits.max_body:
            self._error = self._body_too_large()
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
            self._body_fed = 0
        request = Request(self._method, self._url, self._headers, body, keep_alive, self._http10)
        if self._data and keep_alive and not (self._decisive or self._delivered or self._http10):
            self._known.learn(request, self._data, len(self._method) + 1 + len(self._url), self.longest)
        self._url = b""
        self._headers = []
        self._hosts = 0
        self._credentials = 0
        self._http10 = False
        if self._decisive:
            self._decisive = []
        if self._held_left:
            self._held = request
        else:
            self._complete(request)

    def _complete(self, request: Request) -> None:
        self._head_fed = 0
        self._lead = b""
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
            raise self._too_large()
        if len(self._headers) > limits.max_headers:
            raise HttpError(431, "too-many-headers", f"a request may have at most {limits.max_headers} headers")
        size = len(url) + sum(len(name) + len(value) + 4 for name, value in self._headers)
        if size > limits.max_head:
            raise self._too_large()
        version = self._parser.get_http_version()
        if version == "1.0":
            self._http10 = True
        elif version != "1.1":
            raise HttpError(505, "http-version", f"HTTP/{version} is not spoken here; HTTP/1.1 and HTTP/1.0 are")
        if self._hosts != 1 and (self._hosts or not self._http10):
            raise HttpError(400, "bad-host", f"a request must have one Host header; this has {self._hosts or 'none'}")
        if self._credentials > 1:
            raise HttpError(400, "bad-request", "a request may have one Authorization header (RFC 9110 section 5.3)")
        if _HASH in url:
            raise HttpError(400, "bad-request", "the request target has a '#', which is never sent")
        if url[0] != _SLASH:
            self._url = _path_of(url, self._method)

    def _check_decisive(self) -> None:
        for name, value in self._decisive:
            if name == b"content-length":
                if int(value) > self._limits.max_body:
                    raise self._body_too_large()
            elif name == b"transfer-encoding":
                if self._http10:
                    raise HttpError(400, "bad-framing", "HTTP/1.0 has no Transfer-Encoding")
                if value.lower() != b"chunked":
                    raise HttpError(501, "transfer-coding", "the only transfer coding understood is chunked")
                if self._parser.should_upgrade():
                    raise HttpError(501, "upgrade", "a request for an upgrade may not be chunked")
            elif name == b"origin":
                if not self._limits.cross_origin and not self._is_own(value):
                    raise HttpError(
                        403,
                        "foreign-origin",
                        "a web page of another origin sent this, and may not; http.cross_origin allows it to all pages",
                    )
            elif name == b"upgrade":
                if self._parser.should_upgrade():
                    self._held_left = next((int(value) for name, value in self._headers if name.lower() == _CL), 0)
            elif value.lower() != b"100-continue":
                raise HttpError(417, "expectation", "the only expectation understood is 100-continue")
        if not self._http10 and any(name == b"expect" for name, _ in self._decisive):
            self._expects_body()

    def _is_own(self, origin: bytes) -> bool:
        """Whether a browser says that a page of this very host sent the request (RFC 6454 section 7)."""
        host = next((value for name, value in self._headers if name.lower() == b"host"), b"")
        scheme, separator, authority = origin.lower().partition(b"://")
        port = b":443" if scheme == b"https" else b":80"
        return bool(separator) and authority.removesuffix(port) == host.lower().removesuffix(port)

    def _body_too_large(self) -> HttpError:
        return HttpError(413, "body-too-large", f"a body may have at most {self._limits.max_body} bytes")


def _after_empty_lines(lead: bytes, data: bytes) -> bytes | None:
    """Empty lines before a request are skipped (RFC 9112 section 2.2), but not ones that end in a bare LF or CR.

    `lead` is the half of a line that came before `data`; answered is the half at its end, or None after the last line.
    """
    rest = data.lstrip(b"\r\n")
    start = lead + data[: len(data) - len(rest)]
    lines, half = divmod(len(start), 2)
    if start != b"\r\n" * lines + b"\r" * half or (rest and half):
        raise HttpError(400, "bad-request", "a line does not end with CR LF")
    return None if rest else b"\r" * half


def _path_of(target: bytes, method: bytes) -> bytes:
    """The path and query of a target in absolute form; "*" for OPTIONS (RFC 9112 section 3.2)."""
    if target == b"*" and method == b"OPTIONS":
        return target
    scheme, separator, rest = target.partition(b"://")
    if separator and scheme.lower() in {b"http", b"https"}:
        authority, slash, path = rest.partition(b"/")
        if authority and b"?" not in authority:
            return slash + path if slash else b"/"
        if authority:
            return b"/?" + rest.partition(b"?")[2]
    raise HttpError(400, "bad-target", "the request target must be a path that begins with '/'")


def _refusal(error: Exception) -> HttpError:
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return HttpError(400, "bad-request", "the request does not begin with a method that HTTP knows")
    if "PRI" in str(error):
        return HttpError(505, "http-version", "HTTP/2 is not spoken here; HTTP/1.1 and HTTP/1.0 are")
    return HttpError(400, "bad-request", f"this is not a valid HTTP request: {error}")
