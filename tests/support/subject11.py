"""What the v1.1 suite speaks to: a queue service at the level of REST v1.1, straight to a store or through HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, cast
from urllib.parse import urlencode

from leveret.ids import make_ids
from leveret.model import (
    HELD,
    Change,
    Draft,
    Filters,
    Message,
    Meta,
    Page,
    QueueState,
    marker_of,
    place_of,
)
from leveret.store.base import QueueFull, Signals, Store
from support.queues import Queues, body_of, path_of
from support.subject import START, Settle, Silence, at_once
from support.web import Answer

DEFAULT_TTL = 600  # seconds, where neither the request nor a policy says anything


class Seen(NamedTuple):
    """A message as a client of v1.1 sees it. `created` in wall seconds, to the microsecond."""

    id: str
    ttl: int
    hide: int
    body: bytes
    created: float
    deliveries: int
    marker: str
    content_type: str | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    receipt: str | None = None  # only where the call has just hidden it


class New(NamedTuple):
    """One of several messages that are put together."""

    body: bytes
    id: str | None = None
    ttl: int | None = None
    hide: int | None = None
    content_type: str | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


class State(NamedTuple):
    """A queue as v1.1 describes it; `oldest` in whole seconds of age."""

    id: str
    messages: int
    visible: int
    hidden: int
    bytes: int
    oldest: int | None
    policy: dict[str, Any]
    dropped: int = 0


class Outcome(NamedTuple):
    """What became of one of many ids."""

    id: str
    status: Literal["done", "gone", "held"]
    message: Seen | None = None


Many: TypeAlias = list[Seen]
Outcomes: TypeAlias = list[Outcome]
States: TypeAlias = list[State]
Names: TypeAlias = list[str]
Policy: TypeAlias = dict[str, Any]


class Subject11(Protocol):
    """An empty queue service with a clock that only `advance` moves. Each call is one request of REST v1.1.

    What is None is not named in the request. What is not there is None, or an empty list; a lease that was lost is
    "held", a queue that is full "full".
    """

    now: float

    def advance(self, seconds: float) -> None:
        """Move the clock on; sums of halves and quarters of seconds must be exact."""

    def put(
        self,
        account: str,
        queue: str,
        id: str,
        body: bytes = b"body",
        ttl: int | None = None,
        hide: int | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        only_new: bool = False,
    ) -> Literal["created", "replaced", "exists", "full"]:
        """PUT of a message, with `If-None-Match: *` where it is `only_new`."""

    def put_many(self, account: str, queue: str, messages: Sequence[New]) -> Names | Literal["full"]:
        """PUT of several messages: their ids."""

    def get(self, account: str, queue: str, id: str) -> Seen | None:
        """GET of a message, detail=all."""

    def list(
        self,
        account: str,
        queue: str,
        limit: int | None = None,
        marker: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
        match_hidden: bool = False,
    ) -> Many:
        """GET of a queue, detail=all."""

    def claim(
        self,
        account: str,
        queue: str,
        hide: int = 60,
        limit: int | None = 1,
        marker: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
        match_hidden: bool = False,
    ) -> Many:
        """POST to a queue with a hide, detail=all."""

    def pop(
        self,
        account: str,
        queue: str,
        limit: int | None = 1,
        marker: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
        match_hidden: bool = False,
    ) -> Many:
        """DELETE of a queue, detail=all."""

    def change(
        self,
        account: str,
        queue: str,
        id: str,
        ttl: int | None = None,
        hide: int | None = None,
        receipt: str | None = None,
    ) -> Seen | Literal["held"] | None:
        """POST to a message, detail=all."""

    def delete(self, account: str, queue: str, id: str, receipt: str | None = None) -> Seen | Literal["held"] | None:
        """DELETE of a message, detail=all: as it was."""

    def get_many(self, account: str, queue: str, ids: Sequence[str]) -> Outcomes:
        """GET of a queue with ids, detail=all."""

    def change_many(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        ttl: int | None = None,
        hide: int | None = None,
        receipts: Sequence[str] | None = None,
    ) -> Outcomes:
        """POST to a queue with ids, detail=all."""

    def delete_many(
        self, account: str, queue: str, ids: Sequence[str], receipts: Sequence[str] | None = None
    ) -> Outcomes:
        """DELETE of a queue with ids, detail=all."""

    def policy(self, account: str, queue: str, change: Mapping[str, int | str | None] | None) -> Policy:
        """PATCH of a queue: the policy in force after it."""

    def states(
        self, account: str, limit: int | None = None, marker: str | None = None, names: Sequence[str] | None = None
    ) -> States:
        """GET of an account, detail=all; or, with `names`, of these of its queues."""

    def accounts(self) -> Names:
        """GET of the accounts."""

    def queues(self, account: str) -> Names:
        """GET of an account's queues, detail=id."""


