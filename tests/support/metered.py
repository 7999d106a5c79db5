"""A queue service in this process that tells of itself, and what it tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from leveret.health import QueueHealthModule
from leveret.metrics import QueueMetricsConfig, QueueMetricsModule
from leveret.modules import MemoryModule, QueueModule, RestModule, SqliteModule
from scalestack.audit.module import AuditModule
from scalestack.auth.module import AuthModule, NoneModule
from scalestack.data import DataDirectory
from scalestack.event.module import EventConfig, EventModule
from scalestack.health import HealthModule
from scalestack.http.module import HttpConfig, HttpModule
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel
from scalestack.log.module import LogModule
from scalestack.metrics.module import MetricsModule
from scalestack.net.address import TcpAddress
from scalestack.net.module import NetModule
from support.web import Client

Samples: TypeAlias = dict[tuple[Any, ...], float]  # name, then label and value of each label, by their names

_MODULES = (
    LogModule, EventModule, NetModule, HttpModule, AuditModule, AuthModule, NoneModule, MemoryModule, SqliteModule,
    QueueModule, RestModule, MetricsModule, QueueMetricsModule, HealthModule, QueueHealthModule,
)  # fmt: skip


class Metered:
    """A running server and one client of it."""

    def __init__(self, kernel: Kernel, port: int) -> None:
        self.kernel = kernel
        self.port = port
        self.client = Client(port)

    def exposition(self) -> str:
        answer = self.client("GET", "/metrics")
        assert answer.status == 200, answer
        return answer.text

    def scrape(self) -> Samples:
        return samples_of(self.exposition())

    def close(self) -> None:
        self.client.close()


def samples_of(exposition: str) -> Samples:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


@contextmanager
def metered(data: Path | None = None, threads: int = 1, **config: int) -> Iterator[Metered]:
    """Serve on a free port: durably in the directory `data`, else in memory. `config` is of the queue's metrics."""
    configs: dict[str, object] = {
        "http": HttpConfig(port=0),
        "event": EventConfig(threads=threads),
        "queue.metrics": QueueMetricsConfig(**config),
    }
    # The audit log would make the directory with its first line, and has none where nobody is asked.
    given = {DataDirectory: DataDirectory(data or Path("no-directory"))}
    kernel = Kernel(
        {module.name: module for module in _MODULES}, lambda name, cls: configs.get(name) or cls(), given=given
    )
    try:
        for name in ("memory" if data is None else "sqlite", "auth.none", "rest", "queue.metrics", "queue.health"):
            kernel.load(name)
        address = kernel.get(HttpServer).listen()[0]
        assert isinstance(address, TcpAddress)
        running = Metered(kernel, address.port)
        try:
            yield running
        finally:
            running.close()
    finally:
        kernel.shutdown(1)
