"""What lies on a connection: pipelines, errors, its end, Expect, Upgrade, and bodies of methods that have none."""

from __future__ import annotations

from typing import Final

from attacks.framing import BODY, CHUNKED, GET, LAST, LENGTH, PUT, SMUGGLED, Case, answered, cut_off, ended, refused

_HEAD: Final = GET.replace(b"GET", b"HEAD")
_DELETE: Final = GET.replace(b"GET", b"DELETE")
_POST: Final = GET.replace(b"GET", b"POST")
_TWO: Final = PUT.replace(b"q/1", b"q/2")
_H2C: Final = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
_WEBSOCKET: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
_SMUGGLED_LENGTH: Final = b"Content-Length: %d\r\n" % len(SMUGGLED)

CASES: Final[tuple[Case, ...]] = (
    answered("pipeline: three", "9112 9.3.2", LENGTH + b"\r\nbody" + GET + b"\r\n" + _DELETE + b"\r\n", 201, 200, 204),
    answered(
        "pipeline: a length, then chunks",
        "9112 9.3.2",
        LENGTH + b"\r\nbody" + CHUNKED.replace(b"q/1", b"q/2") + b"4\r\nBODY\r\n" + LAST,
        201,
        201,
        **{"1": b"body", "2": b"BODY"},
    ),
    answered(
        "pipeline: chunks, then a length",
        "9112 9.3.2",
        CHUNKED + b"4\r\nbody\r\n" + LAST + _TWO + b"Content-Length: 4\r\n\r\nBODY",
        201,
        201,
        **{"1": b"body", "2": b"BODY"},
    ),
    ended(
        "pipeline: nothing behind garbage is done",
        "9112 2.2",
        LENGTH + b"\r\nbodygarbage\r\n\r\n" + SMUGGLED,
        201,
        400,
        **{"1": BODY},
    ),
    ended(
        "pipeline: nothing behind a bad length is done",
        "9112 6.3",
        LENGTH + b"\r\nbody" + _TWO + b"Content-Length: x\r\n\r\n" + SMUGGLED,
        201,
        400,
        **{"1": BODY},
    ),
    ended(
        "pipeline: nothing behind two Hosts is done",
        "9112 3.2",
        LENGTH + b"\r\nbody" + GET + b"Host: b\r\n\r\n" + SMUGGLED,
        201,
        400,
        **{"1": BODY},
    ),
    ended(
        "pipeline: nothing behind two spaces is done",
        "9112 3",
        LENGTH + b"\r\nbodyGET  / HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
        201,
        400,
        **{"1": BODY},
    ),
    ended(
        "pipeline: nothing behind RTSP is done",
        "9112 2.3",
        LENGTH + b"\r\nbodyGET / RTSP/1.0\r\nHost: a\r\n\r\n" + SMUGGLED,
        201,
        400,
        **{"1": BODY},
    ),
    ended(
        "pipeline: nothing behind a large length is done",
        "9110 15.5.14",
        LENGTH + b"\r\nbody" + _TWO + b"Content-Length: 99999999\r\n\r\n" + SMUGGLED,
        201,
        413,
        **{"1": BODY},
    ),
    ended(
        "pipeline: nothing behind an unknown coding is done",
        "9112 6.1",
        LENGTH + b"\r\nbody" + _TWO + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + SMUGGLED,
        201,
        501,
        **{"1": BODY},
    ),
    ended(
        "pipeline: nothing behind HTTP/2.0 is done",
        "9110 15.6.6",
        LENGTH + b"\r\nbodyGET / HTTP/2.0\r\nHost: a\r\n\r\n" + SMUGGLED,
        201,
        505,
        **{"1": BODY},
    ),
    ended(
        "pipeline: the preface of HTTP/2 behind a request",
        "9113 3.4",
        LENGTH + b"\r\nbodyPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        201,
        505,
        **{"1": BODY},
    ),
    answered(
        "pipeline: what a handler refuses ends nothing",
        "9112 9.3",
        PUT.replace(b"q/1", b"q/%00") + b"Content-Length: 4\r\n\r\nbody",
        400,
    ),
    # The end of it.
    ended(
        "close: what is behind it is not done",
        "9112 9.6",
        LENGTH + b"Connection: close\r\n\r\nbody" + SMUGGLED,
        201,
        **{"1": BODY},
    ),
    ended("close: in capitals", "9112 9.6", LENGTH + b"Connection: CLOSE\r\n\r\nbody" + SMUGGLED, 201, **{"1": BODY}),
    ended("close: in a list", "9112 9.6", LENGTH + b"Connection: x, close\r\n\r\nbody" + SMUGGLED, 201, **{"1": BODY}),
    ended(
        "close: behind chunks",
        "9112 9.6",
        CHUNKED[:-2] + b"Connection: close\r\n\r\n4\r\nbody\r\n" + LAST + SMUGGLED,
        201,
        **{"1": BODY},
    ),
    ended(
        "close: and garbage behind it",
        "9112 9.6",
        LENGTH + b"Connection: close\r\n\r\nbody\0\0\0garbage",
        201,
        **{"1": BODY},
    ),
    ended(
        "close: HTTP/1.0 with a body",
        "9112 9.3",
        b"PUT /v1.1/a/q/1 HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody" + SMUGGLED,
        201,
        **{"1": BODY},
    ),
    ended(
        "close: HTTP/1.0 with a body and no length",
        "9112 6.3",
        b"PUT /v1.1/a/q/1 HTTP/1.0\r\n\r\n" + SMUGGLED,
        201,
        **{"1": b""},
    ),
    cut_off("close: in the request line", "9112 8", b"PUT /v1.1/a/q/1 HT"),
    cut_off("close: in the head", "9112 8", LENGTH),
    cut_off("close: before the head's last byte", "9112 8", LENGTH + b"\r"),
    # Expect.
    answered(
        "expect: the go-ahead, with a length",
        "9110 10.1.1",
        LENGTH + b"Expect: 100-continue\r\n\r\nbody",
        100,
        201,
        **{"1": BODY},
    ),
    answered(
        "expect: the go-ahead, in capitals",
        "9110 10.1.1",
        LENGTH + b"Expect: 100-CONTINUE\r\n\r\nbody",
        100,
        201,
        **{"1": BODY},
    ),
    answered(
        "expect: the go-ahead, with chunks",
        "9110 10.1.1",
        CHUNKED[:-2] + b"Expect: 100-continue\r\n\r\n4\r\nbody\r\n" + LAST,
        100,
        201,
        **{"1": BODY},
    ),
    refused("expect: miracles", "9110 10.1.1", LENGTH + b"Expect: miracles\r\n\r\nbody", 417),
    refused("expect: nothing", "9110 10.1.1", LENGTH + b"Expect:\r\n\r\nbody", 417),
    refused(
        "expect: the go-ahead and miracles", "9110 10.1.1", LENGTH + b"Expect: 100-continue, miracles\r\n\r\nbody", 417
    ),
    refused(
        "expect: the go-ahead, and miracles in another line",
        "9110 10.1.1",
        LENGTH + b"Expect: 100-continue\r\nExpect: miracles\r\n\r\nbody",
        417,
    ),
    refused("expect: a quoted go-ahead", "9110 10.1.1", LENGTH + b'Expect: "100-continue"\r\n\r\nbody', 417),
    refused(
        "expect: the go-ahead for too much",
        "9110 10.1.1",
        PUT + b"Content-Length: 9999999999\r\nExpect: 100-continue\r\n\r\n",
        413,
    ),
    answered("expect: the go-ahead for no body", "9110 10.1.1", GET + b"Expect: 100-continue\r\n\r\n", 404),
    ended(
        "expect: the go-ahead, in HTTP/1.0",
        "9110 10.1.1",
        b"PUT /v1.1/a/q/1 HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
        201,
        **{"1": BODY},
    ),
    # Upgrade.
    answered("upgrade: h2c is ignored", "9110 7.8", GET + _H2C + b"\r\n", 404),
    answered("upgrade: a WebSocket is ignored", "9110 7.8", GET + _WEBSOCKET + b"\r\n", 404),
    answered("upgrade: without Connection", "9110 7.8", GET + b"Upgrade: h2c\r\n\r\n", 404),
    answered("upgrade: to nothing", "9110 7.8", GET + b"Connection: Upgrade\r\n\r\n", 404),
    answered("upgrade: of a request with a body", "9110 7.8", LENGTH + _H2C + b"\r\nbody", 201, **{"1": BODY}),
    answered(
        "upgrade: the body is a request",
        "9110 7.8",
        PUT + _SMUGGLED_LENGTH + _H2C + b"\r\n" + SMUGGLED,
        201,
        **{"1": SMUGGLED},
    ),
    answered(
        "upgrade: the body is a request, the length last",
        "9110 7.8",
        PUT + _WEBSOCKET + _SMUGGLED_LENGTH + b"\r\n" + SMUGGLED,
        201,
        **{"1": SMUGGLED},
    ),
    answered("upgrade: twice in a pipeline", "9110 7.8", GET + _H2C + b"\r\n" + GET + _WEBSOCKET + b"\r\n", 404, 404),
    ended(
        "upgrade: and close", "9110 7.8", GET + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n" + SMUGGLED, 404
    ),
    ended("upgrade: garbage behind it", "9110 7.8", GET + _WEBSOCKET + b"\r\n\x81\x04body", 404, 400),
    refused("upgrade: with a bad length", "9112 6.3", PUT + _H2C + b"Content-Length: x\r\n\r\n" + SMUGGLED),
    # Bodies of methods that have none.
    answered("body: of a GET is read", "9110 9.3.1", GET + _SMUGGLED_LENGTH + b"\r\n" + SMUGGLED, 404),
    answered(
        "body: of a GET in chunks is read",
        "9110 9.3.1",
        GET + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n" + LAST,
        404,
    ),
    answered("body: of a HEAD is read", "9110 9.3.2", _HEAD + _SMUGGLED_LENGTH + b"\r\n" + SMUGGLED, 404),
    answered("body: of a DELETE is read", "9110 9.3.5", _DELETE + _SMUGGLED_LENGTH + b"\r\n" + SMUGGLED, 404),
    answered(
        "body: of a POST that takes none is read", "9110 9.3.3", _POST + _SMUGGLED_LENGTH + b"\r\n" + SMUGGLED, 400
    ),
    answered(
        "body: of an OPTIONS is read",
        "9110 9.3.7",
        GET.replace(b"GET", b"OPTIONS") + _SMUGGLED_LENGTH + b"\r\n" + SMUGGLED,
        204,
    ),
    answered(
        "body: of a TRACE is read",
        "9110 9.3.8",
        GET.replace(b"GET", b"TRACE") + _SMUGGLED_LENGTH + b"\r\n" + SMUGGLED,
        405,
    ),
    answered(
        "body: of what is not there is read",
        "9112 9.3",
        GET.replace(b"q/1", b"q/1/2") + _SMUGGLED_LENGTH + b"\r\n" + SMUGGLED,
        404,
    ),
    answered("body: none, and no length", "9112 6.3", PUT + b"\r\n", 201, **{"1": b""}),
    # Credentials, and pages of others.
    refused("credentials: two", "9110 5.3", GET + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"),
    refused("origin: another", "6454 7", GET + b"Origin: http://b\r\n\r\n", 403),
    refused(
        "origin: that of Host, and a URL of another host",
        "9112 3.2.2",
        b"GET http://b/v1.1/a/q/1 HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n\r\n",
        403,
    ),
)
