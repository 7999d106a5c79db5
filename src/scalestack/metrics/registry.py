"""What a program tells of itself, and its rendering in Prometheus's formats. Blocks no loop: renders in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from scalestack.http.message import Request, Response, header_text
from scalestack.log import Logger

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_log = Logger("scalestack.metrics")

_NOT_KEPT: Final = ((b"Cache-Control", b"no-store"),)


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
        self._collectors: tuple[Collector, ...] = ()
        self._sources: Mapping[str, Source] = {}
        self._change_lock = threading.Lock()  # guards changes of the two above; readers take them as they are
        self._renderer = ThreadPoolExecutor(1, "metrics")

    def register(self, collector: Collector) -> None:
        """Have `collector` asked at each scrape, in a thread of its own; one that waits for others is a source."""
        with self._change_lock:
            self._collectors = (*self._collectors, collector)

    def deregister(self, collector: Collector) -> None:
        """Harmless when called again."""
        with self._change_lock:
            self._collectors = tuple(each for each in self._collectors if each is not collector)

    def add_source(self, name: str, source: Source) -> None:
        """Have `source` asked at each scrape, on the loop that is asked. One that fails or is late is left out, and
        `scalestack_scrape_source_up` says so under its name. `ValueError` where the name is taken."""
        with self._change_lock:
            if name in self._sources:
                raise ValueError(f"there is a source of metrics named '{name}' already")
            self._sources = {**self._sources, name: source}

    def remove_source(self, name: str) -> None:
        """Harmless when called again."""
        with self._change_lock:
            self._sources = {other: source for other, source in self._sources.items() if other != name}

    async def scrape(self, request: Request) -> Response:
        """The handler of /metrics: text, or OpenMetrics where the client asks for that."""
        sources = self._sources
        found = await asyncio.gather(*(self._ask(name, source) for name, source in sources.items()))
        accept = header_text(request.header(b"accept") or b"")
        encodings = header_text(request.header(b"accept-encoding") or b"")
        answers = dict(zip(sources, found, strict=True))
        loop = asyncio.get_running_loop()
        body, content_type, zipped = await loop.run_in_executor(
            self._renderer, _render, self._collectors, answers, accept, encodings
        )
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


def _render(
    collectors: Iterable[Collector], answers: Mapping[str, Collector | None], accept: str, encodings: str
) -> tuple[bytes, bytes, bool]:
    # Here, since many servers are never scraped, and the first scrape can wait for it in this thread.
    from scalestack.metrics.exposition import render  # noqa: PLC0415

    return render(collectors, answers, accept, encodings)
