"""Request lines and Host: methods, targets, versions (RFC 9112 sections 2.3 and 3, RFC 9110 sections 4 and 7)."""

from __future__ import annotations

from typing import Final

from attacks.framing import GET, SMUGGLED, Case, answered, ended, line, refused

_AT: Final = b"/v1.1/a/q/1"


def _target(target: bytes) -> bytes:
    return line(b"GET " + target + b" HTTP/1.1")


def _version(version: bytes) -> bytes:
    return line(b"GET " + _AT + b" " + version)


def _host(value: bytes) -> bytes:
    return b"GET " + _AT + b" HTTP/1.1\r\nHost: " + value + b"\r\n\r\n"


_BAD_HOSTS: Final = (
    b"a b", b"a/b", b"a?b", b"a#b", b"u@a", b"a\\b", b"a:b", b"a:80:80", b"a:65536", b"a:99999999999999999999", b"a:-1",
    b"a:+80", b"[::1", b"::1", b"[::1]a", b"[a/b]", b"a<b", b'a"b', b"a^b", b"a%", b"a%2", b"a%zz", b"a\xe9b", b"http://a",
    b"a, b", b"a:80 b",
)  # fmt: skip
_BAD_AUTHORITIES: Final = (
    b"", b"u@a", b"u:p@a", b"@a", b":80", b"a:x", b"a:65536", b"a:80:80", b"[::1", b"a%zz", b"a,b:c",
)  # fmt: skip
_BAD_VERSIONS: Final = (
    b"http/1.1", b"Http/1.1", b"HTTP/1.10", b"HTTP/11.1", b"HTTP/01.1", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/",
    b"HTTP/1,1", b"HTTP/1.1x", b"HTTP/1.1 ", b"HTTP/1.1\t", b" HTTP/1.1", b"HTTP /1.1", b"HTTP/ 1.1", b"HTTP/-1.1",
    b"HTTPS/1.1", b"RTSP/1.0", b"RTSP/1.1", b"ICE/1.0", b"SIP/2.0", b"HTTP",
)  # fmt: skip

