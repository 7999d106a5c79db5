"""The queue service's own modules: what each needs and provides. The work is done elsewhere."""

from __future__ import annotations

from typing import TypeVar, cast

from leveret.frontend.rest import Rest
from leveret.service import QueueConfig, QueueService
from leveret.store.base import Store
from leveret.store.memory import MemoryStore
from scalestack.clock import steady_clock
from scalestack.event.loops import Loops
from scalestack.http.server import HttpServer
from scalestack.module import Module, Needs, NoConfig

T = TypeVar("T")


class MemoryModule(Module[NoConfig]):
    """Provides `Store`: messages in this process, gone when it ends."""

    name = "memory"
    provides = (Store,)

    def __init__(self, config: NoConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._store = MemoryStore()

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._store)

    def stop(self) -> None:
        self._store.close()


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
    depends = (QueueService, HttpServer)

    def __init__(self, config: NoConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._http = needs[HttpServer]
        self._routes = Rest(needs[QueueService]).routes()

    def start(self) -> None:
        self._http.mount(self._routes)

    def stop(self) -> None:
        self._http.unmount(self._routes)
