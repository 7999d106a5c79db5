"""What a program tells of itself, and its rendering in Prometheus's formats. Blocks no loop: renders in a thread."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest, gzip_accepted
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Sample

from scalestack.http.message import Request, Response, header_text
from scalestack.log import Logger

_log = Logger("scalestack.metrics")

_NOT_KEPT: Final = ((b"Cache-Control", b"no-store"),)
_IN_A_ROW: Final = 64  # samples, which take a quarter of a millisecond
_PAUSE: Final = 50e-6  # seconds
_COMPRESSION: Final = 1  # of gzip: the fastest, which is enough for what repeats itself so much


class Collector(Protocol):
    """Gives series. Of prometheus_client, whose own collectors fit as they are."""

    def collect(self) -> Iterable[Metric]: ...


# Called on a loop at each scrape; what it answers is asked for its series in a thread.
Source: TypeAlias = Callable[[], Awaitable[Collector]]


class Metrics:
    """The series of a process. Collectors and sources come and go while it serves; any thread may bring them."""

    def __init__(self, patience: float) -> None:
        """`patience`: seconds that a source may take, at most."""
        self._patience = patience
        self._registry = CollectorRegistry()
        self._sources: Mapping[str, Source] = {}
        self._sources_lock = threading.Lock()  # guards changes of the sources; readers take them as they are
        self._renderer = ThreadPoolExecutor(1, "metrics")

    def register(self, collector: Collector) -> None:
        """Have `collector` asked at each scrape, in a thread of its own; one that waits for others is a source."""
        self._registry.register(collector)

    def deregister(self, collector: Collector) -> None:
        self._registry.unregister(collector)

    def add_source(self, name: str, source: Source) -> None:
        """Have `source` asked at each scrape, on the loop that is asked. One that fails or is late is left out, and
        `scalestack_scrape_source_up` says so under its name. `ValueError` where the name is taken."""
        with self._sources_lock:
            if name in self._sources:
                raise ValueError(f"there is a source of metrics named '{name}' already")
            self._sources = {**self._sources, name: source}

    def remove_source(self, name: str) -> None:
        """Harmless when called again."""
        with self._sources_lock:
            self._sources = {other: source for other, source in self._sources.items() if other != name}

    async def scrape(self, request: Request) -> Response:
        """The handler of /metrics: text, or OpenMetrics where the client asks for that."""
        sources = self._sources
        found = await asyncio.gather(*(self._ask(name, source) for name, source in sources.items()))
        scrape = _Scrape(self._registry, dict(zip(sources, found, strict=True)))
        accept = header_text(request.header(b"accept") or b"")
        zipped = gzip_accepted(header_text(request.header(b"accept-encoding") or b""))
        loop = asyncio.get_running_loop()
        body, content_type = await loop.run_in_executor(self._renderer, _render, scrape, accept, zipped)
        headers = (*_NOT_KEPT, (b"Content-Encoding", b"gzip")) if zipped else _NOT_KEPT
        return Response(200, body, content_type, headers)

    async def _ask(self, name: str, source: Source) -> Collector | None:
        try:
            async with asyncio.timeout(self._patience):
                return await source()
        except TimeoutError:
            _log.warning("a source of metrics did not answer in time", source=name, seconds=self._patience)
        except Exception as error:
            _log.error("a source of metrics failed", source=name, exc_info=error)
        return None

    def close(self) -> None:
        """End the thread. Blocks; harmless when called again."""
        self._renderer.shutdown()


class _Scrape:
    """All series of one scrape."""

    def __init__(self, registry: Collector, sources: Mapping[str, Collector | None]) -> None:
        self._registry = registry
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        for family in self._collect():
            family.samples = _Polite(family.samples)
            yield family

    def _collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        up = GaugeMetricFamily(
            "scalestack_scrape_source_up", "Whether a source of metrics answered this scrape.", labels=("source",)
        )
        for name, collector in self._sources.items():
            up.add_metric((name,), float(collector is not None))
            if collector is not None:
                yield from collector.collect()
        yield up


class _Polite(list[Sample]):
    """Samples whose rendering lets the loops work in between: who only computes keeps the GIL for 5 ms at a time."""

    def __iter__(self) -> Iterator[Sample]:
        for number, sample in enumerate(super().__iter__(), 1):
            if not number % _IN_A_ROW:
                time.sleep(_PAUSE)
            yield sample


def _render(scrape: Collector, accept: str, zipped: bool) -> tuple[bytes, bytes]:
    """The exposition, in the format that fits best, and its content type."""
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # it stumbles over a version that is no number
        encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    body = encode(scrape)
    return gzip.compress(body, _COMPRESSION) if zipped else body, content_type.encode()


def add_histogram(
    family: HistogramMetricFamily, labels: Iterable[str], bounds: Iterable[float], counts: Iterable[int], total: float
) -> None:
    """Add what a `Histogram` has counted in each of its buckets, and the sum of all values, to a family of series."""
    seen = 0
    buckets = []
    for bound, count in zip((*map(repr, bounds), "+Inf"), counts, strict=True):
        seen += count
        buckets.append((bound, float(seen)))
    family.add_metric(tuple(labels), buckets, total)
