"""A scrape as Prometheus reads it. Runs in the thread that renders, and is imported there: nobody else needs it."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest, gzip_accepted
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from scalestack.metrics.families import gauge
from scalestack.metrics.registry import Collector

_IN_A_ROW: Final = 64  # samples, which take a quarter of a millisecond
_PAUSE: Final = 50e-6  # seconds
_COMPRESSION: Final = 1  # of gzip: the fastest, which is enough for what repeats itself so much

_PROCESS: Final = ProcessCollector(registry=None)


def render(
    collectors: Iterable[Collector], sources: Mapping[str, Collector | None], accept: str, encodings: str
) -> tuple[bytes, bytes, bool]:
    """The exposition, in the format that fits best; its content type; and whether it is gzipped.

    `sources` are what the sources answered, None for one that did not. `accept` and `encodings` are the headers.
    """
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # it stumbles over a version that is no number
        encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    body = encode(_Scrape(collectors, sources))
    zipped = gzip_accepted(encodings)
    return gzip.compress(body, _COMPRESSION) if zipped else body, content_type.encode(), zipped


class _Scrape:
    """All series of one scrape."""

    def __init__(self, collectors: Iterable[Collector], sources: Mapping[str, Collector | None]) -> None:
        self._collectors = collectors
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        for family in self._collect():
            family.samples = _Polite(family.samples)
            yield family

    def _collect(self) -> Iterator[Metric]:
        for collector in self._collectors:
            yield from collector.collect()
        yield from _PROCESS.collect()
        up = gauge(
            "scalestack_scrape_source_up", "Whether a source of metrics answered this scrape.", labels=("source",)
        )
        for name, source in self._sources.items():
            up.add_metric((name,), float(source is not None))
            if source is not None:
                yield from source.collect()
        yield up


class _Polite(list[Sample]):
    """Samples whose rendering lets the loops work in between: who only computes keeps the GIL for 5 ms at a time."""

    def __iter__(self) -> Iterator[Sample]:
        for number, sample in enumerate(super().__iter__(), 1):
            if not number % _IN_A_ROW:
                time.sleep(_PAUSE)
            yield sample
