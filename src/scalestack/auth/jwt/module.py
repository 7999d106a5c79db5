"""The module `auth.jwt`: tokens of an OpenID Connect provider. Loads what it needs only when it starts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from scalestack.auth.authority import Authority
from scalestack.auth.jwt.config import JwtConfig
from scalestack.clock import steady_clock
from scalestack.module import Module, Needs

if TYPE_CHECKING:
    from scalestack.auth.jwt.authenticator import JwtAuthenticator
    from scalestack.auth.jwt.jwks import Jwks


class JwtModule(Module[JwtConfig]):
    """Registers an authenticator for bearer tokens that an OpenID Connect provider has signed."""

    name = "auth.jwt"
    Config = JwtConfig
    depends = (Authority,)
    realm: ClassVar[str] = "service"  # what a client is told that the tokens are for

    def __init__(self, config: JwtConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        config.check_set()
        self._authority = needs[Authority]
        self._jwks: Jwks | None = None
        self._authenticator: JwtAuthenticator | None = None

    @classmethod
    def of(cls, realm: str) -> type[JwtModule]:
        """This module, for the tokens of a service."""
        return type(cls.__name__, (cls,), {"realm": realm})

    def start(self) -> None:
        try:
            import cryptography  # noqa: F401, PLC0415 - of an extra, and needed by few
            import jwt  # noqa: F401, PLC0415
        except ImportError as error:
            raise RuntimeError(f"{error}; what it needs comes by: pip install 'leveret[jwt]'") from error
        from scalestack.auth.jwt.authenticator import JwtAuthenticator, Verified  # noqa: PLC0415
        from scalestack.auth.jwt.fetch import TIMEOUT, fetch_keys  # noqa: PLC0415
        from scalestack.auth.jwt.jwks import Jwks  # noqa: PLC0415
        from scalestack.auth.jwt.keyset import KeySet  # noqa: PLC0415
        from scalestack.auth.jwt.limit import Limited  # noqa: PLC0415
        from scalestack.auth.jwt.verify import Verifier  # noqa: PLC0415

        config = self.config
        fetch = Limited(partial(fetch_keys, config), TIMEOUT)
        self._jwks = Jwks(lambda: KeySet(fetch(), config.algorithms), config.refresh, config.stale, give_up=fetch.end)
        self._authenticator = JwtAuthenticator(Verifier(config), self._jwks, Verified(steady_clock()), self.realm)
        self._jwks.start()
        self._authority.register(self._authenticator)

    def stop(self) -> None:
        if self._authenticator is not None:
            self._authority.deregister(self._authenticator)
        if self._jwks is not None:
            self._jwks.stop()

    def reload(self) -> None:
        """Fetch the keys again at once: one of them may be known to be lost (SIGHUP)."""
        if self._jwks is not None:
            self._jwks.hasten()