CASES: Final[tuple[Case, ...]] = (
    # Methods.
    refused("method: small letters", "9110 9.1", line(b"get " + _AT + b" HTTP/1.1")),
    refused("method: one small letter", "9110 9.1", line(b"PUt " + _AT + b" HTTP/1.1")),
    refused("method: unknown", "9110 9.1", line(b"FETCH " + _AT + b" HTTP/1.1")),
    refused("method: a letter too many", "9110 9.1", line(b"GETT " + _AT + b" HTTP/1.1")),
    refused("method: of 10,000 letters", "9110 9.1", line(b"A" * 10_000 + b" " + _AT + b" HTTP/1.1")),
    refused("method: NUL in it", "9112 3.1", line(b"G\0ET " + _AT + b" HTTP/1.1")),
    refused("method: a control character behind it", "9112 3.1", line(b"GET\x01 " + _AT + b" HTTP/1.1")),
    refused("method: none", "9112 3.1", line(b" " + _AT + b" HTTP/1.1")),
    refused("method: an obs-text byte", "9112 3.1", line(b"G\xc9T " + _AT + b" HTTP/1.1")),
    refused("method: two spaces behind it", "9112 3", line(b"GET  " + _AT + b" HTTP/1.1")),
    refused("method: ten spaces behind it", "9112 3", line(b"GET          " + _AT + b" HTTP/1.1")),
    refused("method: a tab behind it", "9112 3", line(b"GET\t" + _AT + b" HTTP/1.1")),
    refused("method: a space and a tab behind it", "9112 3", line(b"GET \t" + _AT + b" HTTP/1.1")),
    refused("method: a vertical tab behind it", "9112 3", line(b"GET\x0b" + _AT + b" HTTP/1.1")),
    refused("method: CONNECT", "9110 9.3.6", line(b"CONNECT a:80 HTTP/1.1"), 501),
    refused("method: CONNECT with a path", "9110 9.3.6", line(b"CONNECT " + _AT + b" HTTP/1.1") + SMUGGLED, 501),
    refused("method: CONNECT in HTTP/1.0", "9110 9.3.6", line(b"CONNECT a:80 HTTP/1.0"), 501),
    answered("method: TRACE does nothing", "9110 9.3.8", line(b"TRACE " + _AT + b" HTTP/1.1"), 405),
    answered("method: one of WebDAV does nothing", "9110 9.1", line(b"PROPFIND " + _AT + b" HTTP/1.1"), 405),
    answered("method: OPTIONS", "9110 9.3.7", line(b"OPTIONS " + _AT + b" HTTP/1.1"), 204),
    # Targets.
    answered("target: a URL", "9112 3.2.2", _target(b"http://a" + _AT), 404),
    answered("target: a URL of another host than Host", "9112 3.2.2", _target(b"http://b" + _AT), 404),
    answered("target: a URL of https", "9112 3.2.2", _target(b"HTTPS://a:443" + _AT), 404),
    answered("target: a URL with IPv6", "9112 3.2.2", _target(b"http://[::1]:80" + _AT), 404),
    answered("target: a URL without a path", "9112 3.2.2", _target(b"http://a"), 200),
    answered("target: a URL with a query and no path", "9112 3.2.2", _target(b"http://a?limit=1"), 400),
    *(
        refused(f"target: a URL with the authority {bad.decode()!r}", "9110 4.2.4", _target(b"http://" + bad + _AT))
        for bad in _BAD_AUTHORITIES
    ),
    refused("target: a URL of ftp", "9112 3.2.2", _target(b"ftp://a" + _AT)),
    refused("target: a URL of a file", "9112 3.2.2", _target(b"file://" + _AT)),
    refused("target: a URL with one slash", "9112 3.2.2", _target(b"http:/a" + _AT)),
    refused("target: a URL with a fragment", "9112 3.2.2", _target(b"http://a" + _AT + b"#b")),
    refused("target: javascript", "9112 3.2", _target(b"javascript:1")),
    refused("target: an authority", "9112 3.2.3", _target(b"a:80")),
    refused("target: a host", "9112 3.2", _target(b"a")),
    refused("target: an asterisk", "9112 3.2.4", _target(b"*")),
    answered("target: an asterisk for OPTIONS", "9112 3.2.4", line(b"OPTIONS * HTTP/1.1"), 204),
    refused("target: an asterisk and more for OPTIONS", "9112 3.2.4", line(b"OPTIONS *a HTTP/1.1")),
    refused("target: a relative path", "9112 3.2.1", _target(b"v1.1/a/q/1")),
    refused("target: a query alone", "9112 3.2.1", _target(b"?limit=1")),
    refused("target: two dots", "9112 3.2.1", _target(b"../v1.1/a/q/1")),
    refused("target: none", "9112 3.2", line(b"GET HTTP/1.1")),
    refused("target: two spaces in its place", "9112 3.2", line(b"GET  HTTP/1.1")),
    refused("target: a fragment", "9112 3.2.1", _target(_AT + b"#b")),
    refused("target: a fragment in the query", "9112 3.2.1", _target(_AT + b"?a#b")),
    refused("target: a space", "9112 3.2", _target(_AT + b" b")),
    refused("target: a version and another version", "9112 3.2", _target(_AT + b" HTTP/1.1")),
    refused("target: a tab", "9112 3.2", _target(_AT + b"\tb")),
    *(
        refused(f"target: the byte {byte:#04x}", "9112 3.2", _target(_AT + b"%cb" % byte))
        for byte in (0x00, 0x01, 0x08, 0x0B, 0x0C, 0x1B, 0x1F, 0x7F, 0x80, 0xA0, 0xFF)
    ),
    refused("target: raw UTF-8", "9112 3.2", _target(_AT + "é".encode())),
    refused("target: raw UTF-8 in the query", "9112 3.2", _target(_AT + "?é".encode())),
    answered("target: two slashes are no authority", "9112 3.2.1", _target(b"//b" + _AT), 404),
    answered("target: a '%' without digits", "9110 4.2.3", _target(_AT + b"%"), 400),
    answered("target: an encoded NUL", "9110 4.2.3", _target(_AT + b"%00"), 400),
    answered("target: an encoded line's end", "9110 4.2.3", _target(_AT + b"%0d%0aX:%20y"), 400),
    answered("target: an encoded request", "9110 4.2.3", _target(_AT + b"%20HTTP/1.1%0d%0a%0d%0aPUT%20/v1.1"), 404),
    # Versions.
    ended("version: HTTP/1.0", "9112 9.3", _version(b"HTTP/1.0"), 404),
    ended("version: HTTP/1.0 without Host", "9112 3.2", b"GET " + _AT + b" HTTP/1.0\r\n\r\n", 404),
    answered(
        "version: HTTP/1.0 that keeps its connection",
        "9112 9.3",
        b"GET " + _AT + b" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        404,
    ),
    *(
        refused(f"version: {bad.decode()}", "9110 2.5", _version(bad), 505)
        for bad in (b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/0.0", b"HTTP/3.0", b"HTTP/9.9")
    ),
    *(refused(f"version: {bad.decode()!r}", "9112 2.3", _version(bad)) for bad in _BAD_VERSIONS),
    refused("version: RTSP with a method of its own", "9112 2.3", line(b"DESCRIBE " + _AT + b" RTSP/1.0")),
    refused(
        "version: RTSP with a body",
        "9112 2.3",
        b"ANNOUNCE " + _AT + b" RTSP/1.0\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
    ),
    refused("version: ICE with a method of its own", "9112 2.3", line(b"SOURCE " + _AT + b" ICE/1.0")),
    refused("version: none", "9112 2.3", line(b"GET " + _AT), 505),
    refused("version: none, and no more lines", "9112 2.3", b"GET " + _AT + b"\r\n"),
    refused("version: the preface of HTTP/2", "9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    refused("version: TLS", "9112 3", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n"),
    # Host.
    refused("host: none", "9112 3.2", b"GET " + _AT + b" HTTP/1.1\r\n\r\n"),
    refused("host: none, with a URL", "9112 3.2", b"GET http://a" + _AT + b" HTTP/1.1\r\n\r\n"),
    refused("host: two", "9112 3.2", GET + b"Host: b\r\n\r\n"),
    refused("host: two that are equal", "9112 3.2", GET + b"Host: a\r\n\r\n"),
    refused("host: two in different case", "9112 3.2", GET + b"hOST: b\r\n\r\n"),
    refused("host: two in HTTP/1.0", "9112 3.2", b"GET " + _AT + b" HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    *(refused(f"host: {bad!r}", "9112 3.2", _host(bad)) for bad in _BAD_HOSTS),
    answered("host: empty", "9112 3.2", _host(b""), 404),
    *(
        answered(f"host: {good.decode()!r}", "9110 7.2", _host(good), 404)
        for good in (b"a:80", b"a:", b"a.b-c_d~", b"127.0.0.1:8080", b"[::1]", b"[fe80::1]:80", b"A%41", b"a  ", b"\ta")
    ),
)
