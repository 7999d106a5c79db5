"""The one interface of every store. Used by the service alone; knows no protocol, no loop and no clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from leveret.model import (
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
from scalestack.event.pending import Answer


class Signals(Protocol):
    """What a store tells its service, after the change is done and outside every lock, from any thread."""

    def visible(self, account: str, queue: str, at: float) -> None:
        """A message of the queue is new, or is visible, or becomes so at `at`. Saying it too often is harmless."""

    def due(self, at: float) -> None:
        """`sweep` has work at `at`, earlier than was last said."""

    def dead(self, account: str, queue: str, moved: int, dropped: int) -> None:
        """So many messages of the queue were delivered as often as its policy allows, and are dead letters now."""


class StoreError(Exception):
    """A store could not do what it was asked for, and nothing of it is done; the text is for a person to act on."""


class StoreFull(StoreError):
    """There is no room for it. What needs none is done as ever."""


class QueueFull(StoreError):
    """The queue's own policy allows no more. Nothing is stored of what was to be put together."""


class AccountFull(StoreError):
    """The account's quota allows no more. Nothing is stored of what was to be put together."""


class StoreFailed(StoreError):
    """The store is broken, or closed: it does nothing more."""


class Unusable(StoreError):
    """A store can't be opened as it is; its text says why, and what to do."""


def queue_full(policy: Policy) -> QueueFull:
    """The error for who puts more than the policy allows."""
    limits = []
    if policy.max_messages is not None:
        limits.append(f"{policy.max_messages:,} messages (max_messages)")
    if policy.max_bytes is not None:
        limits.append(f"{policy.max_bytes:,} bytes (max_bytes)")
    return QueueFull(
        f"the queue is full: its policy allows {' and '.join(limits)}; nothing was stored, put it again later"
    )


def account_full(quota: Quota) -> AccountFull:
    """The error for who puts more than the account may hold."""
    found = (("messages", quota.messages), ("bytes", quota.bytes), ("queues", quota.queues))
    limits = [f"{limit:,} {what}" for what, limit in found if limit is not None]
    together = " and ".join([", ".join(limits[:-1]), limits[-1]] if len(limits) > 1 else limits)
    return AccountFull(
        f"the account is full: it may have {together}; nothing was stored, put it again when there is room"
    )


COMMIT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Observed: TypeAlias = tuple[tuple[int, ...], float]  # how many lie below each bound and above the one before; the sum


@dataclass(frozen=True, slots=True)
class Commits:
    """How a store that commits has done so since it was opened."""

    batches: int  # transactions in which requests were done together
    operations: int  # requests in them
    batch_seconds: Observed  # of a batch, from its beginning until it is safe
    commit_seconds: Observed  # of each COMMIT, those of long requests and of the house included: writing and syncing
    wal_bytes: int  # the size of the write-ahead log's file now
    bounds: tuple[float, ...] = COMMIT_SECONDS  # of what was observed; beyond the last is one bucket more


