"""Bytes in, requests out; no I/O. httptools reads, and what it would let pass although it is ambiguous is refused here.

llhttp, in its strict mode, already refuses two lengths, a length beside chunked, bare CR and LF, folded lines, a space
before a colon and signs in sizes (RFC 9112 sections 2.2, 3, 5, 6 and 7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httptools

from scalestack.http.message import Headers, Request
from scalestack.http.problem import HttpError


@dataclass(frozen=True, slots=True)
class ParserLimits:
    max_target: int = 8 << 10  # bytes of the request target; more is 414
    max_head: int = 32 << 10  # bytes of request line and headers together; more is 431
    max_headers: int = 100  # header lines; more is 431
    max_body: int = 1 << 20  # bytes; more is 413


# The headers that decide about framing and connections. Common spellings are found without lower-casing.
_SPECIAL: Final = {
    spelling: name
    for name in (b"host", b"content-length", b"transfer-encoding", b"expect")
    for spelling in (name, name.title())
}
_SLICE: Final = 16 << 10  # bytes fed at a time: bounds what can pile up behind a request that must wait


class RequestParser:
    """One connection's requests, in order. `deliver` is called with each, as soon as its last byte is there.

    `expects_body` is called where a client waits for "100 Continue" before it sends one. After an error nothing
    more may be fed: where the next request would begin is not known any more.
    """

    def __init__(
        self, limits: ParserLimits, deliver: Callable[[Request], None], expects_body: Callable[[], None]
    ) -> None:
        self._limits = limits
        self._deliver = deliver
        self._expects_body = expects_body
        self._parser = httptools.HttpRequestParser(self)
        self._error: HttpError | None = None
        self._head_fed = 0  # bytes of a head that is not complete, fed in earlier calls
        self._fed = 0  # bytes of the call under way
        self._delivered = False  # a request was delivered in the call under way
        self._ended = False  # the last request said that it is the last
        self._start()

    def _start(self) -> None:
        self._url = b""
        self._headers: Headers = []
        self._special: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_size = 0
        self._body_fed = 0  # bytes from which the body was read: with its chunk sizes and trailers
        self._http10 = False
        self._lead: bytes | None = b""  # empty lines before a request, as far as half of one; None once it has begun
        self.in_body = False

    @property
    def in_head(self) -> bool:
        """Whether a request has begun whose head is not complete."""
        return self._head_fed > 0

    def feed(self, data: bytes | memoryview) -> int:
        """Take some of `data`, and say how much: call again with the rest. `HttpError` for what can't be a request."""
        if self._ended:
            return len(data)  # a client that said "close" and goes on is not listened to (RFC 9112 section 9.6)
        if len(data) > _SLICE:
            data = memoryview(data)[:_SLICE]
        lead = self._lead
        if lead is not None and not self.in_body:
            self._lead = _after_empty_lines(lead, bytes(data)) if lead or data[0] in b"\r\n" else None
        self._fed = size = len(data)
        self._delivered = False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            if not self._ended:
                raise self._error or _refusal(error) from error
        if self._delivered and data[-1] == 13:
            self._lead = None  # a body's last byte, or the half of an empty line: it can't be told
        if not self._delivered or self._url or self.in_body:
            self._count(size)
        else:
            self._head_fed = 0
        return size

    def _count(self, size: int) -> None:
        """Hold what is not complete yet to its limits."""
        if self.in_body:
            self._head_fed = 0
            self._body_fed += size
            # Chunks of one byte take six; what is beyond that is trailers, which nobody asked for.
            if self._body_fed - 8 * self._body_size > self._limits.max_head + _SLICE:
                raise HttpError(431, "headers-too-large", "chunk sizes and trailers take too much beside the body")
        else:
            if self._delivered:
                self._lead = None
            # How much of a call that also ended a request belongs to this head is not known: it counts as one byte.
            self._head_fed += 1 if self._delivered else size
            if self._head_fed > self._limits.max_head:
                raise self._too_large()

    def _feed(self, data: bytes | memoryview) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # An upgrade may be ignored (RFC 9110 section 7.8), and what follows is the next request.
            rest = data[upgrade.args[0] :]
            if rest and not self._ended:
                self._feed(rest)

    def _too_large(self) -> HttpError:
        limits = self._limits
        if len(self._url) > limits.max_target:
            return HttpError(414, "target-too-long", f"the request target may have {limits.max_target} bytes")
        return HttpError(
            431, "headers-too-large", f"request line and headers may have {limits.max_head} bytes together"
        )

    # What httptools calls. An exception in one of these ends the parsing.

    def on_url(self, url: bytes) -> None:
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_body:
            return  # a trailer must not pass for a header (RFC 9110 section 6.5.1)
        self._headers.append((name, value))
        special = _SPECIAL.get(name) or _SPECIAL.get(name.lower())
        if special is not None:
            self._special.append((special, value))

    def on_headers_complete(self) -> None:
        try:
            self._check_head()
        except HttpError as error:
            self._error = error
            raise
        self.in_body = True

    def on_body(self, part: bytes) -> None:
        self._body_size += len(part)
        if self._body_size > self._limits.max_body:
            self._error = self._body_too_large()
            raise self._error
        self._body.append(part)

    def on_message_complete(self) -> None:
        parser = self._parser
        body = self._body
        keep_alive = parser.should_keep_alive()
        request = Request(
            parser.get_method(),
            self._url,
            self._headers,
            (body[0] if len(body) == 1 else b"".join(body)) if body else b"",
            keep_alive,
            self._http10,
        )
        self._ended = not keep_alive
        self._delivered = True
        self._start()
        self._deliver(request)

    def _check_head(self) -> None:
        limits = self._limits
        if len(self._url) > limits.max_target:
            raise self._too_large()
        if len(self._headers) > limits.max_headers:
            raise HttpError(431, "too-many-headers", f"a request may have {limits.max_headers} headers")
        if self._head_fed + self._fed > limits.max_head:
            size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)
            if size > limits.max_head:
                raise self._too_large()
        version = self._parser.get_http_version()
        if version != "1.1":
            if version != "1.0":
                raise HttpError(505, "http-version", f"HTTP/{version} is not spoken here; HTTP/1.1 and HTTP/1.0 are")
            self._http10 = True
        url = self._url
        if url[0] != 47:  # "/"
            self._url = _path_of(url, self._parser.get_method())
        if b"#" in url:
            raise HttpError(400, "bad-request", "the request target has a '#', which is never sent")
        self._check_special()

    def _check_special(self) -> None:
        hosts = 0
        expected = False
        for name, value in self._special:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                if int(value) > self._limits.max_body:
                    raise self._body_too_large()
            elif name == b"transfer-encoding":
                if self._http10:
                    raise HttpError(400, "bad-framing", "HTTP/1.0 has no Transfer-Encoding")
                if value.lower() != b"chunked":
                    raise HttpError(501, "transfer-coding", "the only transfer coding understood is chunked")
            elif value.lower() == b"100-continue":
                expected = not self._http10
            else:
                raise HttpError(417, "expectation", "the only expectation understood is 100-continue")
        if hosts != 1 and (hosts or not self._http10):
            raise HttpError(400, "bad-host", f"a request must have one Host header; this has {hosts or 'none'}")
        if expected:
            self._expects_body()

    def _body_too_large(self) -> HttpError:
        return HttpError(413, "body-too-large", f"a body may have {self._limits.max_body} bytes")


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
    if method == b"CONNECT":
        raise HttpError(501, "not-a-proxy", "CONNECT is for proxies, and this is none")
    raise HttpError(400, "bad-target", "the request target must be a path that begins with '/'")


def _refusal(error: httptools.HttpParserError) -> HttpError:
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return HttpError(400, "bad-request", "the request does not begin with a method that HTTP knows")
    return HttpError(400, "bad-request", f"this is not a valid HTTP request: {error}")
