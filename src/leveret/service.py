"""The queue service: what every front end calls, and all that it calls. Knows no protocol and no concrete store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Annotated, Any, Protocol, TypeVar
from weakref import WeakSet

from leveret.model import (
    MAX_SECONDS,
    BlankDraft,
    Change,
    Draft,
    Filters,
    Message,
    Meta,
    Outcome,
    Page,
    Policy,
    QueueState,
    Quota,
    Want,
    Wanted,
)
from leveret.store.base import AccountFull, Store
from leveret.waiters import Interest, Look, Waiters
from scalestack.clock import Clock, again
from scalestack.config import Between
from scalestack.event.loops import LoopThread
from scalestack.event.pending import Answer, Pending, then
from scalestack.log import Logger

T = TypeVar("T")

_log = Logger("leveret.service")

_SWEEP_PAUSE = 1.0  # seconds between sweeps: they free space only, so that what is due together is freed together


@dataclass(frozen=True)
class QueueConfig:
    default_ttl: Annotated[int, Between(0, MAX_SECONDS)] = 600  # seconds that a message lives; 0: for ever
    default_hide: Annotated[int, Between(0, MAX_SECONDS)] = 0  # seconds until a new message is visible
    max_body: Annotated[int, Between(0, 1 << 31)] = 1 << 20  # bytes of one message; more is refused
    page: Annotated[int, Between(1, 100_000)] = 1000  # objects in one answer of v1.1, at most


class BodyTooLarge(ValueError):
    """A message with more bytes than there may be; its text says how many."""


class InvalidPolicy(ValueError):
    """A policy that can't be; its text says why."""


class TooManyPolls(Exception):
    """A poll that may not wait, since too many of its account do; its text says how many may."""


class Allowances(Protocol):
    """What accounts may do. Asked from any thread; what ends a poll is called on the loop that the poll waits on."""

    def quota(self, account: str, /) -> Quota | None:
        """What the account may hold; None where there is no limit."""

    def enter_poll(self, account: str, /) -> Callable[[], object]:
        """Count a poll that is to wait; answers what is to be called when it waits no more. `TooManyPolls`."""

    def refuse(self, account: str, error: AccountFull | TooManyPolls, /) -> Answer[Any]:
        """Fails with the error, or one that says more: at once, or a little later, for the sake of whoever repeats it
        at once."""


