"""What the conformance suite speaks to: a queue service, at the level of REST v1.0. Knows no store and no protocol."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, cast

from leveret.model import Change, Draft, Filters, Message, Page
from leveret.store.base import Signals, Store
from scalestack.event.pending import Answer, Pending

START = 1_700_000_000.0  # wall seconds at which a subject's clock starts; a whole number, so that sums are exact


class Seen(NamedTuple):
    """A message as a client sees it: whole seconds that remain, rounded up. `ttl` 0 never expires."""

    id: str
    ttl: int
    hide: int
    body: bytes


# `Subject.list` hides the type of that name inside the classes.
Many: TypeAlias = list[Seen]
Names: TypeAlias = list[str]
Messages: TypeAlias = list[Message]
Ones: TypeAlias = list[Message | None]


class Subject(Protocol):
    """An empty queue service with a clock that only `advance` moves. Each call is one request of REST v1.0.

    What is not there, or matches nothing (404), is None, or an empty list. `limit`, `marker` and an attribute that are
    None are not named in the request.
    """

    def advance(self, seconds: float) -> None:
        """Move the clock on; sums of halves and quarters of seconds must be exact."""

    def put(
        self, account: str, queue: str, id: str, body: bytes = b"body", ttl: int = 600, hide: int = 0
    ) -> Literal["created", "replaced"]:
        """PUT of a message, `ttl` and `hide` always named: 201 is created, 204 replaced."""

    def get(self, account: str, queue: str, id: str) -> Seen | None:
        """GET of a message, detail=all."""

    def update(self, account: str, queue: str, id: str, ttl: int | None = None, hide: int | None = None) -> Seen | None:
        """POST to a message, detail=all: as it is after the change."""

    def delete(self, account: str, queue: str, id: str) -> Seen | None:
        """DELETE of a message, detail=all: as it was."""

    def list(
        self,
        account: str,
        queue: str,
        limit: int | None = None,
        marker: str | None = None,
        match_hidden: bool = False,
    ) -> Many:
        """GET of a queue, detail=all."""

    def update_matching(
        self,
        account: str,
        queue: str,
        limit: int | None = None,
        marker: str | None = None,
        match_hidden: bool = False,
        ttl: int | None = None,
        hide: int | None = None,
    ) -> Many:
        """POST to a queue, detail=all: as they are after the change."""

    def delete_matching(
        self,
        account: str,
        queue: str,
        limit: int | None = None,
        marker: str | None = None,
        match_hidden: bool = False,
    ) -> Many:
        """DELETE of a queue, detail=all: as they were."""

    def accounts(self, limit: int | None = None, marker: str | None = None) -> Names:
        """GET of the accounts, detail=id."""

    def queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Names:
        """GET of an account's queues, detail=id."""

    def delete_accounts(self, limit: int | None = None, marker: str | None = None) -> Names:
        """DELETE of accounts, detail=id: the names of those that were deleted."""

    def delete_queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Names:
        """DELETE of an account's queues, detail=id: the names of those that were deleted."""


class Settle(Protocol):
    """Blocks until an answer is there."""

    def __call__(self, answer: Answer[Any]) -> Any: ...


def at_once(answer: Answer[Any]) -> Any:
    """The `Settle` for stores whose answers are always ready."""
    assert not isinstance(answer, Pending), "the store answered later, and the test has no way to wait for it"
    return answer


class Silence:
    """Signals for nobody."""

    def visible(self, account: str, queue: str, at: float) -> None: ...

    def due(self, at: float) -> None: ...

    def dead(self, account: str, queue: str, moved: int, dropped: int) -> None: ...


class StoreSubject:
    """A store as a `Subject`: opened here, closed by whoever made it."""

    def __init__(
        self,
        store: Store,
        start_time: float = START,
        settle: Settle = at_once,
        signals: Signals | None = None,
    ) -> None:
        self.now = start_time
        self._store = store
        self._settle = settle
        store.open(Silence() if signals is None else signals, start_time)

    def _seen(self, message: Message) -> Seen:
        return Seen(message.id, message.ttl(self.now), message.hide(self.now), message.body)

    def _one(self, answer: Answer[Ones]) -> Seen | None:
        (message,) = self._settle(answer)
        return None if message is None else self._seen(message)

    def _many(self, answer: Answer[Messages]) -> Many:
        return [self._seen(message) for message in self._settle(answer)]

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def put(
        self, account: str, queue: str, id: str, body: bytes = b"body", ttl: int = 600, hide: int = 0
    ) -> Literal["created", "replaced"]:
        (done,) = self._settle(self._store.put(account, queue, [Draft(id, body, ttl, hide)], self.now))
        return cast("Literal['created', 'replaced']", done)

    def get(self, account: str, queue: str, id: str) -> Seen | None:
        return self._one(self._store.get(account, queue, [id], self.now))

    def update(self, account: str, queue: str, id: str, ttl: int | None = None, hide: int | None = None) -> Seen | None:
        return self._one(self._store.update(account, queue, [id], Change(ttl, hide), self.now))

    def delete(self, account: str, queue: str, id: str) -> Seen | None:
        return self._one(self._store.delete(account, queue, [id], self.now))

    def list(
        self,
        account: str,
        queue: str,
        limit: int | None = None,
        marker: str | None = None,
        match_hidden: bool = False,
    ) -> Many:
        return self._many(self._store.select(account, queue, Filters(limit, marker, match_hidden), self.now))

    def update_matching(
        self,
        account: str,
        queue: str,
        limit: int | None = None,
        marker: str | None = None,
        match_hidden: bool = False,
        ttl: int | None = None,
        hide: int | None = None,
    ) -> Many:
        filters = Filters(limit, marker, match_hidden)
        return self._many(self._store.update_matching(account, queue, filters, Change(ttl, hide), self.now))

    def delete_matching(
        self,
        account: str,
        queue: str,
        limit: int | None = None,
        marker: str | None = None,
        match_hidden: bool = False,
    ) -> Many:
        return self._many(self._store.delete_matching(account, queue, Filters(limit, marker, match_hidden), self.now))

    def accounts(self, limit: int | None = None, marker: str | None = None) -> Names:
        return self._names(self._store.list_accounts(Page(limit, marker), self.now))

    def queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Names:
        return self._names(self._store.list_queues(account, Page(limit, marker), self.now))

    def delete_accounts(self, limit: int | None = None, marker: str | None = None) -> Names:
        return self._names(self._store.delete_accounts(Page(limit, marker), self.now))

    def delete_queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Names:
        return self._names(self._store.delete_queues(account, Page(limit, marker), self.now))

    def _names(self, answer: Answer[Names]) -> Names:
        return cast("Names", self._settle(answer))
