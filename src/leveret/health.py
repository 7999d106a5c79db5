"""When the queue service can work: its store answers, and it is not about to end."""

from __future__ import annotations

from leveret.model import Page
from leveret.service import QueueService
from leveret.store.base import StoreError
from scalestack.event.loops import arrival
from scalestack.health import Health, NotReady
from scalestack.module import Module, Needs, NoConfig


class QueueHealthModule(Module[NoConfig]):
    """Adds the checks of the queue service."""

    name = "queue.health"
    depends = (QueueService, Health)

    def __init__(self, config: NoConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._service = needs[QueueService]
        self._health = needs[Health]

    def start(self) -> None:
        self._health.register("store", self._store_answers)
        self._health.register("draining", self._goes_on)

    def stop(self) -> None:
        self._health.deregister("store")
        self._health.deregister("draining")

    async def _store_answers(self) -> None:
        try:
            await arrival(self._service.list_accounts(Page(limit=1)))
        except StoreError as error:
            raise NotReady("it fails") from error  # its own text may name files

    async def _goes_on(self) -> None:
        if self._service.draining:
            raise NotReady("the server is about to end")
