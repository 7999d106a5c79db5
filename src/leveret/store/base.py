"""The one interface of every store. Used by the service alone; knows no protocol, no loop and no clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

from leveret.model import Change, Draft, Filters, Message, Page, Policy, Put, QueueState, Want
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


class Store(ABC):
    """Keeps messages. Never waits for one, and never reads a clock: `now` (wall seconds) is an argument.

    Each call is atomic, and takes O(log n) in the depth of its queue for each message that it touches; one that matches
    more than 500 messages may do so in pieces, between which others get their turn. It answers with its value, or with
    a `Pending` where the value comes later, by way of the loop that called. What fails is a `StoreError`.
    What has expired at `now` is not there, to the instant; a queue without messages is not there, nor is an account
    without queues. Names come checked. Order is that of insertion: of messages in a queue, of queues in an account,
    and of accounts.
    """

    @abstractmethod
    def open(self, signals: Signals, now: float) -> None:
        """Begin, and tell `signals` from now on."""

    @abstractmethod
    def close(self) -> None:
        """End. Blocks until everything acknowledged is safe; harmless when called again."""

    @abstractmethod
    def list_accounts(self, page: Page, now: float) -> Answer[list[str]]: ...

    @abstractmethod
    def delete_accounts(self, page: Page, now: float) -> Answer[list[str]]:
        """Delete what `list_accounts` would answer, and answer it. Each account is deleted atomically."""

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
    def put(self, account: str, queue: str, drafts: Sequence[Draft], now: float) -> Answer[list[Put]]:
        """Store all drafts, or none; `QueueFull` where the queue's policy forbids it.

        One with the id of a message that is there replaces it whole, in its place, with no deliveries yet, unless it
        is for a new message only.
        """

    @abstractmethod
    def get(
        self, account: str, queue: str, ids: Sequence[str], now: float, want: Want = Want.ALL
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
        want: Want = Want.ALL,
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
        want: Want = Want.ALL,
        receipts: Sequence[str] | None = None,
    ) -> Answer[list[Message | None]]:
        """Delete the messages with these ids, hidden or not; answers them as they were, as `get` does.

        With `receipts`, one for each id, those that are not held by theirs are left alone, and the answer is `HELD`.
        """

    @abstractmethod
    def select(
        self, account: str, queue: str, filters: Filters, now: float, want: Want = Want.ALL
    ) -> Answer[list[Message]]:
        """The messages that match, in order."""

    @abstractmethod
    def update_matching(
        self, account: str, queue: str, filters: Filters, change: Change, now: float, want: Want = Want.ALL
    ) -> Answer[list[Message]]:
        """Change what matches; answers it as it is after the change.

        To hide is to claim. What was delivered as often as the queue's policy allows is not claimed any more: in the
        same step it moves to the dead letter queue, or is dropped, and the next message is taken in its stead.
        """

    @abstractmethod
    def delete_matching(
        self, account: str, queue: str, filters: Filters, now: float, want: Want = Want.ALL
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
