"""What the head of a request may say, beyond what httptools looks at. Values in, refusals out; knows no connection."""

from __future__ import annotations

from typing import Final

import httptools

from scalestack.http.message import Headers
from scalestack.http.problem import HttpError

HOST: Final = 1
LENGTH: Final = 2
DECISIVE: Final = 3  # decides about framing, or needs an answer
CREDENTIALS: Final = 4

# Common spellings are found without lower-casing; 0 is for what means nothing to a parser.
KINDS: Final = {
    spelling: kind
    for name, kind in {
        b"host": HOST,
        b"content-length": LENGTH,
        b"transfer-encoding": DECISIVE,
        b"expect": DECISIVE,
        b"origin": DECISIVE,
        b"upgrade": DECISIVE,  # its body is not read as others' are
        b"accept": 0,
        b"accept-encoding": 0,
        b"authorization": CREDENTIALS,
        b"connection": 0,
        b"content-type": 0,
        b"user-agent": 0,
    }.items()
    for spelling in (name, name.title())
}


def is_http10(line: bytes | bytearray, method: bytes, target: bytes, version: str) -> bool:
    """Whether a request is of HTTP/1.0; else it is of HTTP/1.1. `line` is how it begins, with its line's end.

    httptools also takes more than one space after the method, and RTSP and ICE (RFC 9112 section 3).
    """
    if version not in {"1.0", "1.1"}:
        raise HttpError(505, "http-version", f"HTTP/{version} is not spoken here; HTTP/1.1 and HTTP/1.0 are")
    if line != b"%b %b HTTP/%b\r\n" % (method, target, version.encode()):
        raise HttpError(400, "bad-request", "a request line is a method, a target and HTTP/1.1, with one space between")
    return version == "1.0"


def check_coding(value: bytes, http10: bool, upgrade: bool) -> None:
    """Whether a Transfer-Encoding is one that is understood (RFC 9112 sections 6.1 and 6.3)."""
    if http10:
        raise HttpError(400, "bad-framing", "HTTP/1.0 has no Transfer-Encoding")
    codings = [coding.strip(b" \t") for coding in value.lower().split(b",")]
    if codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
        raise HttpError(
            400, "bad-framing", "where a body ends can't be told, unless chunked is the last coding and there once"
        )
    if len(codings) > 1:
        raise HttpError(501, "transfer-coding", "the only transfer coding understood is chunked")
    if upgrade:
        raise HttpError(501, "upgrade", "a request for an upgrade may not be chunked")


def check_origin(origin: bytes, authority: bytes | None, headers: Headers) -> None:
    """Whether a browser says that a page of this very host sent the request (RFC 6454 section 7).

    `authority` is that of a target in absolute form, which counts instead of Host (RFC 9112 section 3.2.2).
    """
    host = authority
    if host is None:
        host = next((value for name, value in headers if name.lower() == b"host"), b"")
    scheme, separator, page = origin.lower().partition(b"://")
    port = b":443" if scheme == b"https" else b":80"
    if not separator or page.removesuffix(port) != host.lower().removesuffix(port):
        raise HttpError(
            403,
            "foreign-origin",
            "a web page of another origin sent this, and may not; http.cross_origin allows it to all pages",
        )


def refusal(error: Exception) -> HttpError:
    """What is said where httptools refused a request."""
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return HttpError(400, "bad-request", "the request does not begin with a method that HTTP knows")
    if "PRI" in str(error) or "HTTP version" in str(error):
        return HttpError(505, "http-version", "this version of HTTP is not spoken here; HTTP/1.1 and HTTP/1.0 are")
    return HttpError(400, "bad-request", f"this is not a valid HTTP request: {error}")
