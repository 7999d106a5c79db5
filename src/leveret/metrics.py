"""The series of accounts, queues and commits. Asks the store at each scrape; keeps no counts of messages itself."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from leveret import __version__
from leveret.model import AccountState, Activity, Page, QueueState
from leveret.service import QueueService
from leveret.store.base import Commits, Store
from scalestack.config import Between
from scalestack.event.loops import arrival
from scalestack.event.pending import Answer, gather
from scalestack.kernel import Kernel, KernelError
from scalestack.limits.refusals import Refusals
from scalestack.metrics.families import add_histogram, counter, gauge, histogram, info
from scalestack.metrics.registry import Collector, Metrics
from scalestack.module import Module, Needs

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_PAGE: Final = 500  # accounts that are asked for at once
_TOGETHER: Final = 200  # queues that are asked for at once, about; then the loop's other work has its turn
_REST: Final = ""  # the name, which none has, under which the rest is added up

# Of an `Activity`, each with what it counts.
_COUNTERS: Final = (
    ("put", "put", "Messages that were put, replacements included."),
    ("claimed", "claimed", "Messages that were claimed: each hide counts."),
    ("deleted", "deleted", "Messages that were deleted, one by one or with their queue."),
    ("expired", "expired", "Messages whose time to live ended; counted when their space is freed."),
    ("dead", "dead_lettered", "Messages that were delivered too often, and were moved or dropped."),
)


@dataclass(frozen=True)
class QueueMetricsConfig:
    max_queues: Annotated[int, Between(0, 10_000)] = 1_000  # queues with series of their own, those made first
    max_accounts: Annotated[int, Between(0, 10_000)] = 1_000  # accounts with series of their own, likewise


class QueueMetricsModule(Module[QueueMetricsConfig]):
    """Adds the queue service's series to those of the framework."""

    name = "queue.metrics"
    Config = QueueMetricsConfig
    depends = (QueueService, Store, Metrics, Kernel)

    def __init__(self, config: QueueMetricsConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._store = needs[Store]
        self._metrics = needs[Metrics]
        self._process = ProcessSeries(needs[QueueService], needs[Store])
        self._series = QueueSeries(needs[QueueService], needs[Store], config)
        self._refusals = RefusalSeries(needs[Kernel], config.max_accounts)

    def start(self) -> None:
        self._metrics.add_source("queue", self._series.ask)
        self._metrics.register(self._process)
        self._metrics.register(self._refusals)
        self._store.count_activity(True)

    def stop(self) -> None:
        self._store.count_activity(False)
        self._metrics.remove_source("queue")
        self._metrics.deregister(self._process)
        self._metrics.deregister(self._refusals)


class RefusalSeries:
    """What was refused because an account was at a limit, where there are limits."""

    def __init__(self, kernel: Kernel, max_accounts: int) -> None:
        self._kernel = kernel
        self._max_accounts = max_accounts

    def collect(self) -> Iterator[Metric]:
        series = counter(
            "leveret_refusals_total", "Requests refused since the account is at a limit.", labels=("account", "limit")
        )
        try:
            counted = self._kernel.get(Refusals).counted()
        except KernelError:  # nothing is limited
            counted = {}
        shown: set[str] = set()
        rest: dict[str, int] = defaultdict(int)
        for (account, kind), count in counted.items():
            if account in shown or (account and len(shown) < self._max_accounts):
                shown.add(account)
                series.add_metric((account, kind), count)
            else:
                rest[kind] += count
        for kind, count in rest.items():
            series.add_metric((_REST, kind), count)
        yield series


class QueueSeries:
    """A source: what each account and each queue holds, and what was done there."""

    def __init__(self, service: QueueService, store: Store, config: QueueMetricsConfig) -> None:
        self._service = service
        self._store = store
        self._max_accounts = config.max_accounts
        self._max_queues = config.max_queues
        self._activity = ActivitySeries(store, config)

    async def ask(self) -> Collector:
        """Ask the store, on a loop, in pieces that leave it time for others."""
        now = self._service.clock()
        shown: list[AccountState] = []
        others = queues = messages = size = 0
        marker: str | None = None
        while True:
            page = await arrival(self._store.describe_accounts(Page(_PAGE, marker), now))
            room = self._max_accounts - len(shown)
            shown += page[:room]
            for account in page[room:]:
                others += 1
                queues += account.queues
                messages += account.messages
                size += account.bytes
            if len(page) < _PAGE:
                break
            marker = page[-1].name
            await asyncio.sleep(0)
        rest = AccountState(_REST, queues, messages, size)
        return _Standing(shown, others, rest, await self._queues(shown, now), now, self._activity)

    async def _queues(self, accounts: Sequence[AccountState], now: float) -> list[tuple[str, QueueState]]:
        """The first queues of these accounts, as many as are shown."""
        found: list[tuple[str, QueueState]] = []
        asked: dict[str, Answer[list[QueueState]]] = {}
        left, together = self._max_queues, 0
        for number, account in enumerate(accounts, 1):
            most = min(account.queues, left)
            if most:
                left -= most
                together += most
                asked[account.name] = self._store.describe_queues(account.name, Page(most), now)
            if together >= _TOGETHER or number == len(accounts) or not left:
                answers = await arrival(gather(list(asked.values())))
                found += [(name, state) for name, states in zip(asked, answers, strict=True) for state in states]
                asked, together = {}, 0
                await asyncio.sleep(0)
            if not left:
                break
        return found


@dataclass(frozen=True)
class _Standing:
    """What there is at one instant."""

    accounts: Sequence[AccountState]
    others: int  # accounts without series of their own
    rest: AccountState  # what those hold
    queues: Sequence[tuple[str, QueueState]]
    now: float
    activity: Collector

    def collect(self) -> Iterator[Metric]:
        yield from self._of_accounts()
        yield from self._of_queues()
        yield from self.activity.collect()

    def _of_accounts(self) -> Iterator[Metric]:
        label = ("account",)
        accounts = [*self.accounts, self.rest] if self.others else self.accounts
        messages = gauge("leveret_account_messages", "Messages of an account, and hidden ones.", None, label)
        size = gauge("leveret_account_bytes", "Bytes of the bodies of an account's messages.", None, label)
        queues = gauge("leveret_account_queues", "Queues of an account.", None, label)
        for account in accounts:
            messages.add_metric((account.name,), account.messages)
            size.add_metric((account.name,), account.bytes)
            queues.add_metric((account.name,), account.queues)
        yield messages
        yield size
        yield queues
        text = "Accounts without series of their own: they are added up under an empty name."
        yield gauge("leveret_accounts_not_shown", text, self.others)

    def _of_queues(self) -> Iterator[Metric]:
        labels = ("account", "queue")
        messages = gauge("leveret_queue_messages", "Messages of a queue, and hidden ones.", None, labels)
        hidden = gauge("leveret_queue_hidden_messages", "Messages that are hidden now.", None, labels)
        size = gauge("leveret_queue_bytes", "Bytes of the bodies of a queue's messages.", None, labels)
        oldest = gauge("leveret_queue_oldest_seconds", "Age of a queue's first message.", None, labels)
        for account, queue in self.queues:
            names = (account, queue.name)
            messages.add_metric(names, queue.messages)
            hidden.add_metric(names, queue.hidden)
            size.add_metric(names, queue.bytes)
            if queue.oldest is not None:
                oldest.add_metric(names, max(0.0, self.now - queue.oldest))
        yield messages
        yield hidden
        yield size
        yield oldest
        there = sum(account.queues for account in self.accounts) + self.rest.queues
        yield gauge(
            "leveret_queues_not_shown",
            "Queues without series of their own: they are in their accounts' series.",
            max(0, there - len(self.queues)),
        )


class ActivitySeries:
    """What was done in each queue since it was counted.

    A series may never go down, nor what is in one move to another. So those queues that were seen first have their own
    until the process ends, though they be empty; all others are added up under an empty name, for good.
    """

    def __init__(self, store: Store, config: QueueMetricsConfig) -> None:
        self._store = store
        self._accounts = _FirstOnes(config.max_accounts)
        self._queues = _FirstOnes(config.max_queues)

    def collect(self) -> Iterator[Metric]:
        """Called by one thread at a time."""
        found: dict[tuple[str, str], list[Activity]] = defaultdict(list)
        for account, queue, activity in self._store.activity():
            if account == _REST or not self._accounts.holds(account):
                found[_REST, _REST].append(activity)
            elif not self._queues.holds((account, queue)):
                found[account, _REST].append(activity)
            else:
                found[account, queue].append(activity)
        for member, name, text in _COUNTERS:
            family = counter(f"leveret_messages_{name}_total", text, None, ("account", "queue"))
            for names, activities in found.items():
                family.add_metric(names, sum(getattr(activity, member) for activity in activities))
            yield family


class _FirstOnes:
    """As many of the things that it was asked for as it may hold, the first ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: set[Hashable] = set()

    def holds(self, thing: Hashable) -> bool:
        if thing not in self._held and len(self._held) < self._most:
            self._held.add(thing)
        return thing in self._held


class ProcessSeries:
    """What there is one of: parked polls, commits, and what runs here. Waits for nobody."""

    def __init__(self, service: QueueService, store: Store) -> None:
        self._service = service
        self._store = store

    def collect(self) -> Iterator[Metric]:
        import platform  # noqa: PLC0415 - a server that nobody scrapes needs it for nothing

        yield gauge("leveret_parked_polls", "Long polls that wait.", self._service.parked)
        commits = self._store.commits()
        if commits is not None:
            yield from _of_commits(commits)
        gil = getattr(sys, "_is_gil_enabled", lambda: True)()
        build = {"version": __version__, "python": platform.python_version(), "gil": "on" if gil else "off"}
        yield info("leveret_build", "What runs here.", build)


def _of_commits(commits: Commits) -> Iterator[Metric]:
    text = "Transactions in which requests were done together."
    yield counter("leveret_commits_total", text, commits.batches)
    yield counter("leveret_commit_operations_total", "Requests in them.", commits.operations)
    whole = histogram("leveret_commit_seconds", "From the beginning of a transaction until it is safe.")
    add_histogram(whole, (), commits.bounds, *commits.batch_seconds)
    yield whole
    synced = histogram("leveret_fsync_seconds", "The COMMIT of a transaction: it is written and synced.")
    add_histogram(synced, (), commits.bounds, *commits.commit_seconds)
    yield synced
    yield gauge("leveret_wal_bytes", "Size of the write-ahead log, of all shards.", commits.wal_bytes)