class StoreSubject11:
    """A store as a `Subject11`: opened here, closed by whoever made it."""

    def __init__(
        self, store: Store, start_time: float = START, settle: Settle = at_once, signals: Signals | None = None
    ) -> None:
        self.now = start_time
        self._settle = settle
        self._signals = Silence() if signals is None else signals
        self.use(store)

    def use(self, store: Store) -> None:
        """Go on with another store, which is opened now."""
        self._store = store
        store.open(self._signals, self.now)

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def _seen(self, message: Message, hid: bool = False) -> Seen:
        meta = message.meta or Meta()
        return Seen(
            message.id,
            message.ttl(self.now),
            message.hide(self.now),
            message.body,
            round(message.created, 6),
            message.deliveries,
            marker_of(message.sequence),
            meta.content_type,
            dict(meta.headers or {}),
            message.receipt if hid else None,
        )

    def _many(self, answer: Any, hid: bool = False) -> Many:
        return [self._seen(message, hid) for message in self._settle(answer)]

    def _outcomes(self, ids: Sequence[str], answer: Any, hid: bool = False) -> Outcomes:
        found: Outcomes = []
        for id, message in zip(ids, self._settle(answer), strict=True):
            if message is None or message is HELD:
                found.append(Outcome(id, "gone" if message is None else "held"))
            else:
                found.append(Outcome(id, "done", self._seen(message, hid)))
        return found

    def _one(self, answer: Any, hid: bool = False) -> Seen | Literal["held"] | None:
        (outcome,) = self._outcomes([""], answer, hid)
        return "held" if outcome.status == "held" else outcome.message

    @staticmethod
    def _filters(
        limit: int | None, marker: str | None, after: str | None, newest_first: bool, match_hidden: bool
    ) -> Filters:
        place = None
        if after is not None:
            place = place_of(after)
            assert place is not None, f"{after!r} is no marker"
        return Filters(limit, marker, match_hidden, place, newest_first)

    @staticmethod
    def _draft(
        id: str,
        body: bytes,
        ttl: int | None,
        hide: int | None,
        content_type: str | None,
        headers: Mapping[str, str] | None,
        only_new: bool = False,
    ) -> Draft:
        meta = Meta(content_type, dict(headers) if headers else None) if content_type or headers else None
        return Draft(
            id,
            body,
            DEFAULT_TTL if ttl is None else ttl,
            0 if hide is None else hide,
            meta,
            ttl is not None,
            hide is not None,
            only_new,
        )

    def put(
        self,
        account: str,
        queue: str,
        id: str,
        body: bytes = b"body",
        ttl: int | None = None,
        hide: int | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        only_new: bool = False,
    ) -> Literal["created", "replaced", "exists", "full"]:
        draft = self._draft(id, body, ttl, hide, content_type, headers, only_new)
        try:
            (done,) = self._settle(self._store.put(account, queue, [draft], self.now))
        except QueueFull:
            return "full"
        return cast("Literal['created', 'replaced', 'exists']", done)

    def put_many(self, account: str, queue: str, messages: Sequence[New]) -> Names | Literal["full"]:
        fresh = iter(make_ids(len(messages)))
        drafts = [
            self._draft(each.id or next(fresh), each.body, each.ttl, each.hide, each.content_type, each.headers)
            for each in messages
        ]
        try:
            self._settle(self._store.put(account, queue, drafts, self.now))
        except QueueFull:
            return "full"
        return [draft.id for draft in drafts]

    def get(self, account: str, queue: str, id: str) -> Seen | None:
        return cast("Seen | None", self._one(self._store.get(account, queue, [id], self.now)))

    def list(
        self,
        account: str,
        queue: str,
        limit: int | None = None,
        marker: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
        match_hidden: bool = False,
    ) -> Many:
        filters = self._filters(limit, marker, after, newest_first, match_hidden)
        return self._many(self._store.select(account, queue, filters, self.now))

    def claim(
        self,
        account: str,
        queue: str,
        hide: int = 60,
        limit: int | None = 1,
        marker: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
        match_hidden: bool = False,
    ) -> Many:
        filters = self._filters(limit, marker, after, newest_first, match_hidden)
        return self._many(
            self._store.update_matching(account, queue, filters, Change(hide=hide), self.now), hid=hide > 0
        )

    def pop(
        self,
        account: str,
        queue: str,
        limit: int | None = 1,
        marker: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
        match_hidden: bool = False,
    ) -> Many:
        filters = self._filters(limit, marker, after, newest_first, match_hidden)
        return self._many(self._store.delete_matching(account, queue, filters, self.now))

    def change(
        self,
        account: str,
        queue: str,
        id: str,
        ttl: int | None = None,
        hide: int | None = None,
        receipt: str | None = None,
    ) -> Seen | Literal["held"] | None:
        receipts = None if receipt is None else [receipt]
        changed = self._store.update(account, queue, [id], Change(ttl, hide), self.now, receipts=receipts)
        return self._one(changed, hid=bool(hide))

    def delete(self, account: str, queue: str, id: str, receipt: str | None = None) -> Seen | Literal["held"] | None:
        receipts = None if receipt is None else [receipt]
        return self._one(self._store.delete(account, queue, [id], self.now, receipts=receipts))

    def get_many(self, account: str, queue: str, ids: Sequence[str]) -> Outcomes:
        return self._outcomes(ids, self._store.get(account, queue, ids, self.now))

    def change_many(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        ttl: int | None = None,
        hide: int | None = None,
        receipts: Sequence[str] | None = None,
    ) -> Outcomes:
        changed = self._store.update(account, queue, ids, Change(ttl, hide), self.now, receipts=receipts)
        return self._outcomes(ids, changed, hid=bool(hide))

    def delete_many(
        self, account: str, queue: str, ids: Sequence[str], receipts: Sequence[str] | None = None
    ) -> Outcomes:
        return self._outcomes(ids, self._store.delete(account, queue, ids, self.now, receipts=receipts))

    def policy(self, account: str, queue: str, change: Mapping[str, int | str | None] | None) -> Policy:
        return cast("Policy", self._settle(self._store.change_policy(account, queue, change, self.now)).members())

    def states(
        self, account: str, limit: int | None = None, marker: str | None = None, names: Sequence[str] | None = None
    ) -> States:
        if names is None:
            found = self._settle(self._store.describe_queues(account, Page(limit, marker), self.now))
        else:
            found = self._settle(self._store.find_queues(account, names, self.now))
        return [self._state(state) for state in found]

    def _state(self, state: QueueState) -> State:
        oldest = None if state.oldest is None else int(round(self.now - state.oldest, 6))
        return State(
            state.name,
            state.messages,
            state.visible,
            state.hidden,
            state.bytes,
            oldest,
            state.policy.members(),
            state.dropped,
        )

    def accounts(self) -> Names:
        return cast("Names", self._settle(self._store.list_accounts(Page(), self.now)))

    def queues(self, account: str) -> Names:
        return cast("Names", self._settle(self._store.list_queues(account, Page(), self.now)))


