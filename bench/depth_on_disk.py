"""Does depth cost anything on disk? The life of a message in a queue of a thousand, and in one of a million."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.options import Options, end_with
from leveret.model import Change, Draft, Filters
from leveret.store.sqlite import Durability, SqliteStore

DEPTHS = {"thousand": 1_000, "million": 1_000_000}
TRIES = 5_000
_BATCH = 1_000
BODY = b"x" * 100


class _Silence:
    """Signals for nobody."""

    def visible(self, account: str, queue: str, at: float) -> None: ...

    def due(self, at: float) -> None: ...

    def dead(self, account: str, queue: str, moved: int, dropped: int) -> None: ...


def fill(store: SqliteStore, queue: str, depth: int) -> None:
    for start in range(0, depth, _BATCH):
        store.put("a", queue, [Draft(f"{number}", BODY, 0, 0) for number in range(start, start + _BATCH)], time.time())


def lives(store: SqliteStore, queues: Sequence[str]) -> dict[tuple[str, str], list[float]]:
    """Put one, claim the first, delete that: in each queue in turn, so that all see the same machine and keep their
    depth. Seconds by operation and queue."""
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    first, hidden = Filters(limit=1), Change(hide=60)
    for number in range(TRIES):
        for queue in queues:
            now = time.time()
            began = time.perf_counter()
            store.put("a", queue, [Draft(f"new {number}", BODY, 0, 0)], now)
            put = time.perf_counter()
            claimed = store.update_matching("a", queue, first, hidden, now)
            assert isinstance(claimed, list)
            assert len(claimed) == 1
            claim = time.perf_counter()
            store.delete("a", queue, [claimed[0].id], now)
            deleted = time.perf_counter()
            for name, seconds in (("PUT", put - began), ("claim", claim - put), ("DELETE", deleted - claim)):
                taken[name, queue].append(seconds)
    return taken


def main() -> int:
    Options("bench.depth_on_disk", __doc__).parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "queue.db"
        filling = SqliteStore(path, Durability.OFF)
        filling.open(_Silence(), time.time())
        for queue, depth in DEPTHS.items():
            fill(filling, queue, depth)
        filling.close()
        print(f"A message's life in queues of {' and '.join(f'{n:,}' for n in DEPTHS.values())}; medians of {TRIES:,}")
        for durability in (Durability.OFF, Durability.FULL):
            store = SqliteStore(path, durability)
            store.open(_Silence(), time.time())
            taken = lives(store, list(DEPTHS))
            store.close()
            for name in ("PUT", "claim", "DELETE"):
                shallow, deep = (statistics.median(taken[name, queue]) * 1e6 for queue in DEPTHS)
                place = "synced" if durability is Durability.FULL else "not synced"
                print(f"  {name:7} {place:10} {shallow:7.1f} µs {deep:7.1f} µs   {deep / shallow:.2f} times")
    return 0


if __name__ == "__main__":
    end_with(main)
