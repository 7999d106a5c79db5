"""Bodies with a Content-Length (RFC 9110 section 8.6, RFC 9112 section 6.3)."""

from __future__ import annotations

from typing import Final

from attacks.framing import BODY, LENGTH, PUT, SMUGGLED, Case, answered, cut_off, refused, refused_behind, taken


def _of(value: bytes, body: bytes = BODY) -> bytes:
    return PUT + b"Content-Length: " + value + b"\r\n\r\n" + body


CASES: Final[tuple[Case, ...]] = (
    taken("length: plain", "9112 6.3", _of(b"4")),
    taken("length: of a body that looks like a request", "9112 6.3", _of(b"%d" % len(SMUGGLED), SMUGGLED), SMUGGLED),
    taken("length: zero", "9112 6.3", _of(b"0", b""), b""),
    taken("length: leading zeros", "9110 8.6", _of(b"0004")),
    taken("length: 300 leading zeros", "9110 8.6", _of(b"0" * 300 + b"4")),
    taken("length: spaces before it", "9112 5", _of(b"    4")),
    taken("length: a tab before it", "9112 5", _of(b"\t4")),
    taken("length: spaces behind it", "9112 5", _of(b"4  ")),
    taken("length: a tab behind it", "9112 5", _of(b"4\t")),
    taken("length: its name in capitals", "9110 5.1", PUT + b"CONTENT-LENGTH: 4\r\n\r\nbody"),
    taken("length: its name in odd case", "9110 5.1", PUT + b"cONTENT-lENGTH: 4\r\n\r\nbody"),
    refused("length: two that are equal", "9112 6.3", LENGTH + b"Content-Length: 4\r\n\r\nbody"),
    refused("length: two that differ", "9112 6.3", LENGTH + b"Content-Length: 5\r\n\r\nbody"),
    refused("length: two, the second hides a request", "9112 6.3", LENGTH + b"Content-Length: 0\r\n\r\n" + SMUGGLED),
    refused(
        "length: two, the first hides a request",
        "9112 6.3",
        PUT + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    ),
    refused("length: two in different case", "9112 6.3", LENGTH + b"content-length: 5\r\n\r\nbody"),
    refused("length: two, far apart", "9112 6.3", LENGTH + b"X: y\r\n" * 20 + b"Content-Length: 4\r\n\r\nbody"),
    refused("length: a list of equal ones", "9112 6.3", _of(b"4, 4")),
    refused("length: a list without spaces", "9112 6.3", _of(b"4,4")),
    refused("length: a list of different ones", "9112 6.3", _of(b"4, 5")),
    refused("length: a list with an empty member", "9112 6.3", _of(b"4,")),
    refused("length: a list that begins empty", "9112 6.3", _of(b",4")),
    refused("length: with a plus", "9110 8.6", _of(b"+4")),
    refused("length: negative", "9110 8.6", _of(b"-4")),
    refused("length: negative zero", "9110 8.6", _of(b"-0")),
    refused("length: hexadecimal with 0x", "9110 8.6", _of(b"0x4")),
    refused("length: a hexadecimal digit", "9110 8.6", _of(b"a", b"bodybodybo")),
    refused("length: a space in it", "9110 8.6", _of(b"1 0", b"bodybodybo")),
    refused("length: a tab in it", "9110 8.6", _of(b"1\t0", b"bodybodybo")),
    refused("length: an underscore in it", "9110 8.6", _of(b"1_0", b"bodybodybo")),
    refused("length: a fraction", "9110 8.6", _of(b"4.0")),
    refused("length: an exponent", "9110 8.6", _of(b"4e0")),
    refused("length: a semicolon behind it", "9110 8.6", _of(b"4;")),
    refused("length: quoted", "9110 8.6", _of(b'"4"')),
    refused("length: a letter behind it", "9110 8.6", _of(b"4h")),
    refused("length: empty", "9110 8.6", _of(b"")),
    refused("length: of spaces", "9110 8.6", _of(b"   ")),
    refused("length: 2^64", "9112 6.3", _of(b"18446744073709551616")),
    refused("length: 2^64 and 4", "9112 6.3", _of(b"18446744073709551620")),
    refused("length: of 5,000 digits", "9112 6.3", _of(b"9" * 5000)),
    refused("length: 2^64 less 1", "9110 8.6", _of(b"18446744073709551615"), 413),
    refused("length: 2^63", "9110 8.6", _of(b"9223372036854775808"), 413),
    refused("length: 2^32 and 4", "9110 8.6", _of(b"4294967300"), 413),
    refused("length: digits of Arabic", "9110 8.6", _of("٤".encode())),
    refused("length: a superscript of Latin-1", "9110 8.6", _of(b"\xb2")),
    refused("length: a digit of full width", "9110 8.6", _of("４".encode())),  # noqa: RUF001 - that is the case
    refused("length: a no-break space before it", "9110 8.6", _of(b"\xa04")),
    refused("length: a vertical tab behind it", "9110 8.6", _of(b"4\x0b")),
    refused("length: a form feed before it", "9110 8.6", _of(b"\x0c4")),
    refused("length: NUL behind it", "9110 5.5", _of(b"4\0")),
    refused("length: folded", "9112 5.2", PUT + b"Content-Length:\r\n 4\r\n\r\nbody"),
    refused("length: continued by a folded line", "9112 5.2", PUT + b"Content-Length: 4\r\n 0\r\n\r\nbody"),
    refused("length: a space before the colon", "9112 5.1", PUT + b"Content-Length : 4\r\n\r\nbody"),
    refused("length: a tab before the colon", "9112 5.1", PUT + b"Content-Length\t: 4\r\n\r\nbody"),
    refused("length: NUL in its name", "9110 5.1", PUT + b"Content-Length\0: 4\r\n\r\nbody"),
    refused("length: a space before its name", "9112 5.2", PUT + b" Content-Length: 4\r\n\r\nbody"),
    refused_behind("length: a name that is only like it", "9110 5.1", PUT + b"Content_Length: 4\r\n\r\nbody", body=b""),
    refused_behind("length: shorter than the body", "9112 6.3", LENGTH + b"\r\nbody and more"),
    cut_off("length: longer than what comes", "9112 8", PUT + b"Content-Length: 500\r\n\r\nbody"),
    cut_off("length: longer, and a request is in it", "9112 8", PUT + b"Content-Length: 500\r\n\r\n" + SMUGGLED),
    answered("length: of a GET, zero", "9110 9.3.1", PUT.replace(b"PUT", b"GET") + b"Content-Length: 0\r\n\r\n", 404),
)
