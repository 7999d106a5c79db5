"""The composition root: which modules make a Leveret server. The only place that chooses a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from leveret.modules import MemoryModule, QueueModule, RestModule, SqliteConfig, SqliteModule
from leveret.store.sqlite import Durability, InvalidUrl, path_of
from scalestack.config import Between, ConfigError, Override, Settings
from scalestack.event.module import EventModule
from scalestack.http.module import HttpConfig, HttpModule
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel, ModuleStatus, discover
from scalestack.log import Logger
from scalestack.log.module import LogModule
from scalestack.module import Module
from scalestack.net.address import Address, is_loopback
from scalestack.net.module import NetModule

_log = Logger("leveret.server")

PREFIX: Final = "LEVERET"  # of environment variables

_OWN: Final[tuple[type[Module[Any]], ...]] = (
    LogModule,
    EventModule,
    NetModule,
    HttpModule,
    MemoryModule,
    SqliteModule,
    QueueModule,
    RestModule,
)
_DURABILITIES: Final = {
    Durability.FULL: "durable: synced before it is acknowledged",
    Durability.NORMAL: "durable, but for the last before a loss of power",
    Durability.OFF: "not synced: a loss of power may take all",
}


@dataclass(frozen=True)
class ServerConfig:
    store: str = f"sqlite:///{SqliteModule.path}"  # URL of the store; memory:// keeps messages until the process ends
    insecure: bool = False  # listen beyond loopback although nobody is asked who they are
    grace: Annotated[float, Between(0, 3600)] = 10.0  # seconds that requests under way have to end at a stop


class Server:
    """A whole server in this process: configured, then started, then stopped."""

    def __init__(
        self, file: Path | None = None, environ: Mapping[str, str] | None = None, overrides: Sequence[Override] = ()
    ) -> None:
        """Reads the configuration; `ConfigError` for what is wrong in it. Starts nothing."""
        self.modules = available_modules()
        sections: dict[str, type[Any]] = {"server": ServerConfig}
        sections.update((name, module.Config) for name, module in self.modules.items())
        self.settings = Settings.load(sections, file=file, environ=environ or {}, prefix=PREFIX, overrides=overrides)
        self.config: ServerConfig = self.settings.section("server")
        store, path = _parse_store(self.config.store)
        self._store = store
        self._wanted = ("log", store, "rest")
        if path is not None:
            self.modules[store] = SqliteModule.at(path)
        self.kernel = Kernel(self.modules, lambda name, _: self.settings.section(name))

    def start(self) -> list[Address]:
        """Load all modules and listen; answers the addresses. What fails is undone, and raised as one clear error."""
        http: HttpConfig = self.settings.section("http")
        open_to_others = not is_loopback(http.host)
        if open_to_others and not self.config.insecure:
            raise ConfigError(
                f"http.host is '{http.host}', which is no loopback address: others could reach it, and nobody would be "
                "asked who they are; give --insecure to allow that, or listen on 127.0.0.1"
            )
        try:
            for name in self._wanted:
                self.kernel.load(name)
            if open_to_others:
                _log.warning("others can reach this server, and nobody is asked who they are")
            return self.kernel.get(HttpServer).listen()
        except BaseException:
            self.kernel.shutdown(0)
            raise

    def reload(self) -> None:
        """Read certificates again."""
        self.kernel.reload()

    def stop(self) -> None:
        """Drain, and end: blocks until all is done, a little longer than the grace time at most."""
        self.kernel.shutdown(self.config.grace)

    def plan(self) -> list[ModuleStatus]:
        """All modules, those first that `start` would load, in their order."""
        return self.kernel.preview(self._wanted)

    @property
    def urls(self) -> list[str]:
        """What a client is to be given."""
        return self.kernel.get(HttpServer).urls

    @property
    def durability(self) -> str:
        """What becomes of messages, in words."""
        if self._store != SqliteModule.name:
            return "gone when this process ends"
        config: SqliteConfig = self.settings.section(SqliteModule.name)
        shards = f", in {config.shards} files" if config.shards > 1 else ""
        return _DURABILITIES[config.durability] + shards


def available_modules() -> dict[str, type[Module[Any]]]:
    """Our own modules and those that other packages ship, by name."""
    own = {module.name: module for module in _OWN}
    return own | discover(taken=own)


def _parse_store(url: str) -> tuple[str, Path | None]:
    """The module for a store's URL, and its file where it has one."""
    if url == "memory://":
        return MemoryModule.name, None
    if url.startswith("sqlite://"):
        try:
            return SqliteModule.name, path_of(url)
        except InvalidUrl as error:
            raise ConfigError(f"server.store is '{url}'; {error}") from error
    raise ConfigError(f"server.store is '{url}'; known are memory://, sqlite:///relative.db and sqlite:////absolute.db")
