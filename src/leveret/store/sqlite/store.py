"""The durable store, behind the interface of all stores: which shard is asked, and what several say together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache, partial
from hashlib import blake2b
from itertools import chain, count
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from leveret.model import (
    NEVER,
    AccountState,
    Activity,
    Change,
    Draft,
    Filters,
    Message,
    Outcome,
    Page,
    Policy,
    QueueState,
    Quota,
    Want,
    Wanted,
)
from leveret.store.base import COMMIT_SECONDS, Commits, Observed, Signals, Store, StoreFailed
from leveret.store.ledger import Ledger
from leveret.store.sqlite.file import RESERVE, DatabaseFile
from leveret.store.sqlite.files import last_place, open_together, shard_paths
from leveret.store.sqlite.requests import NOTHING, Kind, Request
from leveret.store.sqlite.shard import Shard
from leveret.store.sqlite.tally import Pace, Tally
from leveret.store.sqlite.writer import Writer
from scalestack.event.pending import Answer, gather, then
from scalestack.metrics.tally import Histogram

_PUT: Final = Kind.PUT  # on CPython 3.11 `Kind.PUT` takes ten times as long
_ALL: Final = Want.ALL
_NO_QUEUE: Final = ("", "")


class Durability(Enum):
    """What an acknowledgement promises."""

    FULL = "full"  # the message outlives a crash of the process and of the system, and a loss of power
    NORMAL = "normal"  # it outlives a crash of the process; a loss of power may take the last ones
    OFF = "off"  # it outlives a crash of the process; a loss of power may take the whole database


class SqliteStore(Store):
    """Messages in SQLite, in `shards` files, each with a thread of its own; an account is in one of them.

    On a loop thread its answers are pending; any other thread that calls is blocked until the answer is there.
    Where a file can't be trusted any more, `broken` is told why, in a thread of the store's, and every call fails with
    `StoreFailed` from then on.
    """

    def __init__(
        self,
        path: Path,
        durability: Durability = Durability.FULL,
        shards: int = 1,
        broken: Callable[[str], None] = lambda _: None,
        reserve: int = RESERVE,  # bytes of the disk that are kept back, per shard, for what makes room
        timer: Callable[[], float] = lambda: 0.0,  # seconds since whenever, to tell how long commits take
    ) -> None:
        self._timer = timer
        self._files = [DatabaseFile(each, durability.value, reserve) for each in shard_paths(path, shards)]
        self._broken = broken
        self._writers: list[Writer] = []
        self._dues = _Dues(shards)
        self._ledger = Ledger()
        self._tallies = [Tally(self._ledger) for _ in self._files]
        self._paces: list[Pace] = []

    def open(self, signals: Signals, now: float) -> None:
        """`Unusable` where a file can't be opened, is damaged, somebody else's, or not of this number of shards."""
        connections = open_together(self._files)
        # One count for all shards, so that the accounts of all of them have one order.
        places = count(max(int(now * 1_000_000), *[last_place(each) + 1 for each in connections]))
        self._dues.open(signals)
        for number, (file, connection) in enumerate(zip(self._files, connections, strict=True)):
            tell_due = partial(self._dues.tell, number)
            tally = self._tallies[number]
            shard = Shard(connection, places.__next__, now, signals.visible, tell_due, signals.dead, tally, self._timer)
            self._paces.append(shard.pace)
            self._writers.append(Writer(f"sqlite-{number}", file, connection, shard, self._broken))
        for writer in self._writers:
            writer.start()

    def close(self) -> None:
        for writer in self._writers:
            writer.stop()

    def _ask(
        self,
        kind: Kind,
        account: str,
        queue: str,
        what: Any,
        now: float,
        want: Wanted = _ALL,
        change: Change = NOTHING,
        receipts: Sequence[str] | None = None,
    ) -> Any:
        request = Request(kind, (account, queue), what, now, want, change)
        if receipts is not None:
            request.receipts = receipts
        return self._writer_of(account).ask(request)

    def _writer_of(self, account: str) -> Writer:
        writers = self._writers
        if len(writers) == 1:
            return writers[0]
        if not writers:
            raise StoreFailed("the store is not open")
        return writers[shard_of(account, len(writers))]

    def _ask_all(self, kind: Kind, what: Any, now: float) -> Answer[list[Any]]:
        return gather([writer.ask(Request(kind, _NO_QUEUE, what, now)) for writer in self._writers])

    # Accounts and queues

    def list_accounts(self, page: Page, now: float) -> Answer[list[str]]:
        return self._accounts(Kind.LIST_ACCOUNTS, page, now)

    def describe_accounts(self, page: Page, now: float) -> Answer[list[AccountState]]:
        return self._accounts(Kind.DESCRIBE_ACCOUNTS, page, now)

    def _accounts(self, kind: Kind, page: Page, now: float) -> Answer[list[Any]]:
        if page.marker is None:
            return self._accounts_after(kind, page.limit, -1, now)
        place = self._ask(Kind.PLACE_OF_ACCOUNT, page.marker, "", None, now)
        return then(place, lambda after: self._accounts_after(kind, page.limit, after, now))

    def _accounts_after(self, kind: Kind, limit: int | None, after: int, now: float) -> Answer[list[Any]]:
        def merged(lists: list[list[tuple[int, Any]]]) -> list[Any]:
            together = lists[0] if len(lists) == 1 else sorted(chain.from_iterable(lists), key=itemgetter(0))
            return [found for _, found in together[:limit]]

        return then(self._ask_all(kind, (limit, after), now), merged)

    def delete_accounts(self, page: Page, now: float) -> Answer[list[str]]:
        def delete(names: list[str]) -> Answer[list[str]]:
            shares: list[list[str]] = [[] for _ in self._writers]
            for name in names:
                shares[shard_of(name, len(shares))].append(name)
            deleted = [
                writer.ask(Request(Kind.DELETE_ACCOUNTS, _NO_QUEUE, share, now))
                for writer, share in zip(self._writers, shares, strict=True)
                if share
            ]
            return then(gather(deleted), lambda _: names)

        return then(self.list_accounts(page, now), delete)

    def list_queues(self, account: str, page: Page, now: float) -> Answer[list[str]]:
        answer: Answer[list[str]] = self._ask(Kind.LIST_QUEUES, account, "", page, now)
        return answer

    def delete_queues(self, account: str, page: Page, now: float) -> Answer[list[str]]:
        answer: Answer[list[str]] = self._ask(Kind.DELETE_QUEUES, account, "", page, now)
        return answer

    def describe_queues(self, account: str, page: Page, now: float) -> Answer[list[QueueState]]:
        answer: Answer[list[QueueState]] = self._ask(Kind.DESCRIBE_QUEUES, account, "", page, now)
        return answer

    def find_queues(self, account: str, names: Sequence[str], now: float) -> Answer[list[QueueState]]:
        answer: Answer[list[QueueState]] = self._ask(Kind.FIND_QUEUES, account, "", names, now)
        return answer

    def change_policy(
        self, account: str, queue: str, change: Mapping[str, int | str | None] | None, now: float
    ) -> Answer[Policy]:
        answer: Answer[Policy] = self._ask(Kind.POLICY, account, queue, change, now)
        return answer

    # Messages

    def put(
        self, account: str, queue: str, drafts: Sequence[Draft], now: float, quota: Quota | None = None
    ) -> Answer[list[Outcome]]:
        # Not by `_ask`: of all calls there are most of this one.
        request = Request(_PUT, (account, queue), drafts, now)
        if quota is not None:
            request.quota = quota
        answer: Answer[list[Outcome]] = self._writer_of(account).ask(request)
        return answer

    def get(
        self, account: str, queue: str, ids: Sequence[str], now: float, want: Wanted = Want.ALL
    ) -> Answer[list[Message | None]]:
        answer: Answer[list[Message | None]] = self._ask(Kind.GET, account, queue, ids, now, want)
        return answer

    def update(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        change: Change,
        now: float,
        want: Wanted = Want.ALL,
        receipts: Sequence[str] | None = None,
    ) -> Answer[list[Message | None]]:
        answer: Answer[list[Message | None]] = self._ask(Kind.UPDATE, account, queue, ids, now, want, change, receipts)
        return answer

    def delete(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        now: float,
        want: Wanted = Want.ALL,
        receipts: Sequence[str] | None = None,
    ) -> Answer[list[Message | None]]:
        answer: Answer[list[Message | None]] = self._ask(Kind.DELETE, account, queue, ids, now, want, receipts=receipts)
        return answer

    def select(
        self, account: str, queue: str, filters: Filters, now: float, want: Wanted = Want.ALL
    ) -> Answer[list[Message]]:
        answer: Answer[list[Message]] = self._ask(Kind.SELECT, account, queue, filters, now, want)
        return answer

    def update_matching(
        self, account: str, queue: str, filters: Filters, change: Change, now: float, want: Wanted = Want.ALL
    ) -> Answer[list[Message]]:
        answer: Answer[list[Message]] = self._ask(Kind.UPDATE_MATCHING, account, queue, filters, now, want, change)
        return answer

    def delete_matching(
        self, account: str, queue: str, filters: Filters, now: float, want: Wanted = Want.ALL
    ) -> Answer[list[Message]]:
        answer: Answer[list[Message]] = self._ask(Kind.DELETE_MATCHING, account, queue, filters, now, want)
        return answer

    def next_visible(self, account: str, queue: str, filters: Filters, now: float) -> Answer[float | None]:
        answer: Answer[float | None] = self._ask(Kind.NEXT_VISIBLE, account, queue, filters, now)
        return answer

    def sweep(self, now: float) -> Answer[float | None]:
        return then(self._ask_all(Kind.SWEEP, None, now), lambda _: self._dues.swept())

    # What happened

    def count_activity(self, on: bool) -> None:
        for tally in self._tallies:
            tally.on = on

    def activity(self) -> list[tuple[str, str, Activity]]:
        return self._ledger.read()

    def commits(self) -> Commits:
        paces = self._paces
        return Commits(
            sum([pace.batches for pace in paces]),
            sum([pace.operations for pace in paces]),
            _together([pace.batch_seconds for pace in paces]),
            _together([pace.commit_seconds for pace in paces]),
            sum([file.wal_bytes for file in self._files]),
        )


def _together(histograms: Sequence[Histogram]) -> Observed:
    """What several of them have observed, over the same bounds."""
    seen = [histogram.snapshot() for histogram in histograms] or [Histogram(COMMIT_SECONDS).snapshot()]
    return tuple(map(sum, zip(*(counts for counts, _ in seen), strict=True))), sum([seconds for _, seconds in seen])


class _Dues:
    """When the next sweep is due, in the words of one store: each shard speaks for itself, from its own thread."""

    def __init__(self, shards: int) -> None:
        self._lock = threading.Lock()  # guards all of it
        self._dues = [NEVER] * shards
        self._said = NEVER
        self._signals: Signals

    def open(self, signals: Signals) -> None:
        self._signals = signals

    def tell(self, shard: int, at: float) -> None:
        """What the shard expects, NEVER included: it is passed on where it is earlier than what was said last."""
        with self._lock:
            self._dues[shard] = at
            earlier = at < self._said
            if earlier:
                self._said = at
        if earlier:
            self._signals.due(at)

    def swept(self) -> float | None:
        """The answer of a sweep, once all shards have done their part."""
        with self._lock:
            self._said = min(self._dues)
            return None if self._said == NEVER else self._said


@lru_cache(maxsize=4096)
def shard_of(account: str, shards: int) -> int:
    """The shard of an account: the same on every machine and in every version."""
    return int.from_bytes(blake2b(account.encode(), digest_size=8).digest()) % shards
