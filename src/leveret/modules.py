"""The queue service's own modules: what each needs and provides. The work is done elsewhere.

A store is imported when its module is made: of the stores that there are, a server uses one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Final, Literal, TypeVar, cast

from leveret.frontend.rest import Rest, translate
from leveret.service import QueueConfig, QueueService
from leveret.store.base import Store
from scalestack.audit.trail import Audit
from scalestack.auth.authority import Authority
from scalestack.clock import steady_clock
from scalestack.config import Between
from scalestack.data import DataDirectory
from scalestack.event.loops import Loops
from scalestack.http.server import HttpServer
from scalestack.module import Module, Needs, NoConfig

T = TypeVar("T")

STORE_BROKEN: Final = 74  # the exit code where a write or a sync failed (EX_IOERR of sysexits.h)


class MemoryModule(Module[NoConfig]):
    """Provides `Store`: messages in this process, gone when it ends."""

    name = "memory"
    provides = (Store,)

    def __init__(self, config: NoConfig, needs: Needs) -> None:
        from leveret.store.memory import MemoryStore  # noqa: PLC0415 - see above

        super().__init__(config, needs)
        self._store = MemoryStore()

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._store)

    def stop(self) -> None:
        self._store.close()


@dataclass(frozen=True)
class SqliteConfig:
    durability: Literal["full", "normal", "off"] = "full"  # what is synced before it is acknowledged
    shards: Annotated[int, Between(1, 64)] = 1  # files, with a thread each, over which accounts are spread


class SqliteModule(Module[SqliteConfig]):
    """Provides `Store`: messages in SQLite, in the file `path` of the data directory, unless `at` says another."""

    name = "sqlite"
    Config = SqliteConfig
    depends = (DataDirectory,)
    provides = (Store,)
    path: Path | None = None

    def __init__(self, config: SqliteConfig, needs: Needs) -> None:
        from leveret.store.sqlite import Durability, SqliteStore  # noqa: PLC0415 - see above

        super().__init__(config, needs)
        self._path = self.path or needs[DataDirectory].path / "queue.db"
        durability = Durability(config.durability)
        self._store = SqliteStore(self._path, durability, config.shards, self._broken, timer=perf_counter)

    @classmethod
    def at(cls, path: Path) -> type[SqliteModule]:
        """This module, for another file."""
        return type(cls.__name__, (cls,), {"path": path})

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._store)

    def stop(self) -> None:
        self._store.close()

    def _broken(self, why: str) -> None:
        """End the process at once: what it would still say could be untrue."""
        line = (
            f"leveret: the store {self._path} can't be trusted any more, and so the server ends: {why}; "
            "what was acknowledged was on the disk before; look at the disk, then start again\n"
        )
        os.write(2, line.encode())
        os._exit(STORE_BROKEN)


class QueueModule(Module[QueueConfig]):
    """Provides `QueueService`, over the store that is loaded."""

    name = "queue"
    Config = QueueConfig
    depends = (Store, Loops)
    provides = (QueueService,)

    def __init__(self, config: QueueConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._service = QueueService(needs[Store], steady_clock(), config, needs[Loops].threads[0])

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._service)

    def start(self) -> None:
        self._service.start()

    def drain(self) -> None:
        self._service.drain()

    def stop(self) -> None:
        self._service.drain()


class RestModule(Module[NoConfig]):
    """Mounts the REST API on the HTTP server."""

    name = "rest"
    depends = (QueueService, HttpServer, Authority, Audit)

    def __init__(self, config: NoConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._http = needs[HttpServer]
        self._rest = Rest(needs[QueueService], needs[Audit])
        self._routes = self._rest.routes()

    def start(self) -> None:
        self._http.mount(self._routes, translate, self._rest.routes_again)

    def stop(self) -> None:
        self._http.unmount(self._routes)
