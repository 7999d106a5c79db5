"""The contract as one list, in the plainest way: the `Subject` that every other is compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from support.subject import START, Many, Names, Seen


@dataclass
class Kept:
    account: str
    queue: str
    id: str
    body: bytes
    expires: float
    visible_at: float


Kepts: TypeAlias = list[Kept]
Paths: TypeAlias = list[tuple[str, ...]]


class Reference:
    """Everything is looked for from the start, every time; what has expired is dropped first."""

    def __init__(self, start_time: float = START) -> None:
        self.now = start_time
        self.kept: Kepts = []
        self.names: Paths = []  # accounts, and accounts' queues, in the order of their coming

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self._drop([one for one in self.kept if one.expires <= self.now])

    def _drop(self, dropped: Kepts) -> None:
        self.kept = [one for one in self.kept if one not in dropped]
        there = {(one.account, one.queue) for one in self.kept} | {(one.account,) for one in self.kept}
        self.names = [name for name in self.names if name in there]

    def _find(self, account: str, queue: str, id: str) -> Kepts:
        return [one for one in self.kept if (one.account, one.queue, one.id) == (account, queue, id)]

    def _match(self, account: str, queue: str, limit: int | None, marker: str | None, hidden: bool) -> Kepts:
        found = [one for one in self.kept if (one.account, one.queue) == (account, queue)]
        found = found[_start([one.id for one in found], marker) :]
        return [one for one in found if hidden or one.visible_at <= self.now][:limit]

    def _seen(self, one: Kept) -> Seen:
        ttl = 0 if one.expires == math.inf else math.ceil(one.expires - self.now)
        return Seen(one.id, ttl, max(0, math.ceil(one.visible_at - self.now)), one.body)

    def _set(self, one: Kept, ttl: int | None, hide: int | None) -> Kept:
        if ttl is not None:
            one.expires = self.now + ttl if ttl else math.inf
        if hide is not None:
            one.visible_at = self.now + hide
        return one

    def put(
        self, account: str, queue: str, id: str, body: bytes = b"body", ttl: int = 600, hide: int = 0
    ) -> Literal["created", "replaced"]:
        for one in self._find(account, queue, id):
            self._set(one, ttl, hide).body = body
            return "replaced"
        self.names += [name for name in ((account,), (account, queue)) if name not in self.names]
        self.kept.append(self._set(Kept(account, queue, id, body, 0, 0), ttl, hide))
        return "created"

    def get(self, account: str, queue: str, id: str) -> Seen | None:
        return next((self._seen(one) for one in self._find(account, queue, id)), None)

    def update(self, account: str, queue: str, id: str, ttl: int | None = None, hide: int | None = None) -> Seen | None:
        return next((self._seen(self._set(one, ttl, hide)) for one in self._find(account, queue, id)), None)

    def delete(self, account: str, queue: str, id: str) -> Seen | None:
        found = self._find(account, queue, id)
        self._drop(found)
        return next((self._seen(one) for one in found), None)

    def list(
        self, account: str, queue: str, limit: int | None = None, marker: str | None = None, match_hidden: bool = False
    ) -> Many:
        return [self._seen(one) for one in self._match(account, queue, limit, marker, match_hidden)]

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
        found = self._match(account, queue, limit, marker, match_hidden)
        return [self._seen(self._set(one, ttl, hide)) for one in found]

    def delete_matching(
        self, account: str, queue: str, limit: int | None = None, marker: str | None = None, match_hidden: bool = False
    ) -> Many:
        found = self._match(account, queue, limit, marker, match_hidden)
        self._drop(found)
        return [self._seen(one) for one in found]

    def accounts(self, limit: int | None = None, marker: str | None = None) -> Names:
        found = [name[0] for name in self.names if len(name) == 1]
        return found[_start(found, marker) :][:limit]

    def queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Names:
        found = [name[1] for name in self.names if len(name) == 2 and name[0] == account]
        return found[_start(found, marker) :][:limit]

    def delete_accounts(self, limit: int | None = None, marker: str | None = None) -> Names:
        names = self.accounts(limit, marker)
        self._drop([one for one in self.kept if one.account in names])
        return names

    def delete_queues(self, account: str, limit: int | None = None, marker: str | None = None) -> Names:
        names = self.queues(account, limit, marker)
        self._drop([one for one in self.kept if one.account == account and one.queue in names])
        return names


def _start(names: Names, marker: str | None) -> int:
    return names.index(marker) + 1 if marker in names else 0
