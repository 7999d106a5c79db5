"""The series of the framework: requests, bytes, connections and the loops' lag. Reads counts that others keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from scalestack.event.lag import LagProbe
from scalestack.event.loops import LoopThread
from scalestack.http.meter import BOUNDS, NO_ROUTE, OTHER, Tally
from scalestack.metrics.families import add_histogram, counter, gauge, histogram
from scalestack.net.listener import Network

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class RequestSeries:
    """What the tallies of all loop threads have counted. Counts while it is started."""

    def __init__(self, threads: Sequence[LoopThread]) -> None:
        self._threads = threads
        self._tallies: list[Tally] = []

    def start(self) -> None:
        """Blocks until each thread has its tally, made by itself: a free-threaded build is fastest with its own."""
        self._tallies = [thread.call(_begin, thread).result() for thread in self._threads]

    def stop(self) -> None:
        """Harmless when called again."""
        for thread in self._threads:
            thread.post(_end, thread)

    def collect(self) -> Iterator[Metric]:
        requests = counter(
            "scalestack_http_requests_total",
            "Requests that were answered, and what was refused because it was no request.",
            labels=("route", "method", "status"),
        )
        answered: Counter[tuple[str, str, int]] = Counter()
        spent: dict[tuple[bool, str, str], tuple[list[int], float]] = {}
        for tally in self._tallies:
            for (route, method, status, parked), times in tally.answers().items():
                verb = method.decode("latin-1")
                counts, total = times.snapshot()
                answered[route, verb, status] += sum(counts)
                before, spent_before = spent.get((parked, route, verb), ([0] * len(counts), 0.0))
                spent[parked, route, verb] = [x + y for x, y in zip(before, counts, strict=True)], spent_before + total
            for status, count in tally.refusals().items():
                answered[NO_ROUTE, OTHER.decode(), status] += count
        for (route, verb, status), count in sorted(answered.items()):
            requests.add_metric((route, verb, str(status)), count)
        yield requests

        quick = histogram(
            "scalestack_http_request_seconds",
            "From the end of a request to its answer; parked requests have a series of their own.",
            labels=("route", "method"),
        )
        slow = histogram(
            "scalestack_http_parked_seconds",
            "The same for requests that waited for something to happen, such as long polls.",
            labels=("route", "method"),
        )
        for (parked, route, verb), (found, total) in sorted(spent.items()):
            add_histogram(slow if parked else quick, (route, verb), BOUNDS, found, total)
        yield quick
        yield slow


def _begin(thread: LoopThread) -> Tally:
    tally = Tally()
    thread.own.tally = tally
    return tally


def _end(thread: LoopThread) -> None:
    thread.own.tally = None


class ConnectionSeries:
    """How many connections are open."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def collect(self) -> Iterator[Metric]:
        yield gauge("scalestack_connections", "Connections that are open.", self._network.connections)


class LagSeries:
    """How late each loop is. Measures while it is started."""

    def __init__(self, threads: Sequence[LoopThread]) -> None:
        self._probes = [LagProbe(thread) for thread in threads]

    def start(self) -> None:
        for probe in self._probes:
            probe.start()

    def stop(self) -> None:
        """Harmless when called again."""
        for probe in self._probes:
            probe.stop()

    def collect(self) -> Iterator[Metric]:
        lag = histogram(
            "scalestack_loop_lag_seconds",
            "How late a timer rang that is set once a second; the count stands still where a loop hangs.",
            labels=("loop",),
        )
        for probe in self._probes:
            add_histogram(lag, (probe.thread.name,), probe.seconds.bounds, *probe.seconds.snapshot())
        yield lag
