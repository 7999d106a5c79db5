"""Families of series, of prometheus_client's kinds. Imports that when the first of them is made: a scrape does so in a
thread of its own, and a server that nobody scrapes need not wait for it at its start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
    )


def counter(
    name: str, text: str, value: float | None = None, labels: Sequence[str] | None = None
) -> CounterMetricFamily:
    """`value` is that of the only series; else there are `labels`, and each series is added."""
    from prometheus_client.metrics_core import CounterMetricFamily  # noqa: PLC0415 - see above

    return CounterMetricFamily(name, text, value, labels)


def gauge(name: str, text: str, value: float | None = None, labels: Sequence[str] | None = None) -> GaugeMetricFamily:
    """As `counter`, for what goes up and down."""
    from prometheus_client.metrics_core import GaugeMetricFamily  # noqa: PLC0415 - see above

    return GaugeMetricFamily(name, text, value, labels)


def histogram(name: str, text: str, labels: Sequence[str] | None = None) -> HistogramMetricFamily:
    """`add_histogram` adds its series."""
    from prometheus_client.metrics_core import HistogramMetricFamily  # noqa: PLC0415 - see above

    return HistogramMetricFamily(name, text, labels=labels)


def info(name: str, text: str, value: dict[str, str]) -> InfoMetricFamily:
    """What is told by labels alone."""
    from prometheus_client.metrics_core import InfoMetricFamily  # noqa: PLC0415 - see above

    return InfoMetricFamily(name, text, value)


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
