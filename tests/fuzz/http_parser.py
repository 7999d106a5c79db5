"""The target `parser`: the same requests come out wherever the bytes are cut, with the shortcut or without.

The first three bytes of an input say how the rest, a connection's bytes, is cut, and by which limits it is read.
"""

# ruff: noqa: PT017 - a code of an error is a rule that is checked, where others would be raised

from __future__ import annotations

import itertools
import random
from typing import Final, TypeAlias

from scalestack.http.known import Known
from scalestack.http.message import Head, Request, Response
from scalestack.http.parser import ParserLimits, RequestParser
from scalestack.http.problem import HttpError
from scalestack.http.router import Route, Router

Seen: TypeAlias = tuple[str, str, list[tuple[bytes, bytes]], bytes, bool, bool, bool]

# No input is as large as these, so that they can't depend on how it is cut.
WIDE: Final = ParserLimits(max_target=64 << 10, max_head=64 << 10, max_headers=20, max_body=1 << 20)
NARROW: Final = ParserLimits(max_target=64, max_head=256, max_headers=4, max_body=100)
STATUSES: Final = {400, 403, 413, 414, 417, 431, 501, 505}
HEADER: Final = 3  # bytes of an input that are not sent

_DONE: Final = Response(204)
_METHODS: Final = ("GET", "PUT", "POST", "DELETE", "PATCH")
_PATHS: Final = ("/{account}", "/{account}/{queue}", "/{account}/{queue}/{message}")


def _done(request: Request, *parameters: str) -> Response:
    return _DONE


_ROUTES: Final = [Route(method, "/v1.1" + path, _done) for method in _METHODS for path in _PATHS]


class Connection:
    """What a server makes of the bytes of one connection, as `scalestack.http.protocol` reads them."""

    def __init__(self, limits: ParserLimits, known: Known | None, router: Router) -> None:
        self.seen: list[Seen] = []
        self.ends: list[int] = []  # how many bytes were there when each request was complete
        self.continues = 0
        self.error: HttpError | None = None
        self.recognized = 0
        self._router = router
        self._known = known
        self._head = Head([])
        self._fed = 0
        self._parser = RequestParser(limits, self._deliver, self._expects_body, known)

    def send(self, pieces: list[bytes]) -> Connection:
        try:
            for piece in pieces:
                self._fed += len(piece)
                self._receive(piece)
        except HttpError as error:
            self.error = error
        return self

    def _receive(self, piece: bytes) -> None:
        if self._known is not None and self._parser.fresh:
            found = self._known.recognize(piece, self._head, self._router.paths, self._parser.longest)
            if found is not None:
                request, entry, parameters = found
                self._head = request.head
                self.recognized += 1
                self._note(request)
                self._router.paths.clear()  # so that it is asked without what it remembers
                assert self._router.find(request.line) == (entry, parameters), "the shortcut leads elsewhere"
                return
        taken = 0
        while taken < len(piece):
            step = self._parser.feed(piece[taken:])
            assert 0 < step <= len(piece) - taken, "it takes nothing, or more than there is"
            taken += step

    def _deliver(self, request: Request) -> None:
        self._note(request)
        if self._known is not None:
            try:
                self._router.find(request.line)
            except HttpError as error:
                assert error.status in {400, 404, 405}, error

    def _note(self, request: Request) -> None:
        assert not self.seen or self.seen[-1][4], "a request after the last one"
        self.ends.append(self._fed)
        self.seen.append(
            (
                request.line,
                request.query,
                request.headers,
                request.body,
                request.keep_alive,
                request.http10,
                request.usual,
            )
        )

    def _expects_body(self) -> None:
        self.continues += 1


def check(data: bytes) -> None:
    """Read an input in all ways; `AssertionError` where a rule is broken."""
    if len(data) < HEADER:
        return
    rng = random.Random(data[:HEADER])
    stream = data[HEADER:]
    if data[0] & 1:
        _check_limits(stream, rng)
        return
    router = Router(_ROUTES)
    whole = _checked(Connection(WIDE, None, router).send([stream]))
    bytewise = _same(whole, Connection(WIDE, None, router).send(_cut(stream, range(len(stream)))))
    edges = [rng.randrange(len(stream) + 1) for _ in range(rng.randrange(1, 6))]
    _same(whole, Connection(WIDE, None, router).send(_cut(stream, edges)))
    # What was read once is known the second time, where a request comes in a piece of its own.
    known = Known()
    requests = _cut(stream, bytewise.ends)
    for _ in range(2):
        _same(whole, Connection(WIDE, known, router).send(requests))
    _same(whole, Connection(WIDE, known, router).send(_cut(stream, edges)))
    _same(whole, Connection(WIDE, known, router).send([stream]))


def _check_limits(stream: bytes, rng: random.Random) -> None:
    """Small limits are kept, with the shortcut and without."""
    router = Router(_ROUTES)
    known = Known()
    ends = Connection(WIDE, None, router).send(_cut(stream, range(len(stream)))).ends
    edges = [rng.randrange(len(stream) + 1) for _ in range(rng.randrange(1, 6))]
    for cuts in (edges, ends, ends):
        connection = _checked(Connection(NARROW, known, router).send(_cut(stream, cuts)))
        for line, query, headers, body, *_ in connection.seen:
            target = len(line.partition(" ")[2]) + (len(query) + 1 if query else 0)
            assert target <= NARROW.max_target, "too long a target"
            assert len(headers) <= NARROW.max_headers, "too many headers"
            assert target + sum(len(name) + len(value) + 4 for name, value in headers) <= NARROW.max_head, (
                "a large head"
            )
            assert len(body) <= NARROW.max_body, "too large a body"


def _cut(stream: bytes, at: range | list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *at})
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


def _checked(connection: Connection) -> Connection:
    if connection.error is not None:
        assert connection.error.status in STATUSES, connection.error
    for line, query, headers, *_, http10, usual in connection.seen:
        method, _, path = line.partition(" ")
        assert path.startswith("/") or (method == "OPTIONS" and path == "*"), "no path"
        target = path + query
        assert target.isascii() and target.isprintable(), "what can't stand in a target"  # noqa: PT018
        assert not set(target) & {" ", "#"}, "what can't stand in a target"
        hosts = [value for name, value in headers if name.lower() == b"host"]
        assert len(hosts) == 1 or (http10 and not hosts), "not one host"
        assert not (usual and http10), "it takes HTTP/1.0 for usual"
        for name, value in headers:
            assert name, "a header without a name"
            assert not set(name + value) & set(b"\r\n\0"), "an end of a line in a header"
        _check_framing(headers)
    return connection


def _check_framing(headers: list[tuple[bytes, bytes]]) -> None:
    """How long a body is has been said in one way (RFC 9112 section 6.3)."""
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    codings = [value for name, value in headers if name.lower() == b"transfer-encoding"]
    assert len(lengths) + len(codings) <= 1, "two lengths of a body"
    assert all(value.isdigit() for value in lengths), "a length that is no number"
    assert all(value.lower() == b"chunked" for value in codings), "a coding that is not understood"


def _same(one: Connection, other: Connection) -> Connection:
    assert other.seen == one.seen, f"other requests: {other.seen} and {one.seen}"
    assert other.continues == one.continues, "another count of those that wait for 100 Continue"
    assert (other.error is None) == (one.error is None), f"refused or not: {other.error!r} and {one.error!r}"
    if one.error is not None and other.error is not None:
        # A head that is too large and wrong as well may be refused for either.
        statuses = {other.error.status, one.error.status}
        assert len(statuses) == 1 or statuses & {414, 431}, f"{other.error!r} and {one.error!r}"
    return other
