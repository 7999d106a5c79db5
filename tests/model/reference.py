"""The contract in the plainest way: one list of messages, in which all is looked for from the start, every time.

It stands for both versions of the API, since v1.0 shows less of the same. Its markers and receipts are its own: who
compares has to pair them with those of others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, TypeAlias

from leveret.model import ROUNDING, AccountState, Quota, timestamp
from support.subject import START
from support.subject11 import DEFAULT_TTL, New, Seen, State

MEMBERS = ("default_ttl", "default_hide", "max_deliveries", "dead_letter", "max_messages", "max_bytes")
PLAIN = {"limit": None, "marker": None, "after": None, "newest_first": False, "match_hidden": False, "max_bytes": None}


@dataclass(eq=False)
class Kept:
    account: str
    queue: str
    place: int
    new: New
    created: float
    expires: float
    visible_at: float
    deliveries: int = 0
    lease: int = 0  # the last one; 0 where it never had any


Kepts: TypeAlias = list[Kept]
Names: TypeAlias = list[str]
One: TypeAlias = Seen | Literal["held"] | None


@dataclass
class Reference:
    """What has expired is dropped when time passes, and nothing is kept of what can be counted."""

    now: float = START
    kept: Kepts = field(default_factory=list)  # in the order of their places
    names: list[tuple[str, ...]] = field(default_factory=list)  # accounts, and their queues, in the order of coming
    policies: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    dropped: dict[tuple[str, str], int] = field(default_factory=dict)  # dead, and without a dead letter queue
    quotas: dict[str, Quota] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: count(1))  # of places and leases

    def advance(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 3)
        self._drop([one for one in self.kept if one.expires <= self.now])

    def ends(self) -> list[tuple[float, tuple[str, str], str]]:
        """When something happens by itself, and to which message."""
        ends = [(end, one) for one in self.kept for end in (one.expires, one.visible_at) if self.now < end < math.inf]
        return sorted((end, (one.account, one.queue), f"{one.new.id}") for end, one in ends)

    def _drop(self, dropped: Kepts) -> None:
        self.kept = [one for one in self.kept if one not in dropped]
        there = {(one.account, one.queue) for one in self.kept} | {(one.account,) for one in self.kept}
        self.names = [name for name in self.names if name in there]

    def _keep(self, one: Kept) -> None:
        self.kept.append(one)
        self.names += [name for name in ((one.account,), (one.account, one.queue)) if name not in self.names]

    def _in(self, account: str, queue: str | None = None) -> Kepts:
        return [one for one in self.kept if one.account == account and queue in {None, one.queue}]

    def _find(self, account: str, queue: str, id: str | None) -> Kept | None:
        return next((one for one in self._in(account, queue) if one.new.id == id), None)

    def _policy(self, account: str, queue: str) -> dict[str, Any]:
        return self.policies.get((account, queue), {})

    def _seen(self, one: Kept, hid: bool = False) -> Seen:
        ttl = 0 if one.expires == math.inf else _seconds(one.expires - self.now)
        hide = _seconds(one.visible_at - self.now) if one.visible_at > self.now else 0
        body, id, *_, content_type, headers = one.new
        receipt = f"{one.lease}" if hid else None
        return Seen(
            f"{id}", ttl, hide, body, one.created, one.deliveries, f"{one.place}", content_type, headers, receipt
        )

    def _set(self, one: Kept, ttl: int | None, hide: int | None, by_holder: bool) -> Kept:
        if ttl is not None:
            one.expires = self.now + ttl if ttl else math.inf
        if hide is not None:
            one.visible_at = self.now + hide
        if hide and not by_holder:
            one.deliveries, one.lease = one.deliveries + 1, next(self.numbers)
        return one

    def _match(self, account: str, queue: str, filters: Mapping[str, Any]) -> Kepts:
        limit, marker, after, newest_first, match_hidden, max_bytes = {**PLAIN, **filters}.values()
        marked = self._find(account, queue, marker)
        place = int(after) if after is not None else None if marked is None else marked.place
        found = self._in(account, queue)[:: -1 if newest_first else 1]
        found = [one for one in found if place is None or (one.place < place if newest_first else one.place > place)]
        found = [one for one in found if match_hidden or one.visible_at <= self.now][:limit]
        while max_bytes is not None and len(found) > 1 and sum(len(one.new.body) for one in found) > max_bytes:
            found.pop()
        return found

    # Messages

    def put(self, account: str, queue: str, messages: Sequence[New], only_new: bool = False) -> Names | str:
        before = {one.new.id: len(one.new.body) for one in self._in(account, queue)}
        after, done = dict(before), list[str]()
        for new in messages:
            done.append("created" if new.id not in after else "exists" if only_new else "replaced")
            after[new.id] = after[new.id] if done[-1] == "exists" else len(new.body)
        policy, quota, had = self._policy(account, queue), self.quotas.get(account, Quota()), self._total(account)
        more, size = len(after) - len(before), sum(after.values()) - sum(before.values())
        if _exceeds(len(before), more, policy.get("max_messages")):
            return "queue full"
        if _exceeds(sum(before.values()), size, policy.get("max_bytes")):
            return "queue full"
        if _exceeds(had.messages, more, quota.messages) or _exceeds(had.bytes, size, quota.bytes):
            return "account full"
        if not before and _exceeds(had.queues, 1, quota.queues):
            return "account full"
        for new, outcome in zip(messages, done, strict=True):
            if outcome != "exists":
                self._put(account, queue, new, policy)
        return done

    def _put(self, account: str, queue: str, new: New, policy: Mapping[str, Any]) -> None:
        ttl = policy.get("default_ttl", DEFAULT_TTL) if new.ttl is None else new.ttl
        hide = policy.get("default_hide", 0) if new.hide is None else new.hide
        end = self.now + ttl if ttl else math.inf
        there = self._find(account, queue, new.id)
        if there is None:
            self._keep(Kept(account, queue, next(self.numbers), new, self.now, end, self.now + hide))
        else:
            created = max(self.now, math.nextafter(there.created, math.inf))
            self.kept[self.kept.index(there)] = Kept(account, queue, there.place, new, created, end, self.now + hide)

    def _for_each(
        self, account: str, queue: str, ids: Sequence[str], receipts: Sequence[str] | None, do: Any
    ) -> list[One]:
        done: list[One] = []
        for id, receipt in zip(ids, receipts or [None] * len(ids), strict=True):
            one = self._find(account, queue, id)
            lost = one and receipt is not None and not (one.visible_at > self.now and f"{one.lease}" == receipt)
            done.append(None if one is None else "held" if lost else do(one))
        return done

    def get(self, account: str, queue: str, ids: Sequence[str]) -> list[One]:
        return self._for_each(account, queue, ids, None, self._seen)

    def change(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        ttl: int | None,
        hide: int | None,
        receipts: Sequence[str] | None = None,
    ) -> list[One]:
        def change(one: Kept) -> Seen:
            return self._seen(self._set(one, ttl, hide, receipts is not None), hid=bool(hide))

        return self._for_each(account, queue, ids, receipts, change)

    def delete(self, account: str, queue: str, ids: Sequence[str], receipts: Sequence[str] | None = None) -> list[One]:
        def delete(one: Kept) -> Seen:
            self._drop([one])
            return self._seen(one)

        return self._for_each(account, queue, ids, receipts, delete)

    def select(self, account: str, queue: str, filters: Mapping[str, Any]) -> list[Seen]:
        return [self._seen(one) for one in self._match(account, queue, filters)]

    def change_matching(
        self, account: str, queue: str, filters: Mapping[str, Any], ttl: int | None, hide: int | None
    ) -> list[Seen]:
        most = self._policy(account, queue).get("max_deliveries", math.inf) if hide else math.inf
        while dead := [one for one in self._match(account, queue, filters) if one.deliveries >= most]:
            for one in dead:
                self._bury(one, self._policy(account, queue).get("dead_letter"))
        found = self._match(account, queue, filters)
        return [self._seen(self._set(one, ttl, hide, by_holder=False), hid=bool(hide)) for one in found]

    def pop(self, account: str, queue: str, filters: Mapping[str, Any]) -> list[Seen]:
        found = self._match(account, queue, filters)
        self._drop(found)
        return [self._seen(one) for one in found]

    def _bury(self, one: Kept, target: str | None) -> None:
        if target is None:
            key = (one.account, one.queue)
            self.dropped[key] = self.dropped.get(key, 0) + 1
        else:
            id, place = one.new.id, next(self.numbers)
            headers = {
                **one.new.headers,
                "dead-letter-queue": one.queue,
                "dead-letter-reason": "max-deliveries",
                "dead-letter-deliveries": f"{one.deliveries}",
                "dead-letter-time": timestamp(self.now),
            }
            if self._find(one.account, target, id) is not None:
                headers["dead-letter-id"], id = f"{id}", f"{id}.{place}"
            new = one.new._replace(id=id, headers=headers)
            ttl = self._policy(one.account, target).get("default_ttl")
            end = one.expires if ttl is None else self.now + ttl if ttl else math.inf
            created = math.nextafter(one.created, math.inf)  # later, as it is another message
            self._keep(Kept(one.account, target, place, new, created, end, self.now))
        self._drop([one])

    # Queues and accounts

    def policy(self, account: str, queue: str, change: Mapping[str, Any] | None) -> dict[str, Any]:
        policy = {} if change is None else {**self._policy(account, queue), **change}
        policy = {name: policy[name] for name in MEMBERS if policy.get(name) is not None}
        self.policies[account, queue] = policy
        if not policy:
            self.dropped.pop((account, queue), None)
        return policy

    def quota(self, account: str, quota: Quota) -> None:
        self.quotas[account] = quota

    def accounts(self, limit: int | None = None, marker: str | None = None) -> Names:
        return _page([name[0] for name in self.names if len(name) == 1], limit, marker)

    def queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Names:
        return _page([name[1] for name in self.names if len(name) == 2 and name[0] == account], limit, marker)

    def delete_accounts(self, limit: int | None = None, marker: str | None = None) -> Names:
        names = self.accounts(limit, marker)
        self._drop([one for one in self.kept if one.account in names])
        return names

    def delete_queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Names:
        names = self.queues(account, limit, marker)
        self._drop([one for one in self._in(account) if one.queue in names])
        return names

    def states(self, account: str, limit: int | None = None, marker: str | None = None) -> list[State]:
        return self.states_of(account, self.queues(account, limit, marker))

    def states_of(self, account: str, names: Sequence[str]) -> list[State]:
        return [self._state(account, name) for name in names if self._in(account, name)]

    def _state(self, account: str, name: str) -> State:
        found = self._in(account, name)
        hidden = sum(one.visible_at > self.now for one in found)
        oldest, size = (
            max(0, math.floor(self.now - found[0].created + ROUNDING)),
            sum(len(one.new.body) for one in found),
        )
        policy, dropped = self._policy(account, name), self.dropped.get((account, name), 0)
        return State(name, len(found), len(found) - hidden, hidden, size, oldest, policy, dropped)

    def totals(self) -> list[AccountState]:
        return [self._total(account) for account in self.accounts()]

    def _total(self, account: str) -> AccountState:
        found = self._in(account)
        return AccountState(account, len(self.queues(account)), len(found), sum(len(one.new.body) for one in found))

    def sweep(self) -> None:
        """Frees space, which nobody sees."""


def _seconds(left: float) -> int:
    """What remains, rounded up. Sums of times are a little off, and less than a microsecond is no second."""
    return max(1, math.ceil(left - ROUNDING))


def _exceeds(had: int, more: int, limit: int | None) -> bool:
    """Whether it gets fuller than the limit: what makes it no fuller is always possible."""
    return limit is not None and 0 < more > limit - had


def _page(names: Names, limit: int | None, marker: str | None) -> Names:
    return names[names.index(marker) + 1 if marker in names else 0 :][:limit]
