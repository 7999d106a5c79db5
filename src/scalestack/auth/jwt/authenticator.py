"""Bearer tokens of requests, judged by the keys of the moment. Never blocks: a request waits for keys as `Pending`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Final

from scalestack.auth.authority import Denied
from scalestack.auth.jwt.jwks import Jwks
from scalestack.auth.jwt.keyset import KeySet
from scalestack.auth.jwt.verify import Verifier
from scalestack.auth.principal import Principal
from scalestack.event.loops import LoopThread
from scalestack.event.pending import Answer
from scalestack.http.message import Request
from scalestack.http.problem import HttpError

_REMEMBERED: Final = 4096  # tokens
_SCHEME: Final = b"bearer "


class Verified:
    """Tokens that were found good, by their SHA-256: as long as the keys are the same, and they last. Bounded: the
    first that came is the first to go. None gets in that was not signed, so that strangers push none out."""

    def __init__(self, clock: Callable[[], float], size: int = _REMEMBERED) -> None:
        """`clock`: wall seconds."""
        self._clock = clock
        self._size = size
        self._known: dict[bytes, tuple[KeySet, Principal]] = {}
        self._known_lock = threading.Lock()  # guards changes of what is known

    def find(self, digest: bytes, keys: KeySet | None) -> Principal | None:
        found = self._known.get(digest)
        if found is None or found[0] is not keys or self._clock() >= found[1].expires:
            return None
        return found[1]

    def add(self, digest: bytes, keys: KeySet, principal: Principal) -> None:
        with self._known_lock:
            self._known.pop(digest, None)
            while len(self._known) >= self._size:
                del self._known[next(iter(self._known))]
            self._known[digest] = keys, principal


class JwtAuthenticator:
    """The authenticator for tokens of one provider."""

    def __init__(self, verifier: Verifier, jwks: Jwks, verified: Verified, realm: str) -> None:
        self.challenges: Sequence[bytes] = (f'Bearer realm="{realm}"'.encode(),)
        self._verifier = verifier
        self._jwks = jwks
        self._verified = verified

    def version(self) -> int:
        return self._jwks.version

    def look(self) -> bool:
        self._jwks.expire()
        return False  # the version tells it

    def authenticate(self, request: Request) -> Answer[Principal | None]:
        """Who sends this; `HttpError` 503 where there are no keys to tell by."""
        given = [value for name, value in request.headers if name.lower() == b"authorization"]
        token = _token(given[0]) if given else None
        if token is None:
            return None
        if len(given) > 1:
            raise Denied("there are several Authorizations; one is expected")
        digest = sha256(token).digest()
        known = self._verified.find(digest, self._jwks.keys)
        if known is not None:
            return known
        thread = None if request.connection is None else request.connection.thread
        return self._judge(token, digest, thread)

    def _judge(self, token: bytes, digest: bytes, thread: LoopThread | None) -> Answer[Principal | None]:
        """`thread` is None where there is nothing more to wait for."""
        id, algorithm = self._verifier.head(token)
        keys = self._jwks.keys
        key = None if keys is None else keys.find(id, algorithm)
        if keys is not None and key is not None:
            principal = self._verifier.verify(token, key)
            self._verified.add(digest, keys, principal)
            return principal
        if thread is not None:
            renewed = self._jwks.renewed(thread)
            if renewed is not None:
                return renewed.then(partial(self._judge_again, token, digest))
        if self._jwks.keys is not keys:  # they came just now
            return self._judge(token, digest, None)
        if keys is None:
            raise HttpError(
                503,
                "auth-unavailable",
                "the provider's keys can't be had, so that no token can be checked; try again later",
                ((b"Retry-After", b"10"),),
            )
        raise Denied("it is signed by a key that the provider does not publish")

    def _judge_again(self, token: bytes, digest: bytes, renewed: None) -> Answer[Principal | None]:
        return self._judge(token, digest, None)


def _token(authorization: bytes) -> bytes | None:
    """The token of a header, where it looks like one of ours: three parts with dots between them (RFC 7515 section
    7.1), and no dots are in API keys."""
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        return None
    token = authorization[len(_SCHEME) :].strip(b" ")
    return token if token.count(b".") == 2 else None
