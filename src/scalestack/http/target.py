"""Request targets and hosts, as RFC 9112 section 3 has them. Bytes in, bytes out; what isn't one is refused."""

from __future__ import annotations

import re
from typing import Final

from scalestack.http.problem import HttpError

# A name or IPv4 address, percent-encoded where need be, or an IPv6 address in brackets; then a port (RFC 3986, 3.2).
_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::(?P<port>[0-9]*))?"
)
_PORTS: Final = 65_535


def _is_host(value: bytes) -> bool:
    found = _HOST.fullmatch(value)
    if found is None:
        return False
    port = (found["port"] or b"").lstrip(b"0")
    return len(port) <= len(str(_PORTS)) and int(port or 0) <= _PORTS


def check_host(value: bytes) -> None:
    """Refuse what can't be the value of a Host header: it is a host, perhaps with a port, or nothing."""
    if not _is_host(value):
        raise HttpError(400, "bad-host", "the Host header is not a host, with a port or without")


def split_target(target: bytes, method: bytes) -> tuple[bytes | None, bytes]:
    """Authority, and path with query, of a target in absolute form; None and "*" for OPTIONS of the whole server."""
    if target == b"*" and method == b"OPTIONS":
        return None, target
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in {b"http", b"https"}:
        raise HttpError(400, "bad-target", "the request target must be a path that begins with '/'")
    end = min(found for found in (rest.find(b"/"), rest.find(b"?"), len(rest)) if found >= 0)
    authority, path = rest[:end], rest[end:]
    # Nor may it have a user: that is there to mislead (RFC 9110 section 4.2.4).
    if not authority or authority.startswith(b":") or not _is_host(authority):
        raise HttpError(400, "bad-target", "the request target is a URL without a valid host")
    return authority, path if path.startswith(b"/") else b"/" + path
