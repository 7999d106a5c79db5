"""Does depth cost anything? A claim in a queue of ten, and in one of 100,000 of which all but one are hidden."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench import servers
from bench.options import Options, end_with
from leveret.model import Change, Draft, Filters
from leveret.store.memory import MemoryStore

SHALLOW = 10
DEEP = 100_000
TRIES = 5_000


@dataclass(frozen=True)
class Comparison:
    """Median microseconds of a claim."""

    place: str
    shallow: float
    deep: float

    @property
    def ratio(self) -> float:
        return self.deep / self.shallow


def compare(place: str, claim: Callable[[str], None], release: Callable[[str], None]) -> Comparison:
    """Claim and release in turn, in one queue and in the other, so that both see the same machine."""
    times: dict[str, list[float]] = {"shallow": [], "deep": []}
    for _ in range(TRIES):
        for queue, taken in times.items():
            began = time.perf_counter()
            claim(queue)
            taken.append(time.perf_counter() - began)
            release(queue)
    shallow, deep = (statistics.median(taken) * 1e6 for taken in times.values())
    return Comparison(place, shallow, deep)


def in_the_store() -> Comparison:
    store = MemoryStore()
    now = time.time()
    for queue, depth in (("shallow", SHALLOW), ("deep", DEEP)):
        hide = 0 if depth == SHALLOW else 3600
        store.put("a", queue, [Draft(str(number), b"x" * 100, 0, hide) for number in range(depth - 1)], now)
        store.put("a", queue, [Draft("last", b"x" * 100, 0, 0)], now)
    first, claimed, released = Filters(limit=1), Change(hide=60), Change(hide=0)
    ids = {"shallow": ["0"], "deep": ["last"]}

    def claim(queue: str) -> None:
        assert store.update_matching("a", queue, first, claimed, now)

    def release(queue: str) -> None:
        assert store.update("a", queue, ids[queue], released, now)

    return compare("in the store", claim, release)


def through_http() -> Comparison:
    with servers.running(servers.leveret("--store", "memory://", "--set", "event.threads=1")) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc)

        def ask(method: str, path: str, body: bytes | None = None) -> None:
            connection.request(method, "/v1.0/a/" + path, body)
            response = connection.getresponse()
            response.read()
            assert response.status < 300, (method, path, response.status)

        for queue, depth in (("shallow", SHALLOW), ("deep", DEEP)):
            for number in range(depth - 1):
                ask("PUT", f"{queue}/{number}?ttl=0", b"x" * 100)
            if depth == DEEP:
                ask("POST", f"{queue}?hide=3600")
            ask("PUT", f"{queue}/last?ttl=0", b"x" * 100)
        ids = {"shallow": "0", "deep": "last"}
        return compare(
            "through HTTP",
            lambda queue: ask("POST", f"{queue}?limit=1&hide=60&detail=all"),
            lambda queue: ask("POST", f"{queue}/{ids[queue]}?hide=0"),
        )


def main() -> int:
    Options("bench.depth", __doc__).parse_args()
    print(f"A claim in a queue of {SHALLOW}, and of {DEEP:,} with {DEEP - 1:,} hidden; medians of {TRIES:,} in turn")
    for found in (in_the_store(), through_http()):
        print(f"  {found.place:14} {found.shallow:7.2f} µs {found.deep:7.2f} µs   {found.ratio:.2f} times")
    return 0


if __name__ == "__main__":
    end_with(main)
