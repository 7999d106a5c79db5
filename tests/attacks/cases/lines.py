"""Ends of lines, folding, and bytes that no line may hold (RFC 9112 sections 2.2 and 5, RFC 9110 section 5)."""

from __future__ import annotations

from typing import Final

from attacks.framing import BODY, CHUNKED, GET, LENGTH, PUT, SMUGGLED, Case, answered, refused, refused_behind, taken

_ENDS: Final = {"a bare LF": b"\n", "a bare CR": b"\r", "CR CR LF": b"\r\r\n", "LF CR": b"\n\r"}
# Each place where a line ends, by the number of the end among those of this request, in two forms.
_PLAIN: Final = LENGTH + b"X: y\r\n\r\nbody"
_CHUNKS: Final = CHUNKED + b"4\r\nbody\r\n0\r\nT: u\r\n\r\n"
_PLACES: Final = (
    ("the request line", "9112 2.2", _PLAIN, 0),
    ("the first header", "9112 2.2", _PLAIN, 1),
    ("the length", "9112 2.2", _PLAIN, 2),
    ("the last header", "9112 2.2", _PLAIN, 3),
    ("the head", "9112 2.2", _PLAIN, 4),
    ("the head of chunks", "9112 2.2", _CHUNKS, 3),
    ("a chunk's size", "9112 7.1", _CHUNKS, 4),
    ("a chunk's data", "9112 7.1", _CHUNKS, 5),
    ("the last chunk", "9112 7.1", _CHUNKS, 6),
    ("a trailer", "9112 7.1.2", _CHUNKS, 7),
    ("the trailers", "9112 7.1.2", _CHUNKS, 8),
)


def _ending(request: bytes, number: int, end: bytes) -> bytes:
    lines = request.split(b"\r\n")
    return b"\r\n".join(lines[: number + 1]) + end + b"\r\n".join(lines[number + 1 :])


_CONTROLS: Final = {"NUL": 0, "BEL": 7, "a vertical tab": 0x0B, "a form feed": 0x0C, "ESC": 0x1B, "DEL": 0x7F}

CASES: Final[tuple[Case, ...]] = (
    *(
        refused(f"line: {said} ends {place}", section, _ending(request, number, end) + SMUGGLED)
        for place, section, request, number in _PLACES
        for said, end in _ENDS.items()
    ),
    *(refused_behind(f"line: {said} between requests", "9112 2.2", _PLAIN + end) for said, end in _ENDS.items()),
    *(refused(f"line: {said} before the first request", "9112 2.2", end + _PLAIN) for said, end in _ENDS.items()),
    taken("line: an empty one between requests", "9112 2.2", _PLAIN + b"\r\n"),
    taken("line: two empty ones before a request", "9112 2.2", b"\r\n\r\n" + _PLAIN),
    refused_behind("line: a space between requests", "9112 2.2", _PLAIN + b" "),
    refused_behind("line: an empty one, and then a bare LF", "9112 2.2", _PLAIN + b"\r\n\n"),
    refused("line: a space before the request", "9112 3", b" " + _PLAIN),
    refused("line: a tab before the request", "9112 3", b"\t" + _PLAIN),
    refused("line: NUL before the request", "9112 3", b"\0" + _PLAIN),
    refused("line: a BOM before the request", "9112 3", b"\xef\xbb\xbf" + _PLAIN),
    refused("line: a header folded by a space", "9112 5.2", PUT + b"X: y\r\n z\r\nContent-Length: 4\r\n\r\nbody"),
    refused("line: a header folded by a tab", "9112 5.2", PUT + b"X: y\r\n\tz\r\nContent-Length: 4\r\n\r\nbody"),
    refused("line: a header folded and empty", "9112 5.2", PUT + b"X:\r\n \r\nContent-Length: 4\r\n\r\nbody"),
    refused("line: a header folded and the last", "9112 5.2", PUT + b"X: y\r\n z\r\n\r\n"),
    refused("line: Host folded", "9112 5.2", b"GET /v1.1/a/q/1 HTTP/1.1\r\nHost:\r\n a\r\n\r\n"),
    refused("line: a space before the first header", "9112 2.2", b"GET /v1.1/a/q/1 HTTP/1.1\r\n Host: a\r\n\r\n"),
    refused("line: only a space before the headers", "9112 2.2", b"GET /v1.1/a/q/1 HTTP/1.1\r\n \r\nHost: a\r\n\r\n"),
    refused("line: a trailer folded", "9112 5.2", CHUNKED + b"4\r\nbody\r\n0\r\nT: u\r\n v\r\n\r\n"),
    refused("line: a space before a header's colon", "9112 5.1", GET + b"X : y\r\n\r\n"),
    refused("line: a tab before a header's colon", "9112 5.1", GET + b"X\t: y\r\n\r\n"),
    refused("line: a space before a trailer's colon", "9112 5.1", CHUNKED + b"4\r\nbody\r\n0\r\nT : u\r\n\r\n"),
    refused("line: a header without a name", "9110 5.1", GET + b": y\r\n\r\n"),
    refused("line: a header without a colon", "9112 5", GET + b"nothing\r\n\r\n"),
    refused("line: a header that is only a colon", "9110 5.1", GET + b":\r\n\r\n"),
    refused("line: a header with a space in its name", "9110 5.1", GET + b"X Y: z\r\n\r\n"),
    *(
        refused(f"line: {said.decode()} in a header's name", "9110 5.6.2", GET + b"X" + said + b"Y: z\r\n\r\n")
        for said in (b"(", b")", b"@", b"/", b"[", b'"', b"{", b"=", b",", b";", b"\\", b"<", b"?")
    ),
    refused("line: an obs-text byte in a header's name", "9110 5.1", GET + b"X\xe9: y\r\n\r\n"),
    *(
        refused(f"line: {said} in a header's name", "9110 5.1", GET + b"X%cY: z\r\n\r\n" % byte)
        for said, byte in _CONTROLS.items()
    ),
    *(
        refused(f"line: {said} in a header's value", "9110 5.5", GET + b"X: y%cz\r\n\r\n" % byte)
        for said, byte in _CONTROLS.items()
    ),
    *(
        refused(f"line: {said} in a trailer", "9110 5.5", CHUNKED + b"4\r\nbody\r\n0\r\nT: u%cv\r\n\r\n" % byte)
        for said, byte in _CONTROLS.items()
    ),
    refused("line: a bare CR in a header's value", "9112 2.2", GET + b"X: y\rz\r\n\r\n"),
    refused(
        "line: a bare CR and a request in a header's value", "9112 2.2", GET + b"X: y\r\r" + SMUGGLED + b"\r\n\r\n"
    ),
    refused(
        "line: a bare LF and a header in a header's value", "9112 2.2", GET + b"X: y\nContent-Length: 4\r\n\r\n" + BODY
    ),
    answered("line: obs-text in a header's value", "9110 5.5", GET + b"X: \x80\xe9\xff\r\n\r\n", 404),
    answered("line: UTF-8 in a header's value", "9110 5.5", GET + "X: é€\r\n\r\n".encode(), 404),
    answered("line: a tab in a header's value", "9110 5.5", GET + b"X: y\tz\r\n\r\n", 404),
    answered("line: a header without a value", "9110 5.5", GET + b"X:\r\n\r\n", 404),
    answered("line: all that a name may be made of", "9110 5.6.2", GET + b"!#$%&'*+-.^_`|~09Az: y\r\n\r\n", 404),
)
