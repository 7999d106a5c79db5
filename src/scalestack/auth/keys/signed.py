"""Signed URLs: made, and checked. Works on bytes as they are sent; knows no requests.

    /v1.1/acme/jobs/42?ttl=60&key=4fBq0ZcX9a&expires=1767225600&signature=...

The signature is an HMAC-SHA256 over a version, the method, the path and the whole query before "&signature=", each as
it is sent and on a line of its own. Its secret is derived from the digest of an API key's token, and what is checked
first is that key: the URL is no good where the key isn't, and allows nothing that the key does not.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from scalestack.auth.keys.key import Key
from scalestack.auth.keys.keyring import Keyring, Refused
from scalestack.auth.keys.token import ID

LONGEST: Final = 7 * 86_400  # seconds for which a URL may be signed
RESERVED: Final = frozenset({b"key", b"expires", b"signature"})  # parameters that can't be fixed
_VERSION: Final = b"signed-url-v1"
_SKEW: Final = 60  # seconds by which the clock of one who signs may be ahead
_END: Final = re.compile(
    rb"(?:(.*)&)?key=([0-9A-Za-z]{%d})&expires=([1-9][0-9]{0,11})&signature=([0-9A-Za-z_-]{43})" % ID, re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed a URL, and until when it is good."""

    key: Key
    expires: float  # wall seconds, the end of the key itself included


def sign(key: Key, method: str, path: str, query: str, expires: int) -> str:
    """The path with a query that ends in a signature by `key`. `expires`: wall seconds.

    Path and query are percent-encoded, as they will be sent; the query's parameters are fixed by the signature, and its
    names are none of `RESERVED`. A signature for GET is good for HEAD.
    """
    covered = f"{query}&" if query else ""
    covered += f"key={key.id}&expires={expires}"
    signature = _signature(key, method.encode(), path.encode(), covered.encode())
    return f"{path}?{covered}&signature={signature.decode()}"


def is_signed(query: bytes) -> bool:
    """Whether it has what can only be meant as a signature."""
    return b"=" in query and any(_name(part) == b"signature" for part in query.split(b"&"))


def without_signature(query: bytes) -> bytes:
    """The fixed parameters: what the request is about, and what may be written into a log."""
    return b"&".join(part for part in query.split(b"&") if _name(part) not in RESERVED)


def check(keyring: Keyring, method: bytes, path: bytes, query: bytes) -> Signed:
    """Who signed this method, path and query; `Refused` where nobody whose key is valid did, or it has expired."""
    found = _END.fullmatch(query)
    if found is None:
        raise Refused("a signed URL ends with key, expires and signature, once each and in this order")
    fixed, id, seconds, signature = found.groups()
    if fixed and any(_name(part) in RESERVED for part in fixed.split(b"&")):
        raise Refused("a signed URL has key, expires or signature twice")
    key, known = keyring.find(id.decode())
    covered = query[: found.start(4) - len(b"&signature=")]
    if not hmac.compare_digest(_signature(key, method, path, covered), signature) or not known:
        raise Refused(f"the URL is not signed by key {id.decode()}, or for another request")
    now = keyring.check_state(key)
    expires = int(seconds)
    if now >= expires:
        raise Refused(f"the URL that key {key.id} signed has expired")
    if expires - now > LONGEST + _SKEW:
        raise Refused(f"the URL that key {key.id} signed is good for too long: more than {LONGEST} s")
    return Signed(key, min(key.expires, expires))


def _name(part: bytes) -> bytes:
    """A parameter's name, however it is written."""
    return unquote_to_bytes(part.partition(b"=")[0].replace(b"+", b" ")).strip().lower()


def _signature(key: Key, method: bytes, path: bytes, covered: bytes) -> bytes:
    secret = hmac.digest(key.sha256, _VERSION, "sha256")
    text = b"\n".join((_VERSION, b"GET" if method == b"HEAD" else method, path, covered))
    return base64.urlsafe_b64encode(hmac.digest(secret, text, "sha256")).rstrip(b"=")
