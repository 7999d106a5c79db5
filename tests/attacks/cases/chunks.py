"""Chunks: sizes, extensions, data, and trailers (RFC 9112 section 7.1)."""

from __future__ import annotations

from typing import Final

from attacks.framing import BODY, CHUNKED, LAST, SMUGGLED, Case, cut_off, ended, refused, taken


def _size(size: bytes) -> bytes:
    return CHUNKED + size + b"\r\nbody\r\n" + LAST


def _trailers(lines: bytes) -> bytes:
    return CHUNKED + b"4\r\nbody\r\n0\r\n" + lines + b"\r\n"


_TEN: Final = b"bodybodybo"

CASES: Final[tuple[Case, ...]] = (
    taken("chunk: no data at all", "9112 7.1", CHUNKED + LAST, b""),
    taken("chunk: several", "9112 7.1", CHUNKED + b"1\r\nb\r\n2\r\nod\r\n1\r\ny\r\n" + LAST),
    taken("chunk: leading zeros", "9112 7.1", _size(b"0004")),
    taken("chunk: a capital digit", "9112 7.1", CHUNKED + b"A\r\n" + _TEN + b"\r\n" + LAST, _TEN),
    taken("chunk: a small digit", "9112 7.1", CHUNKED + b"a\r\n" + _TEN + b"\r\n" + LAST, _TEN),
    taken("chunk: a last one of many zeros", "9112 7.1", CHUNKED + b"4\r\nbody\r\n0000\r\n\r\n"),
    taken(
        "chunk: data that look like a request",
        "9112 7.1",
        CHUNKED + b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n" + LAST,
        SMUGGLED,
    ),
    taken(
        "chunk: data that look like the last chunk", "9112 7.1", CHUNKED + b"5\r\n0\r\n\r\n\r\n" + LAST, b"0\r\n\r\n"
    ),
    taken("chunk: data of line ends alone", "9112 7.1", CHUNKED + b"8\r\n\r\n\r\n\r\n\r\n\r\n" + LAST, b"\r\n" * 4),
    refused("chunk: a plus", "9112 7.1", _size(b"+4")),
    refused("chunk: a minus", "9112 7.1", _size(b"-4")),
    refused("chunk: minus zero at the end", "9112 7.1", CHUNKED + b"4\r\nbody\r\n-0\r\n\r\n"),
    refused("chunk: 0x", "9112 7.1", _size(b"0x4")),
    refused("chunk: 0x at the end", "9112 7.1", CHUNKED + b"4\r\nbody\r\n0x0\r\n\r\n"),
    refused("chunk: an underscore", "9112 7.1", CHUNKED + b"1_0\r\n" + b"b" * 16 + b"\r\n" + LAST),
    refused("chunk: a space before the size", "9112 7.1", _size(b" 4")),
    refused("chunk: a tab before the size", "9112 7.1", _size(b"\t4")),
    refused("chunk: a space behind the size", "9112 7.1", _size(b"4 ")),
    refused("chunk: a tab behind the size", "9112 7.1", _size(b"4\t")),
    refused("chunk: a space in the size", "9112 7.1", _size(b"0 4")),
    refused("chunk: NUL behind the size", "9112 7.1", _size(b"4\0")),
    refused("chunk: no digits", "9112 7.1", _size(b"")),
    refused("chunk: no digits but an extension", "9112 7.1", _size(b";a=b")),
    refused("chunk: no hexadecimal digit", "9112 7.1", _size(b"g")),
    refused("chunk: a letter behind the size", "9112 7.1", _size(b"4h")),
    refused("chunk: a digit of full width", "9112 7.1", _size("４".encode())),  # noqa: RUF001 - that is the case
    refused("chunk: a quoted size", "9112 7.1", _size(b'"4"')),
    refused("chunk: 2^64", "9112 7.1", _size(b"10000000000000000")),
    refused("chunk: 2^64 and 4", "9112 7.1", _size(b"10000000000000004")),
    refused("chunk: 2^65", "9112 7.1", _size(b"20000000000000000")),
    refused("chunk: of 100 digits", "9112 7.1", _size(b"f" * 100)),
    taken("chunk: an extension", "9112 7.1.1", _size(b"4;a")),
    taken("chunk: an extension with a value", "9112 7.1.1", _size(b"4;a=b")),
    taken("chunk: two extensions", "9112 7.1.1", _size(b"4;a=b;c")),
    taken("chunk: an extension with a quoted value", "9112 7.1.1", _size(b'4;a="b c"')),
    taken("chunk: an extension with a quoted pair", "9112 7.1.1", _size(b'4;a="b\\"c"')),
    taken("chunk: an extension of the last one", "9112 7.1.1", CHUNKED + b"4\r\nbody\r\n0;a=b\r\n\r\n"),
    refused("chunk: an extension that says nothing", "9112 7.1.1", _size(b"4;")),
    refused("chunk: a bare CR in an extension", "9112 7.1.1", _size(b"4;a\rb")),
    refused("chunk: a bare LF in an extension", "9112 7.1.1", _size(b"4;a\nb")),
    refused("chunk: a bare LF ends an extension", "9112 7.1.1", CHUNKED + b"4;a\nbody\r\n" + LAST),
    refused("chunk: a bare CR in a quoted value", "9112 7.1.1", _size(b'4;a="b\rc"')),
    refused("chunk: a bare LF in a quoted value", "9112 7.1.1", _size(b'4;a="b\nc"')),
    refused("chunk: a line's end in a quoted value", "9112 7.1.1", _size(b'4;a="b\r\nc"')),
    refused("chunk: NUL in an extension", "9112 7.1.1", _size(b"4;a\0")),
    refused("chunk: DEL in a quoted value", "9112 7.1.1", _size(b'4;a="\x7f"')),
    refused("chunk: a quoted value that does not end", "9112 7.1.1", _size(b'4;a="b')),
    refused("chunk: an extension of 500,000 bytes", "9112 7.1.1", _size(b"4;a=" + b"b" * 500_000), 431),
    refused("chunk: 50,000 extensions", "9112 7.1.1", _size(b"4" + b";a=b" * 50_000), 431),
    refused("chunk: no line's end behind the data", "9112 7.1", CHUNKED + b"4\r\nbody0\r\n\r\n"),
    refused("chunk: a space behind the data", "9112 7.1", CHUNKED + b"4\r\nbody \r\n" + LAST),
    refused("chunk: data that are longer than the size", "9112 7.1", CHUNKED + b"4\r\nbodybody\r\n" + LAST),
    refused("chunk: data that are shorter than the size", "9112 7.1", CHUNKED + b"6\r\nbody\r\n" + LAST),
    refused("chunk: two line ends behind the data", "9112 7.1", CHUNKED + b"4\r\nbody\r\n\r\n" + LAST),
    refused("chunk: no last line's end", "9112 7.1", CHUNKED + b"4\r\nbody\r\n0\r\n"),
    cut_off("chunk: larger than what comes", "9112 8", CHUNKED + b"ffffff\r\nbody"),
    cut_off("chunk: 2^63 less 1", "9112 8", CHUNKED + b"7fffffffffffffff\r\nbody"),
    cut_off("chunk: the size is cut off", "9112 8", CHUNKED + b"4"),
    cut_off("chunk: the last one is cut off", "9112 8", CHUNKED + b"4\r\nbody\r\n0\r\n\r"),
    taken("trailer: one", "9112 7.1.2", _trailers(b"T: u\r\n")),
    taken("trailer: as many as may be", "9112 7.1.2", _trailers(b"T: u\r\n" * 100)),
    refused("trailer: one too many", "9112 7.1.2", _trailers(b"T: u\r\n" * 101), 431),
    refused("trailer: one of 500,000 bytes", "9112 7.1.2", _trailers(b"T: " + b"u" * 500_000 + b"\r\n"), 431),
    refused("trailer: a length", "9110 6.5.1", _trailers(b"Content-Length: 100\r\n")),
    refused("trailer: a coding", "9110 6.5.1", _trailers(b"Transfer-Encoding: gzip\r\n")),
    taken("trailer: Host is ignored", "9110 6.5.1", _trailers(b"Host: b\r\nHost: c\r\n")),
    ended("trailer: close", "9112 9.6", _trailers(b"Connection: close\r\n") + SMUGGLED, 201, **{"1": BODY}),
    taken("trailer: Upgrade is ignored", "9110 6.5.1", _trailers(b"Connection: Upgrade\r\nUpgrade: h2c\r\n")),
    taken("trailer: Expect is ignored", "9110 6.5.1", _trailers(b"Expect: miracles\r\n")),
    taken("trailer: Authorization is ignored", "9110 6.5.1", _trailers(b"Authorization: a\r\nAuthorization: b\r\n")),
    refused("trailer: without a colon", "9112 7.1.2", _trailers(b"nothing\r\n")),
    refused("trailer: a request instead of trailers", "9112 7.1.2", CHUNKED + b"4\r\nbody\r\n0\r\n" + SMUGGLED),
)
