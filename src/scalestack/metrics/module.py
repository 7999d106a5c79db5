"""The metrics module: counts requests and loops' lag, and serves all series at /metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar, cast

from scalestack.config import Between
from scalestack.event.loops import Loops
from scalestack.http.router import METRICS, Route
from scalestack.http.server import HttpServer
from scalestack.metrics.registry import Metrics
from scalestack.metrics.serving import ConnectionSeries, LagSeries, RequestSeries
from scalestack.module import Module, Needs
from scalestack.net.listener import Network

T = TypeVar("T")


@dataclass(frozen=True)
class MetricsConfig:
    patience: Annotated[float, Between(0.01, 3600)] = 5.0  # seconds that a source may take; then it is left out


class MetricsModule(Module[MetricsConfig]):
    """Provides `Metrics`."""

    name = "metrics"
    Config = MetricsConfig
    depends = (HttpServer, Loops, Network)
    provides = (Metrics,)

    def __init__(self, config: MetricsConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        threads = needs[Loops].threads
        self._http = needs[HttpServer]
        self._metrics = Metrics(config.patience)
        self._requests = RequestSeries(threads)
        self._lag = LagSeries(threads)
        self._connections = ConnectionSeries(needs[Network])
        self._routes = [Route("GET", "/metrics", self._metrics.scrape, action=METRICS)]

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._metrics)

    def start(self) -> None:
        self._http.mount(self._routes)
        self._requests.start()
        self._lag.start()
        for collector in (self._requests, self._connections, self._lag):
            self._metrics.register(collector)

    def stop(self) -> None:
        self._http.unmount(self._routes)
        self._lag.stop()
        self._requests.stop()
        self._metrics.close()
