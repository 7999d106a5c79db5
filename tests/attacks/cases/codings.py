"""Transfer codings: which are understood, how they are spelled, and beside what (RFC 9112 sections 6.1 and 6.3)."""

from __future__ import annotations

from typing import Final

from attacks.framing import BODY, LENGTH, PUT, SMUGGLED, Case, cut_off, refused, refused_behind, taken

_CHUNKS: Final = b"4\r\nbody\r\n0\r\n\r\n"


def _of(value: bytes, more: bytes = b"") -> bytes:
    return PUT + b"Transfer-Encoding: " + value + b"\r\n" + more + b"\r\n" + _CHUNKS


def _old(lines: bytes, body: bytes = _CHUNKS) -> bytes:
    return b"PUT /v1.1/a/q/1 HTTP/1.0\r\nHost: a\r\n" + lines + b"\r\n" + body


CASES: Final[tuple[Case, ...]] = (
    taken("coding: plain", "9112 7.1", _of(b"chunked")),
    taken("coding: in capitals", "9112 7", _of(b"CHUNKED")),
    taken("coding: in odd case", "9112 7", _of(b"cHuNkEd")),
    taken("coding: spaces before it", "9112 5", _of(b"   chunked")),
    taken("coding: a tab before it", "9112 5", _of(b"\tchunked")),
    taken("coding: spaces behind it", "9112 5", _of(b"chunked  ")),
    taken("coding: TE says what a client takes, and no more", "9110 10.1.4", LENGTH + b"TE: chunked\r\n\r\nbody"),
    refused("coding: a length before it", "9112 6.3", LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + _CHUNKS),
    refused("coding: a length behind it", "9112 6.3", _of(b"chunked", b"Content-Length: 4\r\n")),
    refused(
        "coding: a length covers the chunks, which hide a request",
        "9112 6.3",
        PUT + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(SMUGGLED) + 5) + SMUGGLED,
    ),
    refused(
        "coding: the chunks cover what a length leaves over",
        "9112 6.3",
        PUT
        + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n%x\r\n" % len(SMUGGLED)
        + SMUGGLED
        + b"\r\n0\r\n\r\n",
    ),
    refused("coding: an empty length beside it", "9112 6.3", _of(b"chunked", b"Content-Length:\r\n")),
    refused("coding: a length of zero beside it", "9112 6.3", _of(b"chunked", b"Content-Length: 0\r\n")),
    refused("coding: a length beside an unknown one", "9112 6.3", LENGTH + b"Transfer-Encoding: cow\r\n\r\nbody"),
    refused("coding: a length beside identity", "9112 6.3", LENGTH + b"Transfer-Encoding: identity\r\n\r\nbody"),
    refused("coding: chunked twice in a line", "9112 6.1", _of(b"chunked, chunked")),
    refused("coding: chunked in two lines", "9112 6.1", _of(b"chunked", b"Transfer-Encoding: chunked\r\n")),
    refused("coding: identity", "9112 6.1", _of(b"identity")),
    refused("coding: identity before chunked", "9112 6.1", _of(b"identity, chunked"), 501),
    refused("coding: identity behind chunked", "9112 6.1", _of(b"chunked, identity")),
    refused("coding: identity in a line of its own", "9112 6.1", _of(b"chunked", b"Transfer-Encoding: identity\r\n")),
    refused(
        "coding: chunked behind identity, in two lines",
        "9112 6.1",
        _of(b"identity", b"Transfer-Encoding: chunked\r\n"),
        501,
    ),
    refused("coding: gzip before chunked", "9112 6.1", _of(b"gzip, chunked"), 501),
    refused(
        "coding: gzip before chunked, in two lines", "9112 6.1", _of(b"gzip", b"Transfer-Encoding: chunked\r\n"), 501
    ),
    refused("coding: gzip behind chunked", "9112 6.3", _of(b"chunked, gzip")),
    refused("coding: gzip alone", "9112 6.3", _of(b"gzip")),
    refused("coding: unknown", "9112 6.1", _of(b"cow")),
    refused("coding: unknown before chunked", "9112 6.1", _of(b"cow, chunked"), 501),
    refused("coding: unknown behind chunked, in two lines", "9112 6.3", _of(b"chunked", b"Transfer-Encoding: cow\r\n")),
    refused("coding: a letter before it", "9112 7", _of(b"xchunked")),
    refused("coding: a letter behind it", "9112 7", _of(b"chunkedx")),
    refused("coding: cut short", "9112 7", _of(b"chunke")),
    refused("coding: quoted", "9112 7", _of(b'"chunked"')),
    refused("coding: with a parameter", "9112 7", _of(b"chunked;q=1")),
    refused("coding: with a semicolon", "9112 7", _of(b"chunked;")),
    refused("coding: a comma before it", "9112 6.1", _of(b", chunked"), 501),
    refused("coding: a comma behind it", "9112 6.1", _of(b"chunked,")),
    refused("coding: empty", "9112 6.1", _of(b"")),
    refused("coding: empty, and chunked in another line", "9112 6.1", _of(b"", b"Transfer-Encoding: chunked\r\n"), 400),
    refused("coding: a vertical tab before it", "9110 5.5", _of(b"\x0bchunked")),
    refused("coding: a vertical tab behind it", "9110 5.5", _of(b"chunked\x0b")),
    refused("coding: a form feed before it", "9110 5.5", _of(b"\x0cchunked")),
    refused("coding: NUL behind it", "9110 5.5", _of(b"chunked\0")),
    refused("coding: a no-break space before it", "9112 7", _of(b"\xa0chunked")),
    refused("coding: a letter of Unicode that folds to k", "9112 7", _of("chun\u212aed".encode())),
    refused("coding: folded", "9112 5.2", PUT + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + _CHUNKS),
    refused("coding: continued by a folded line", "9112 5.2", _of(b"chunked\r\n , identity")),
    refused("coding: a bare CR before it", "9112 2.2", PUT + b"X: y\rTransfer-Encoding: chunked\r\n\r\n" + _CHUNKS),
    refused("coding: a bare LF before it", "9112 2.2", PUT + b"X: y\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKS),
    refused("coding: a space before the colon", "9112 5.1", PUT + b"Transfer-Encoding : chunked\r\n\r\n" + _CHUNKS),
    refused("coding: a tab before the colon", "9112 5.1", PUT + b"Transfer-Encoding\t: chunked\r\n\r\n" + _CHUNKS),
    refused("coding: NUL in its name", "9110 5.1", PUT + b"Transfer-Encoding\0: chunked\r\n\r\n" + _CHUNKS),
    refused("coding: a space before its name", "9112 5.2", PUT + b" Transfer-Encoding: chunked\r\n\r\n" + _CHUNKS),
    refused_behind(
        "coding: a name that is only like it",
        "9110 5.1",
        PUT + b"Transfer_Encoding: chunked\r\n\r\n" + _CHUNKS,
        body=b"",
    ),
    refused_behind(
        "coding: as the value of another header",
        "9110 5.1",
        PUT + b"X: Transfer-Encoding: chunked\r\n\r\n" + _CHUNKS,
        body=b"",
    ),
    refused("coding: in HTTP/1.0", "9112 6.1", _old(b"Transfer-Encoding: chunked\r\n")),
    refused(
        "coding: in HTTP/1.0 that keeps its connection",
        "9112 6.1",
        _old(b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"),
    ),
    refused(
        "coding: in HTTP/1.0 with a length", "9112 6.1", _old(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n")
    ),
    refused("coding: gzip in HTTP/1.0", "9112 6.1", _old(b"Transfer-Encoding: gzip\r\n", BODY)),
    refused("coding: with an upgrade", "9110 7.8", _of(b"chunked", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"), 501),
    cut_off("coding: chunks that never end", "9112 8", PUT + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"),
)
