"""Finds the key in a request: in its Authorization, or as the signature of its URL. Never in both."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from scalestack.auth.authority import Denied
from scalestack.auth.keys import signed
from scalestack.auth.keys.keyring import Keyring, Refused
from scalestack.auth.keys.token import TokenFormat
from scalestack.auth.principal import Principal
from scalestack.http.message import Request


class KeyAuthenticator:
    """Knows tokens as `Bearer` (RFC 6750 section 2.1) and `Basic` (RFC 7617), and signed URLs.

    Of Basic, the token is the password, whatever the user's name; or it is that name, where the password is empty.
    """

    def __init__(self, keyring: Keyring, format: TokenFormat, realm: str) -> None:
        self.challenges: Sequence[bytes] = (f'Bearer realm="{realm}"'.encode(),)
        self.version: Callable[[], Hashable] = keyring.version  # without a call between: it is asked at each request
        self.look: Callable[[], bool] = keyring.look
        self._keyring = keyring
        self._format = format

    def authenticate(self, request: Request) -> Principal | None:
        """Who shows a key; None where there is none, and `Denied` where it is no good.

        What is signed is taken out of the query, also where it is denied: it is no parameter of the request, and must
        not get into a log.
        """
        given = [value for name, value in request.headers if name.lower() == b"authorization"]
        query = request.query_string
        try:
            if query and signed.is_signed(query):
                request.query_string = signed.without_signature(query)
                if given:
                    # A guard remembers who sent an Authorization: that must never be who signed a URL.
                    raise Denied("a signed URL was sent with an Authorization; one of them is expected")
                return self._signed(request, query)
            if len(given) > 1:
                raise Denied("there are several Authorizations; one is expected")
            token = self._token(given[0]) if given else None
            return None if token is None else self._keyring.check(token).principal()
        except Refused as error:
            raise Denied(str(error)) from None

    def _signed(self, request: Request, query: bytes) -> Principal:
        found = signed.check(self._keyring, request.method, request.path, query)
        principal = found.key.principal()
        return replace(principal, name=f"URL of {principal.name}", expires=found.expires)

    def _token(self, authorization: bytes) -> bytes | None:
        """What is meant as a token of this service."""
        scheme, _, rest = authorization.partition(b" ")
        token = rest.strip(b" ")
        kind = scheme.lower()
        if kind == b"basic":
            try:
                user, _, password = base64.b64decode(token, validate=True).partition(b":")
            except binascii.Error:
                return None
            token = password or user
        elif kind != b"bearer":
            return None
        return token if self._format.begins(token) else None