class QueueService:
    """Accounts, queues and messages, over one store. Every call may be made from any thread.

    A call with `wait` (seconds) is parked where nothing matches now, and may only be made on a loop thread.
    Names must have passed `check_name`.
    """

    __slots__ = (
        "__weakref__", "_allowances", "_default_hide", "_default_ttl", "_housekeeper", "_main", "_parked", "_store",
        "_sweep_at", "_sweep_timer", "_twins", "_twins_lock", "_waiters", "clock", "max_body", "page",
    )  # fmt: skip

    def __init__(self, store: Store, clock: Clock, config: QueueConfig, housekeeper: LoopThread) -> None:
        self.clock = clock
        self._default_ttl = config.default_ttl
        self._default_hide = config.default_hide
        self.max_body = config.max_body
        self.page = config.page
        self._store = store
        self._waiters = Waiters(clock)
        self._parked = self._waiters.queues
        self._housekeeper = housekeeper  # the loop on which the store's sweeps are timed
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._sweep_at = 0.0
        self._allowances: Allowances | None = None
        self._main = self
        self._twins: WeakSet[QueueService] = WeakSet()
        self._twins_lock = Lock()  # guards them while one is made, or all are told something

    def twin(self) -> QueueService:
        """The same service for one thread, once it has started: threads that use one object pay for each use of it, on
        a free-threaded Python."""
        with self._twins_lock:
            twin = copy(self)
            twin._store = self._store.twin(twin)
            twin.clock = again(self.clock)
            twin._default_ttl, twin._default_hide = int(str(self._default_ttl)), int(str(self._default_hide))
            twin.max_body = int(str(self.max_body))
            self._twins.add(twin)
        return twin

    def allow(self, allowances: Allowances | None) -> None:
        """Let accounts do what these allow, from the next call on; None for everything."""
        with self._twins_lock:
            for each in (self, *self._twins):
                each._allowances = allowances

    def start(self) -> None:
        self._store.open(self, self.clock())

    def drain(self) -> None:
        """Answer all that wait, and let nothing wait any more."""
        self._waiters.drain()

    @property
    def draining(self) -> bool:
        """Whether it comes to its end: then who follows a queue is to end too."""
        return self._waiters.draining

    @property
    def parked(self) -> int:
        """How many polls wait."""
        return len(self._waiters)

    # Accounts and queues.

    def list_accounts(self, page: Page) -> Answer[list[str]]:
        return self._store.list_accounts(page, self.clock())

    def delete_accounts(self, page: Page) -> Answer[list[str]]:
        return self._store.delete_accounts(page, self.clock())

    def list_queues(self, account: str, page: Page) -> Answer[list[str]]:
        return self._store.list_queues(account, page, self.clock())

    def delete_queues(self, account: str, page: Page) -> Answer[list[str]]:
        return self._store.delete_queues(account, page, self.clock())

    def describe_queues(self, account: str, page: Page) -> Answer[list[QueueState]]:
        return self._store.describe_queues(account, page, self.clock())

    def find_queues(self, account: str, names: Sequence[str]) -> Answer[list[QueueState]]:
        """Those of them that have messages."""
        return self._store.find_queues(account, names, self.clock())

    def change_policy(self, account: str, queue: str, change: Mapping[str, int | str | None] | None) -> Answer[Policy]:
        """Set members of the queue's policy, by name; None removes one, and None for all removes the policy.

        Answers what is in force then. `InvalidPolicy` where it can't be.
        """
        if change is not None and change.get("dead_letter") == queue:
            raise InvalidPolicy("dead_letter is the queue itself; its dead letters have to go to another")
        return self._store.change_policy(account, queue, change, self.clock())

    # Put.

    def draft(
        self,
        id: str,
        body: bytes,
        ttl: int | None = None,
        hide: int | None = None,
        meta: Meta | None = None,
        only_new: bool = False,
    ) -> Draft:
        """A message to be put; `ttl` and `hide` in seconds from then, None for the default. `BodyTooLarge`."""
        if len(body) > self.max_body:
            raise BodyTooLarge(f"a message has up to {self.max_body:,} bytes, and this one has {len(body):,}")
        draft: Draft = BlankDraft()
        draft.id = id
        draft.body = body
        draft.ttl = self._default_ttl if ttl is None else ttl
        draft.hide = self._default_hide if hide is None else hide
        draft.meta = meta
        draft.ttl_given = ttl is not None
        draft.hide_given = hide is not None
        draft.only_new = only_new
        return draft

    def put(self, account: str, queue: str, draft: Draft) -> Answer[Outcome]:
        """Store a message; `QueueFull` where the queue's policy forbids it, `AccountFull` where the account's quota
        does."""
        allowances = self._allowances
        quota = None if allowances is None else allowances.quota(account)
        if quota is None:
            done = self._store.put(account, queue, (draft,), self.clock())
        else:
            done = self._put_within(quota, account, queue, (draft,))
        return done[0] if isinstance(done, list) else done.then(_only)

    def put_many(self, account: str, queue: str, drafts: Sequence[Draft]) -> Answer[list[Outcome]]:
        """Store all of them, in order, or none; errors are those of `put`."""
        quota = None if self._allowances is None else self._allowances.quota(account)
        if quota is None:
            return self._store.put(account, queue, drafts, self.clock())
        return self._put_within(quota, account, queue, drafts)

    def _put_within(self, quota: Quota, account: str, queue: str, drafts: Sequence[Draft]) -> Answer[list[Outcome]]:
        try:
            done = self._store.put(account, queue, drafts, self.clock(), quota)
        except AccountFull as error:
            return self._refuse(account, error)
        return done.otherwise(partial(self._refuse, account)) if isinstance(done, Pending) else done

    def _refuse(self, account: str, error: BaseException) -> Answer[Any]:
        """The error of a put, told in the way of the allowances where the account is full."""
        if self._allowances is not None and isinstance(error, AccountFull):
            return self._allowances.refuse(account, error)
        raise error

    # One message, by its id; several where there are many ids.

    def get(self, account: str, queue: str, id: str, want: Wanted = Want.ALL) -> Answer[Message | None]:
        found = self._store.get(account, queue, (id,), self.clock(), want)
        return found[0] if isinstance(found, list) else found.then(_only)

    def update(
        self, account: str, queue: str, id: str, change: Change, want: Wanted = Want.ALL, receipt: str | None = None
    ) -> Answer[Message | None]:
        """Change a message; answers it as it is after that. With a receipt that is not good (any more), it is left
        alone, and the answer is `HELD`."""
        receipts = None if receipt is None else (receipt,)
        return then(self._store.update(account, queue, (id,), change, self.clock(), want, receipts), _only)

    def delete(
        self, account: str, queue: str, id: str, want: Wanted = Want.ALL, receipt: str | None = None
    ) -> Answer[Message | None]:
        """Delete a message; answers it as it was, or `HELD` as `update` does."""
        receipts = None if receipt is None else (receipt,)
        deleted = self._store.delete(account, queue, (id,), self.clock(), want, receipts)
        return deleted[0] if isinstance(deleted, list) else deleted.then(_only)

    def get_many(
        self, account: str, queue: str, ids: Sequence[str], want: Wanted = Want.ALL
    ) -> Answer[list[Message | None]]:
        return self._store.get(account, queue, ids, self.clock(), want)

    def update_many(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        change: Change,
        want: Wanted = Want.ALL,
        receipts: Sequence[str] | None = None,
    ) -> Answer[list[Message | None]]:
        """As `update`, for each id, and each with its receipt where there are any."""
        return self._store.update(account, queue, ids, change, self.clock(), want, receipts)

    def delete_many(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        want: Wanted = Want.ALL,
        receipts: Sequence[str] | None = None,
    ) -> Answer[list[Message | None]]:
        return self._store.delete(account, queue, ids, self.clock(), want, receipts)

    # The messages of a queue that match; an empty list where none do, after `wait`.

    def select(
        self,
        account: str,
        queue: str,
        filters: Filters,
        wait: int = 0,
        want: Wanted = Want.ALL,
        of_stream: bool = False,
    ) -> Answer[list[Message]]:
        """What waits on behalf of a stream is none of the account's polls."""
        if wait:
            return _Poll(self, account, queue, filters, want, counts=not of_stream).begin(wait)
        return self._store.select(account, queue, filters, self.clock(), want)

    def update_matching(
        self, account: str, queue: str, filters: Filters, change: Change, wait: int = 0, want: Wanted = Want.ALL
    ) -> Answer[list[Message]]:
        """Change what matches; with a limit and a hide this is a worker's claim."""
        if wait:
            return _Poll(self, account, queue, filters, want, change).begin(wait)
        return self._store.update_matching(account, queue, filters, change, self.clock(), want)

    def delete_matching(
        self, account: str, queue: str, filters: Filters, wait: int = 0, want: Wanted = Want.ALL
    ) -> Answer[list[Message]]:
        """Delete what matches; with a limit this is a pop."""
        if wait:
            return _Poll(self, account, queue, filters, want, deletes=True).begin(wait)
        return self._store.delete_matching(account, queue, filters, self.clock(), want)

    def park(
        self, account: str, queue: str, wait: int, interest: Interest[list[Message]], counts: bool
    ) -> Answer[list[Message]]:
        """Wait for what the interest finds; `counts` says whether that is one of the account's polls."""
        ended = None
        allowances = self._allowances
        if allowances is not None and counts:
            try:
                ended = allowances.enter_poll(account)
            except TooManyPolls as error:
                return allowances.refuse(account, error)
        return self._waiters.park((account, queue), wait, interest, ended)

    # What the store says, from any thread.

    def visible(self, account: str, queue: str, at: float) -> None:
        if self._parked:
            self._waiters.signal((account, queue), at)

    def dead(self, account: str, queue: str, moved: int, dropped: int) -> None:
        if moved:
            _log.debug(
                "messages were delivered too often, and are dead letters now",
                account=account,
                queue=queue,
                messages=moved,
            )
        if dropped:
            _log.warning(
                "messages were delivered too often, and dropped", account=account, queue=queue, messages=dropped
            )

    def due(self, at: float) -> None:
        self._housekeeper.post(self._main._plan_sweep, at)

    def _plan_sweep(self, at: float) -> None:
        """Sweep at wall time `at`, or a little later."""
        if self._sweep_timer is not None:
            if self._sweep_at <= at:
                return
            self._sweep_timer.cancel()
        self._sweep_at = at
        self._sweep_timer = self._housekeeper.later(max(_SWEEP_PAUSE, at - self.clock()), self._sweep)

    def _sweep(self) -> None:
        self._sweep_timer = None
        now = self.clock()
        swept = self._store.sweep(now)
        if isinstance(swept, Pending):
            swept.listen(lambda due, error: self._swept(now, due, error))
        else:
            self._swept(now, swept, None)

    def _swept(self, now: float, due: float | None, error: BaseException | None) -> None:
        if error is not None:
            _log.error("freeing the space of expired messages failed", exc_info=error)
            self._plan_sweep(now)
        elif due is None:
            return
        elif due <= now:
            self._housekeeper.post(self._sweep)  # after what else waits for this loop
        else:
            self._plan_sweep(due)