class HttpSubject11:
    """A `Subject11` whose every call is a request. Uses several connections in turn, so that all loops take part."""

    def __init__(self, queues: Queues, connections: int = 1) -> None:
        self._queues = queues
        self._clients = [queues.client() for _ in range(connections)]

    def close(self) -> None:
        for client in self._clients:
            client.close()

    @property
    def now(self) -> float:
        return self._queues.now

    @now.setter
    def now(self, now: float) -> None:
        self._queues.now = now

    def advance(self, seconds: float) -> None:
        self._queues.now += seconds

    def _ask(
        self,
        method: str,
        names: Sequence[str],
        parameters: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, Any] | None = None,
        expected: Sequence[int] = (200, 404),
    ) -> Answer:
        client = self._clients.pop(0)
        self._clients.append(client)
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        path = path_of(*names).replace("/v1.0", "/v1.1", 1) + ("?" + urlencode(given, doseq=True) if given else "")
        answer = client(method, path, body, dict(headers or {}))
        assert answer.status in expected, answer
        return answer

    @staticmethod
    def _seen(found: dict[str, Any]) -> Seen:
        keys = ["id", "ttl", "hide", "created", "deliveries", "marker", "content_type", "headers", "receipt", "body"]
        assert list(found) == [key for key in keys if key != "receipt" or "receipt" in found]
        created = datetime.fromisoformat(found["created"]).timestamp()
        values = {**found, "body": body_of(found["body"]), "created": round(created, 6)}
        return Seen(**values)

    def _one(self, answer: Answer) -> Seen | Literal["held"] | None:
        if answer.status == 409:
            assert answer.json["code"] == "lease-lost"
            return "held"
        return None if answer.status == 404 else self._seen(answer.json)

    def _many(self, answer: Answer) -> Many:
        return [] if answer.status == 404 else [self._seen(found) for found in answer.json]

    def _outcomes(self, answer: Answer) -> Outcomes:
        outcomes: Outcomes = []
        for found in answer.json:
            status = found.pop("status")
            assert status == "done" or list(found) == ["id"]
            outcomes.append(Outcome(found["id"], status, self._seen(found) if status == "done" else None))
        return outcomes

    @staticmethod
    def _filters(
        limit: int | None, marker: str | None, after: str | None, newest_first: bool, match_hidden: bool
    ) -> dict[str, Any]:
        return {
            "detail": "all",
            "limit": limit,
            "marker": marker,
            "after": after,
            "order": "lifo" if newest_first else None,
            "match_hidden": "true" if match_hidden else None,
        }

    def put(
        self,
        account: str,
        queue: str,
        id: str,
        body: bytes = b"body",
        ttl: int | None = None,
        hide: int | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        only_new: bool = False,
    ) -> Literal["created", "replaced", "exists", "full"]:
        sent: dict[str, Any] = {f"Leveret-Header-{name}": value.encode() for name, value in (headers or {}).items()}
        if content_type is not None:
            sent["Content-Type"] = content_type.encode()
        if only_new:
            sent["If-None-Match"] = "*"
        given = {"ttl": ttl, "hide": hide}
        answer = self._ask("PUT", (account, queue, id), given, body, sent, (201, 204, 409, 412))
        outcomes = {201: "created", 204: "replaced", 409: "full", 412: "exists"}
        if answer.status >= 400:
            assert answer.json["code"] == {409: "queue-full", 412: "exists"}[answer.status]
        return cast("Literal['created', 'replaced', 'exists', 'full']", outcomes[answer.status])

    def put_many(self, account: str, queue: str, messages: Sequence[New]) -> Names | Literal["full"]:
        described = [
            {
                name: value.decode() if name == "body" else value
                for name, value in each._asdict().items()
                if value is not None
            }
            for each in messages
        ]
        body = json.dumps({"messages": described}).encode()
        answer = self._ask("PUT", (account, queue), None, body, {"Content-Type": "application/json"}, (200, 201, 409))
        if answer.status == 409:
            assert answer.json["code"] == "queue-full"
            return "full"
        return cast("Names", answer.json)

    def get(self, account: str, queue: str, id: str) -> Seen | None:
        return cast("Seen | None", self._one(self._ask("GET", (account, queue, id), {"detail": "all"})))

    def list(
        self,
        account: str,
        queue: str,
        limit: int | None = None,
        marker: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
        match_hidden: bool = False,
    ) -> Many:
        filters = self._filters(limit, marker, after, newest_first, match_hidden)
        return self._many(self._ask("GET", (account, queue), filters))

    def claim(
        self,
        account: str,
        queue: str,
        hide: int = 60,
        limit: int | None = 1,
        marker: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
        match_hidden: bool = False,
    ) -> Many:
        filters = self._filters(limit, marker, after, newest_first, match_hidden)
        return self._many(self._ask("POST", (account, queue), {**filters, "hide": hide}))

    def pop(
        self,
        account: str,
        queue: str,
        limit: int | None = 1,
        marker: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
        match_hidden: bool = False,
    ) -> Many:
        filters = self._filters(limit, marker, after, newest_first, match_hidden)
        return self._many(self._ask("DELETE", (account, queue), filters))

    def change(
        self,
        account: str,
        queue: str,
        id: str,
        ttl: int | None = None,
        hide: int | None = None,
        receipt: str | None = None,
    ) -> Seen | Literal["held"] | None:
        given = {"detail": "all", "ttl": ttl, "hide": hide, "receipt": receipt}
        return self._one(self._ask("POST", (account, queue, id), given, expected=(200, 404, 409)))

    def delete(self, account: str, queue: str, id: str, receipt: str | None = None) -> Seen | Literal["held"] | None:
        given = {"detail": "all", "receipt": receipt}
        return self._one(self._ask("DELETE", (account, queue, id), given, expected=(200, 404, 409)))

    def get_many(self, account: str, queue: str, ids: Sequence[str]) -> Outcomes:
        return self._outcomes(self._ask("GET", (account, queue), {"detail": "all", "id": ids}, expected=(200,)))

    def change_many(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        ttl: int | None = None,
        hide: int | None = None,
        receipts: Sequence[str] | None = None,
    ) -> Outcomes:
        given = {"detail": "all", "id": ids, "ttl": ttl, "hide": hide, "receipt": receipts}
        return self._outcomes(self._ask("POST", (account, queue), given, expected=(200,)))

    def delete_many(
        self, account: str, queue: str, ids: Sequence[str], receipts: Sequence[str] | None = None
    ) -> Outcomes:
        given = {"detail": "all", "id": ids, "receipt": receipts}
        return self._outcomes(self._ask("DELETE", (account, queue), given, expected=(200,)))

    def policy(self, account: str, queue: str, change: Mapping[str, int | str | None] | None) -> Policy:
        answer = self._ask("PATCH", (account, queue), None, json.dumps(change).encode(), expected=(200,))
        return cast("Policy", answer.json)

    def states(
        self, account: str, limit: int | None = None, marker: str | None = None, names: Sequence[str] | None = None
    ) -> States:
        given = {"detail": "all", "limit": limit, "marker": marker, "id": names}
        answer = self._ask("GET", (account,), given)
        return [] if answer.status == 404 else [State(**found) for found in answer.json]

    def accounts(self) -> Names:
        answer = self._ask("GET", ())
        return [] if answer.status == 404 else answer.json

    def queues(self, account: str) -> Names:
        answer = self._ask("GET", (account,))
        return [] if answer.status == 404 else answer.json
