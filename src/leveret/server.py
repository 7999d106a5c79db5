"""The composition root: which modules make a Leveret server. The only place that chooses a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from platformdirs import user_data_path

from leveret.actions import ACTIONS
from leveret.health import QueueHealthModule
from leveret.keys import LeveretKeys
from leveret.limits import LimitsConfig, LimitsModule
from leveret.metrics import QueueMetricsModule
from leveret.modules import MemoryModule, QueueModule, RestModule, SqliteConfig, SqliteModule
from leveret.tracing.module import OtelModule
from scalestack.admin import AdminModule
from scalestack.audit.module import AuditModule
from scalestack.auth.jwt.module import JwtModule
from scalestack.auth.module import AuthModule, NoneModule
from scalestack.config import Between, ConfigError, Override, Settings, neighbours
from scalestack.data import DataDirectory
from scalestack.event.module import EventModule
from scalestack.health import HealthModule
from scalestack.http.module import HttpConfig, HttpModule
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel, ModuleStatus, discover
from scalestack.log import Logger
from scalestack.log.module import LogModule
from scalestack.metrics.module import MetricsModule
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
    AuditModule.of(ACTIONS),
    AuthModule,
    NoneModule,
    LeveretKeys,
    JwtModule.of("leveret"),
    MemoryModule,
    SqliteModule,
    QueueModule,
    RestModule,
    AdminModule,
    LimitsModule,
    HealthModule,
    QueueHealthModule,
    MetricsModule,
    QueueMetricsModule,
    OtelModule,
)
_USUAL: Final = ("queue.health", "queue.metrics", "admin")
_DATA: Final = user_data_path("leveret", appauthor=False)
_DURABILITIES: Final = {
    "full": "durable: synced before it is acknowledged",
    "normal": "durable, but for the last before a loss of power",
    "off": "not synced: a loss of power may take all",
}


@dataclass(frozen=True)
class ServerConfig:
    data: Path = _DATA  # directory of what outlives the server, made when needed
    store: str = ""  # URL of the store, queue.db in the data directory; memory:// keeps messages until the process ends
    auth: str = "none"  # who is asked who sends a request: none, or several of keys and jwt, such as "keys,jwt"
    insecure: bool = False  # listen beyond loopback although nobody is asked who they are
    grace: Annotated[float, Between(0, 3600)] = 10.0  # seconds that requests under way have to end at a stop
    modules: tuple[str, ...] = ()  # loaded beside the usual ones, such as otel
    without: tuple[str, ...] = ()  # of the usual ones, not loaded: queue.health, queue.metrics, admin

    def __post_init__(self) -> None:
        for name in self.without:
            if name not in _USUAL:
                raise ValueError(f"without has '{name}'; {', '.join(_USUAL)} can be left out")
        if not self.store:
            object.__setattr__(self, "store", f"sqlite:///{self.data.absolute() / 'queue.db'}")


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
        self._authenticators = _parse_auth(self.config.auth, self.modules)
        # The queue before all that needs the network, which so drains first: polls are then answered with "close".
        limits: LimitsConfig = self.settings.section(LimitsModule.name)
        limiting = (LimitsModule.name,) if limits.any else ()
        base = ("log", store, "queue", "audit", *self._authenticators, *limiting, "rest")
        self._wanted = (*base, *(name for name in _USUAL if name not in self.config.without), *self.config.modules)
        if path is not None:
            self.modules[store] = SqliteModule.at(path)
        self.modules[AdminModule.name] = AdminModule.forbidding(self._why_not)
        given = {DataDirectory: DataDirectory(self.config.data)}
        self.kernel = Kernel(self.modules, lambda name, _: self.settings.section(name), given=given)

    def start(self) -> list[Address]:
        """Load all modules and listen; answers the addresses. What fails is undone, and raised as one clear error."""
        http: HttpConfig = self.settings.section("http")
        nobody_asked = not is_loopback(http.host) and NoneModule.name in self._authenticators
        if nobody_asked and not self.config.insecure:
            raise ConfigError(
                f"http.host is '{http.host}', which is no loopback address: others could reach it, and nobody would be "
                "asked who they are; give --auth keys to ask for keys ('leveret keys create' makes one), --insecure to "
                "ask nobody, or listen on 127.0.0.1"
            )
        try:
            for name in self._wanted:
                self.kernel.load(name)
            if nobody_asked:
                _log.warning("others can reach this server, and nobody is asked who they are")
            elif not is_loopback(http.host) and not http.tls_certificate:
                _log.warning(
                    "credentials and messages can be read on their way unless a proxy in front speaks TLS; "
                    "http.tls_certificate has this server speak it"
                )
            return self.kernel.get(HttpServer).listen()
        except BaseException:
            self.kernel.shutdown(0)
            raise

    def _why_not(self, name: str) -> str | None:
        """What keeps a module from being loaded while the server runs."""
        http: HttpConfig = self.settings.section("http")
        if name != NoneModule.name or is_loopback(http.host) or self.config.insecure:
            return None
        return (
            f"'{name}' would open this server to all, and others can reach it: http.host is '{http.host}'; "
            "start it with --insecure if that is what you want"
        )

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


def _parse_auth(names: str, modules: Mapping[str, object]) -> tuple[str, ...]:
    """The modules that find out who sends a request."""
    wanted = [name.strip() for name in names.split(",")]
    known = [name.removeprefix("auth.") for name in modules if name.startswith("auth.")]
    for name in wanted:
        if name not in known:
            raise ConfigError(f"server.auth is '{names}'; there is no '{name}', {neighbours(name, known)}")
    if "none" in wanted and len(wanted) > 1:
        raise ConfigError(f"server.auth is '{names}'; 'none' asks nobody, and stands alone")
    return tuple(f"auth.{name}" for name in dict.fromkeys(wanted))


def _parse_store(url: str) -> tuple[str, Path | None]:
    """The module for a store's URL, and its file where it has one."""
    if url == "memory://":
        return MemoryModule.name, None
    if url.startswith("sqlite://"):
        from leveret.store.sqlite import InvalidUrl, path_of  # noqa: PLC0415 - not imported for another store

        try:
            return SqliteModule.name, path_of(url)
        except InvalidUrl as error:
            raise ConfigError(f"server.store is '{url}'; {error}") from error
    raise ConfigError(f"server.store is '{url}'; known are memory://, sqlite:///relative.db and sqlite:////absolute.db")
