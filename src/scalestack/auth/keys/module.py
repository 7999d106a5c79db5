"""The module `auth.keys`: callers show API keys. Each service says how its own begin. Loads what it needs when it is
made: a server that asks for no keys has no use for it."""

from __future__ import annotations

from typing import ClassVar

from scalestack.auth.authority import Authority
from scalestack.data import DataDirectory
from scalestack.log import Logger
from scalestack.module import Module, Needs, NoConfig

_log = Logger("scalestack.auth.keys")


class KeysModule(Module[NoConfig]):
    """Registers an authenticator for the keys in the data directory. Keys change while it runs."""

    name = "auth.keys"
    depends = (Authority, DataDirectory)
    prefix: ClassVar[str] = "key"  # of tokens
    realm: ClassVar[str] = "service"  # what a client is told that the keys are for
    hint: ClassVar[str] = ""  # how a key is made, for an operator who has none

    def __init__(self, config: NoConfig, needs: Needs) -> None:
        from scalestack.auth.keys.authenticator import KeyAuthenticator  # noqa: PLC0415 - see above
        from scalestack.auth.keys.file import NAME, KeyFile  # noqa: PLC0415
        from scalestack.auth.keys.keyring import Keyring  # noqa: PLC0415
        from scalestack.auth.keys.token import TokenFormat  # noqa: PLC0415

        super().__init__(config, needs)
        self._authority = needs[Authority]
        format = TokenFormat(self.prefix)
        self._keyring = Keyring(KeyFile(needs[DataDirectory].path / NAME), format)
        self._authenticator = KeyAuthenticator(self._keyring, format, self.realm)

    @classmethod
    def of(cls, prefix: str, realm: str, hint: str = "") -> type[KeysModule]:
        """This module, for the keys of a service; `hint` is how one is made."""
        return type(cls.__name__, (cls,), {"prefix": prefix, "realm": realm, "hint": hint})

    def start(self) -> None:
        self._keyring.open()
        if not len(self._keyring):
            _log.warning(f"there are no keys: until one is made, every request is refused{self.hint}")
        self._authority.register(self._authenticator)

    def stop(self) -> None:
        self._authority.deregister(self._authenticator)
        self._keyring.close()

    def reload(self) -> None:
        """Read the file again, though nothing says that it has changed (SIGHUP)."""
        self._keyring.reopen()
        self._authority.renew()
