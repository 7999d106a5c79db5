"""The contract of v1.1 as one list, in the plainest way: the `Subject11` that every other is compared with.

Its markers and receipts are its own, and so is the id that a dead letter gets in place of one that is taken: who
compares has to look away from them, or to pair them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, TypeAlias

from leveret.model import timestamp
from support.subject import START
from support.subject11 import DEFAULT_TTL, Many, Names, New, Outcome, Outcomes, Policy, Seen, State, States

MEMBERS = ("default_ttl", "default_hide", "max_deliveries", "dead_letter", "max_messages", "max_bytes")


@dataclass(eq=False)
class Kept:
    account: str
    queue: str
    id: str
    place: int
    body: bytes
    created: float
    expires: float
    visible_at: float
    content_type: str | None
    headers: dict[str, str]
    deliveries: int = 0
    lease: int = 0  # the last one; 0 where it never had any


Kepts: TypeAlias = list[Kept]


@dataclass
class Reference11:
    """Everything is looked for from the start, every time; what has expired is dropped first."""

    now: float = START
    kept: Kepts = field(default_factory=list)
    policies: dict[tuple[str, str], Policy] = field(default_factory=dict)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)  # of what was dropped
    numbers: Any = field(default_factory=lambda: count(1))  # of places, leases and receipts

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.kept = [one for one in self.kept if one.expires > self.now]

    # Small things

    def _queue(self, account: str, queue: str) -> Kepts:
        found = [one for one in self.kept if (one.account, one.queue) == (account, queue)]
        return sorted(found, key=lambda one: one.place)

    def _find(self, account: str, queue: str, id: str) -> Kept | None:
        return next((one for one in self._queue(account, queue) if one.id == id), None)

    def _policy(self, account: str, queue: str) -> Policy:
        return self.policies.get((account, queue), {})

    def _end(self, ttl: int) -> float:
        return self.now + ttl if ttl else math.inf

    def _is_hidden(self, one: Kept) -> bool:
        return one.visible_at > self.now

    def _holds(self, one: Kept, receipt: str) -> bool:
        return self._is_hidden(one) and one.lease > 0 and receipt.partition(".")[0] == f"{one.lease}"

    def _seen(self, one: Kept, hid: bool = False) -> Seen:
        ttl = 0 if one.expires == math.inf else math.ceil(one.expires - self.now)
        return Seen(
            one.id,
            ttl,
            max(0, math.ceil(one.visible_at - self.now)),
            one.body,
            round(one.created, 6),
            one.deliveries,
            f"{one.place}",
            one.content_type,
            one.headers,
            f"{one.lease}.{next(self.numbers)}" if hid else None,
        )

    def _change(self, one: Kept, ttl: int | None, hide: int | None, receipt: str | None = None) -> Kept:
        if ttl is not None:
            one.expires = self._end(ttl)
        if hide is not None:
            one.visible_at = self.now + hide
            if hide and receipt is None:
                one.deliveries += 1
                one.lease = next(self.numbers)
        return one

    def _match(
        self,
        account: str,
        queue: str,
        limit: int | None,
        marker: str | None,
        after: str | None,
        newest_first: bool,
        match_hidden: bool,
    ) -> Kepts:
        found = self._queue(account, queue)
        if newest_first:
            found.reverse()
        marked = None if marker is None else self._find(account, queue, marker)
        place = int(after) if after is not None else None if marked is None else marked.place
        if place is not None:
            found = [one for one in found if (one.place < place if newest_first else one.place > place)]
        return [one for one in found if match_hidden or not self._is_hidden(one)][:limit]

    # Put

    def _is_full(self, account: str, queue: str, messages: Sequence[New]) -> bool:
        policy = self._policy(account, queue)
        before = {one.id: len(one.body) for one in self._queue(account, queue)}
        after = {**before, **{each.id or f"new {number}": len(each.body) for number, each in enumerate(messages)}}
        too_many = len(before) < len(after) > policy.get("max_messages", math.inf)
        return too_many or sum(before.values()) < sum(after.values()) > policy.get("max_bytes", math.inf)

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
        there = self._find(account, queue, id)
        if there is not None and only_new:
            return "exists"
        message = New(body, id, ttl, hide, content_type, dict(headers or {}))
        return "full" if self.put_many(account, queue, [message]) == "full" else "replaced" if there else "created"

    def put_many(self, account: str, queue: str, messages: Sequence[New]) -> Names | Literal["full"]:
        if self._is_full(account, queue, messages):
            return "full"
        policy = self._policy(account, queue)
        ids: Names = []
        for each in messages:
            number = next(self.numbers)
            id = each.id or f"given {number}"
            ids.append(id)
            ttl = policy.get("default_ttl", DEFAULT_TTL) if each.ttl is None else each.ttl
            hide = policy.get("default_hide", 0) if each.hide is None else each.hide
            there = self._find(account, queue, id)
            if there is not None:
                self.kept.remove(there)
                number = there.place
            self.kept.append(
                Kept(
                    account,
                    queue,
                    id,
                    number,
                    each.body,
                    self.now,
                    self._end(ttl),
                    self.now + hide,
                    each.content_type,
                    each.headers,
                )
            )
        return ids

    # By id

    def get(self, account: str, queue: str, id: str) -> Seen | None:
        found = self._find(account, queue, id)
        return None if found is None else self._seen(found)

    def change(
        self,
        account: str,
        queue: str,
        id: str,
        ttl: int | None = None,
        hide: int | None = None,
        receipt: str | None = None,
    ) -> Seen | Literal["held"] | None:
        found = self._find(account, queue, id)
        if found is None:
            return None
        if receipt is not None and not self._holds(found, receipt):
            return "held"
        return self._seen(self._change(found, ttl, hide, receipt), hid=bool(hide))

    def delete(self, account: str, queue: str, id: str, receipt: str | None = None) -> Seen | Literal["held"] | None:
        found = self._find(account, queue, id)
        if found is None:
            return None
        if receipt is not None and not self._holds(found, receipt):
            return "held"
        self.kept.remove(found)
        return self._seen(found)

    @staticmethod
    def _outcome(id: str, done: Seen | Literal["held"] | None) -> Outcome:
        if done is None:
            return Outcome(id, "gone")
        return Outcome(id, "held") if done == "held" else Outcome(id, "done", done)  # type: ignore[arg-type]

    def get_many(self, account: str, queue: str, ids: Sequence[str]) -> Outcomes:
        return [self._outcome(id, self.get(account, queue, id)) for id in ids]

    def change_many(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        ttl: int | None = None,
        hide: int | None = None,
        receipts: Sequence[str] | None = None,
    ) -> Outcomes:
        pairs = zip(ids, receipts or [None] * len(ids), strict=True)
        return [self._outcome(id, self.change(account, queue, id, ttl, hide, receipt)) for id, receipt in pairs]

    def delete_many(
        self, account: str, queue: str, ids: Sequence[str], receipts: Sequence[str] | None = None
    ) -> Outcomes:
        pairs = zip(ids, receipts or [None] * len(ids), strict=True)
        return [self._outcome(id, self.delete(account, queue, id, receipt)) for id, receipt in pairs]

    # What matches

    def list(self, account: str, queue: str, **filters: Any) -> Many:
        return [self._seen(one) for one in self._match(account, queue, **_all(filters))]

    def claim(self, account: str, queue: str, hide: int = 60, limit: int | None = 1, **filters: Any) -> Many:
        given = _all({"limit": limit, **filters})
        most = self._policy(account, queue).get("max_deliveries", math.inf) if hide else math.inf
        found = self._match(account, queue, **given)
        while dead := [one for one in found if one.deliveries >= most]:
            for one in dead:
                self._bury(one)
            found = self._match(account, queue, **given)
        return [self._seen(self._change(one, None, hide), hid=hide > 0) for one in found]

    def pop(self, account: str, queue: str, limit: int | None = 1, **filters: Any) -> Many:
        found = self._match(account, queue, **_all({"limit": limit, **filters}))
        self.kept = [one for one in self.kept if one not in found]
        return [self._seen(one) for one in found]

    def _bury(self, one: Kept) -> None:
        self.kept.remove(one)
        target = self._policy(one.account, one.queue).get("dead_letter")
        if target is None:
            key = (one.account, one.queue)
            self.counts[key] = self.counts.get(key, 0) + 1
            return
        headers = {
            **one.headers,
            "dead-letter-queue": one.queue,
            "dead-letter-reason": "max-deliveries",
            "dead-letter-deliveries": f"{one.deliveries}",
            "dead-letter-time": timestamp(self.now),
        }
        id, place = one.id, next(self.numbers)
        if self._find(one.account, target, id) is not None:
            headers["dead-letter-id"] = id
            id = f"{id} {place}"
        ttl = self._policy(one.account, target).get("default_ttl")
        expires = one.expires if ttl is None else self._end(ttl)
        self.kept.append(
            Kept(one.account, target, id, place, one.body, one.created, expires, self.now, one.content_type, headers)
        )

    # Queues

    def policy(self, account: str, queue: str, change: Mapping[str, int | str | None] | None) -> Policy:
        key = (account, queue)
        policy = {} if change is None else {**self._policy(account, queue), **change}
        policy = {name: policy[name] for name in MEMBERS if policy.get(name) is not None}
        self.policies[key] = policy
        if not policy:
            self.counts.pop(key, None)
        return policy

    def states(
        self, account: str, limit: int | None = None, marker: str | None = None, names: Sequence[str] | None = None
    ) -> States:
        assert limit is marker is None, "pages of queues are those of v1.0"
        return [self._state(account, name) for name in names or () if self._queue(account, name)]

    def _state(self, account: str, name: str) -> State:
        found = self._queue(account, name)
        hidden = sum(self._is_hidden(one) for one in found)
        return State(
            name,
            len(found),
            len(found) - hidden,
            hidden,
            sum(len(one.body) for one in found),
            int(self.now - found[0].created),
            self._policy(account, name),
            self.counts.get((account, name), 0),
        )

    def accounts(self) -> Names:
        return sorted({one.account for one in self.kept})

    def queues(self, account: str) -> Names:
        return sorted({one.queue for one in self.kept if one.account == account})


def _all(filters: Mapping[str, Any]) -> dict[str, Any]:
    """All filters, those that aren't given as well."""
    plain = {"limit": None, "marker": None, "after": None, "newest_first": False, "match_hidden": False}
    return {**plain, **filters}