class Store(ABC):
    """Keeps messages. Never waits for one, and never reads a clock: `now` (wall seconds) is an argument.

    Each call is atomic, and takes O(log n) in the depth of its queue for each message that it touches; one that matches
    more than 500 messages may do so in pieces, between which others get their turn. It answers with its value, or with
    a `Pending` where the value comes later, by way of the loop that called. What fails is a `StoreError`.
    What has expired at `now` is not there, to the instant; a queue without messages is not there, nor is an account
    without queues. Names come checked. Order is that of insertion: of messages in a queue, of queues in an account,
    and of accounts.
    """

    __slots__ = ()

    @abstractmethod
    def open(self, signals: Signals, now: float) -> None:
        """Begin, and tell `signals` from now on."""

    @abstractmethod
    def close(self) -> None:
        """End. Blocks until everything acknowledged is safe; harmless when called again."""

    def twin(self, signals: Signals) -> Store:
        """The same store for one thread alone, where that pays; `signals` hears of what this thread makes visible."""
        return self

    @abstractmethod
    def list_accounts(self, page: Page, now: float) -> Answer[list[str]]: ...

    @abstractmethod
    def delete_accounts(self, page: Page, now: float) -> Answer[list[str]]:
        """Delete what `list_accounts` would answer, and answer it. Each account is deleted atomically."""

    @abstractmethod
    def describe_accounts(self, page: Page, now: float) -> Answer[list[AccountState]]:
        """What `list_accounts` would answer, each with its counts, which are kept and not made by counting.

        Each account is exact at one instant, not before the call: hidden messages count, and none that has expired at
        `now` does. Several accounts may be described at several instants.
        """

    @abstractmethod
    def list_queues(self, account: str, page: Page, now: float) -> Answer[list[str]]: ...

    @abstractmethod
    def delete_queues(self, account: str, page: Page, now: float) -> Answer[list[str]]:
        """Delete what `list_queues` would answer, and answer it. Each queue is deleted atomically."""

    @abstractmethod
    def describe_queues(self, account: str, page: Page, now: float) -> Answer[list[QueueState]]:
        """What `list_queues` would answer, each with its counts, which are kept and not made by counting."""

    @abstractmethod
    def find_queues(self, account: str, names: Sequence[str], now: float) -> Answer[list[QueueState]]:
        """The same of the queues with these names, but for those without messages; in the order of `names`."""

    @abstractmethod
    def change_policy(
        self, account: str, queue: str, change: Mapping[str, int | str | None] | None, now: float
    ) -> Answer[Policy]:
        """Set members of the queue's policy, of which None removes one; None for all removes it. Answers what is in
        force then, and so an empty change asks for it."""

    @abstractmethod
    def put(
        self, account: str, queue: str, drafts: Sequence[Draft], now: float, quota: Quota | None = None
    ) -> Answer[list[Outcome]]:
        """Store all drafts, or none; `QueueFull` where the queue's policy forbids it, `AccountFull` where `quota` does.

        One with the id of a message that is there replaces it whole, in its place, with no deliveries yet, unless it
        is for a new message only.

        The quota is for all that the account holds after the put, whoever put it, exactly: what has expired does not
        count, and is freed before anything is refused. What makes an account that is over its quota no fuller is always
        possible. Dead letters move whatever the quota, and count in their new queue.
        """

    @abstractmethod
    def get(
        self, account: str, queue: str, ids: Sequence[str], now: float, want: Wanted = Want.ALL
    ) -> Answer[list[Message | None]]:
        """The messages with these ids, hidden or not, in the order of `ids`; None for one that is not there."""

    @abstractmethod
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
        """Change the messages with these ids, hidden or not; answers them as they are after it, as `get` does.

        With `receipts`, one for each id, those that are not held by theirs are left alone, and the answer is `HELD`;
        for the others a hide goes on with the lease, and is no delivery.
        """

    @abstractmethod
    def delete(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        now: float,
        want: Wanted = Want.ALL,
        receipts: Sequence[str] | None = None,
    ) -> Answer[list[Message | None]]:
        """Delete the messages with these ids, hidden or not; answers them as they were, as `get` does.

        With `receipts`, one for each id, those that are not held by theirs are left alone, and the answer is `HELD`.
        """

    @abstractmethod
    def select(
        self, account: str, queue: str, filters: Filters, now: float, want: Wanted = Want.ALL
    ) -> Answer[list[Message]]:
        """The messages that match, in order."""

    @abstractmethod
    def update_matching(
        self, account: str, queue: str, filters: Filters, change: Change, now: float, want: Wanted = Want.ALL
    ) -> Answer[list[Message]]:
        """Change what matches; answers it as it is after the change.

        To hide is to claim. What was delivered as often as the queue's policy allows is not claimed any more: in the
        same step it moves to the dead letter queue, or is dropped, and the next message is taken in its stead.
        """

    @abstractmethod
    def delete_matching(
        self, account: str, queue: str, filters: Filters, now: float, want: Wanted = Want.ALL
    ) -> Answer[list[Message]]:
        """Delete what matches; answers it as it was."""

    @abstractmethod
    def next_visible(self, account: str, queue: str, filters: Filters, now: float) -> Answer[float | None]:
        """Asked where nothing matched: the earliest time at which a message that is hidden may match, or None.

        That is `now` where one matches since: its time may have come between two calls. Never too late. It may be too
        early; who finds nothing then asks again.
        """

    @abstractmethod
    def sweep(self, now: float) -> Answer[float | None]:
        """Free the space of what expired: a bounded piece of it per call. Answers when it is next due, `now` or
        earlier where more is left, or None where nothing expires."""

    # What happened, for those who watch. From any thread, and ready at once.

    @abstractmethod
    def count_activity(self, on: bool) -> None:
        """Begin to count what happens to messages, or stop; what was counted stays, and is counted on from."""

    @abstractmethod
    def activity(self) -> list[tuple[str, str, Activity]]:
        """Account, queue and totals since counting began, a copy; a queue in which nothing happened may be left out.

        Totals never go down; those of queues that are gone stay, till the process ends. The first 10,000 queues have
        their own, all others together one, with empty names. An expired message counts once, when it is freed: by the
        sweep, or before, by what comes across it; those that expired in a queue or account before it was deleted as a
        whole count as expired, the others as deleted. In a durable store nothing counts before it is committed.
        """

    @abstractmethod
    def commits(self) -> Commits | None:
        """How it has committed; None for a store that commits nothing."""