class _Poll:
    """What a poll asks for, first and whenever it is woken: an `Interest`. One object, and small, as many wait."""

    __slots__ = ("_account", "_change", "_counts", "_deletes", "_filters", "_queue", "_service", "_store", "_want")

    def __init__(
        self,
        service: QueueService,
        account: str,
        queue: str,
        filters: Filters,
        want: Wanted,
        change: Change | None = None,
        deletes: bool = False,
        counts: bool = True,
    ) -> None:
        self._service = service
        self._store = service._store
        self._account = account
        self._queue = queue
        self._filters = filters
        self._want = want
        self._change = change
        self._deletes = deletes
        self._counts = counts

    @property
    def nothing(self) -> list[Message]:
        return []

    @property
    def consumes(self) -> bool:
        # What is changed and not hidden is still there for others.
        return self._deletes or (self._change is not None and bool(self._change.hide))

    @property
    def sees_hidden(self) -> bool:
        return self._filters.match_hidden

    @property
    def narrow(self) -> bool:
        return self._filters.narrow

    def begin(self, wait: int) -> Answer[list[Message]]:
        """Look, and wait where there is nothing."""
        first = self._ask()
        if isinstance(first, Pending):
            return first.then(partial(self._came, wait, first))
        return first or self._service.park(self._account, self._queue, wait, self, self._counts)

    def _came(self, wait: int, first: Pending[Any], found: list[Message]) -> Answer[list[Message]]:
        # Who hung up while the store looked is not to look again, and take something.
        if found or first.unwanted:
            return found
        return self._service.park(self._account, self._queue, wait, self, self._counts)

    def look(self) -> Answer[Look[list[Message]]]:
        return then(self._ask(), self._judge)

    def _ask(self) -> Answer[list[Message]]:
        now = self._service.clock()
        if self._deletes:
            return self._store.delete_matching(self._account, self._queue, self._filters, now, self._want)
        if self._change is not None:
            return self._store.update_matching(self._account, self._queue, self._filters, self._change, now, self._want)
        return self._store.select(self._account, self._queue, self._filters, now, self._want)

    def _judge(self, found: list[Message]) -> Answer[Look[list[Message]]]:
        if found:
            return Look(found, empty=False)
        return then(
            self._store.next_visible(self._account, self._queue, self._filters, self._service.clock()), _nothing_until
        )


def _nothing_until(at: float | None) -> Look[list[Message]]:
    return Look([], empty=True, next_at=at)


def _only(answers: list[T]) -> T:
    return answers[0]
