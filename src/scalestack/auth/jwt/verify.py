"""Whether a token is good (RFC 7519), by the rules of RFC 8725: algorithms pinned, and keys bound to them. No I/O."""

from __future__ import annotations

from typing import Final, NamedTuple

import jwt
from jwt.exceptions import PyJWTError

from scalestack.auth.authority import Denied
from scalestack.auth.jwt.claims import principal_of
from scalestack.auth.jwt.config import JwtConfig
from scalestack.auth.principal import Principal

MAX_TOKEN: Final = 16 << 10  # bytes; a longer one is not looked at
_REQUIRED: Final = ["exp", "iss", "aud", "sub"]


class Head(NamedTuple):
    """What a token says of its key. Not verified yet: it chooses among keys, and can't do more."""

    id: str | None
    algorithm: str


class Verifier:
    """What is asked of each token."""

    def __init__(self, config: JwtConfig) -> None:
        self._config = config
        self._algorithms = list(config.algorithms)

    def head(self, token: bytes) -> Head:
        """Which key the token asks for; `Denied` where none could make it good."""
        if len(token) > MAX_TOKEN:
            raise Denied(f"it is longer than {MAX_TOKEN} bytes")
        try:
            # Of the head alone: what else there is need not be decoded for a key that nobody knows.
            found = jwt.get_unverified_header(token.partition(b".")[0] + b"..")
        except (PyJWTError, ValueError) as error:
            raise Denied(f"it has no head that can be read: {error}") from error
        if "crit" in found:  # RFC 7515 section 4.1.11: what it names must be understood, and nothing is here
            raise Denied("it asks for extensions")
        algorithm = found.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise Denied("it is signed by an algorithm that is not allowed")
        id = found.get("kid")
        return Head(id if isinstance(id, str) else None, algorithm)

    def verify(self, token: bytes, key: jwt.PyJWK) -> Principal:
        """Who bears the token, signed by `key`; `Denied` where its signature or one of its claims is no good."""
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=self._config.leeway,
                options={"require": _REQUIRED, "enforce_minimum_key_length": True},
            )
        except (PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
            # The library names most of what claims may be in its own errors; what else they are, they are no good.
            raise Denied(str(error) or type(error).__name__) from error
        return principal_of(claims, self._config)
