"""Accounts, quotas and activity in the plainest way: nothing is kept but the messages, and all is counted anew."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leveret.model import AccountState, Activity, Change, Draft, Filters, Outcome, Page, Put, Quota
from leveret.store.base import AccountFull, Store
from support.subject import START, Settle, at_once

ACCOUNTS = ["a", "b"]
QUEUES = ["q", "r", "s"]
IDS = [f"{number}" for number in range(6)]


@dataclass
class Kept:
    size: int
    expires: float
    visible_at: float


class Recount:
    """What there is: messages by account and queue, then by id and in order; and what happened."""

    def __init__(self) -> None:
        self.queues: dict[tuple[str, str], dict[str, Kept]] = {}
        self.activity: defaultdict[tuple[str, str], Activity] = defaultdict(Activity)

    def expire(self, now: float) -> None:
        for key, kept in list(self.queues.items()):
            for id in [id for id, one in kept.items() if one.expires <= now]:
                del kept[id]
                self.activity[key].expired += 1
            self._tidy(key)

    def _tidy(self, key: tuple[str, str]) -> None:
        if not self.queues.get(key):
            self.queues.pop(key, None)

    def state(self, account: str) -> AccountState:
        queues = [kept for (owner, _), kept in self.queues.items() if owner == account]
        sizes = [one.size for kept in queues for one in kept.values()]
        return AccountState(account, len(queues), len(sizes), sum(sizes))

    def states(self) -> list[AccountState]:
        return [self.state(account) for account in sorted({account for account, _ in self.queues})]

    def put(self, key: tuple[str, str], drafts: list[Draft], now: float, quota: Quota | None) -> list[Outcome] | None:
        before, there = self.state(key[0]), dict(self.queues.get(key, {}))
        was = dict(there)
        done: list[Outcome] = []
        for draft in drafts:
            if draft.id in there and draft.only_new:
                done.append(Put.EXISTS)
                continue
            done.append(Put.REPLACED if draft.id in there else Put.CREATED)
            expires = now + draft.ttl if draft.ttl else math.inf
            there[draft.id] = Kept(len(draft.body), expires, now + draft.hide)
        if drafts:
            self.queues[key] = there
        after = self.state(key[0])
        pairs = [] if quota is None else [
            (before.messages, after.messages, quota.messages),
            (before.bytes, after.bytes, quota.bytes),
            (before.queues, after.queues, quota.queues),
        ]  # fmt: skip
        if any(limit is not None and old < new > limit for old, new, limit in pairs):
            self.queues[key] = was
            self._tidy(key)
            return None
        self.activity[key].put += len(done) - done.count(Put.EXISTS)
        return done

    def match(self, key: tuple[str, str], limit: int, now: float) -> list[str]:
        return [id for id, one in self.queues.get(key, {}).items() if one.visible_at <= now][:limit]

    def delete(self, key: tuple[str, str], ids: list[str]) -> None:
        kept = self.queues.get(key, {})
        for id in ids:
            if kept.pop(id, None) is not None:
                self.activity[key].deleted += 1
        self._tidy(key)

    def hide(self, key: tuple[str, str], ids: list[str], until: float, now: float) -> None:
        kept = self.queues.get(key, {})
        for id in ids:
            if id in kept:
                kept[id].visible_at = until
                self.activity[key].claimed += until > now

    def wipe(self, account: str) -> None:
        for key in list(self.queues):
            if key[0] == account:
                self.delete(key, list(self.queues[key]))


class Recounted:
    """A store and its recount, of which the same is asked, step by step."""

    def __init__(self, store: Store, chance: random.Random, settle: Settle = at_once) -> None:
        self.store = store
        self.now = START
        self._settle = settle
        self._chance = chance
        self._recount = Recount()
        self._words: list[str] = []
        store.count_activity(True)

    def step(self) -> None:
        chance = self._chance
        key = (chance.choice(ACCOUNTS), chance.choice(QUEUES))
        ids = chance.choices(IDS, k=chance.choice([1, 1, 2, 4]))
        limit, hide = chance.choice([1, 2, 9]), chance.choice([0, 1, 4])
        kinds: list[tuple[float, Callable[[], Any]]] = [
            (10, lambda: self._put(key, ids)),
            (2, lambda: self._delete(key, ids)),
            (2, lambda: self._pop(key, limit)),
            (3, lambda: self._claim(key, limit, hide)),
            (1, lambda: self._update(key, ids, hide)),
            (0.4, lambda: self._wipe(key[0])),
            (0.2, self._wipe_all),
            (0.5, lambda: self._ask(self.store.sweep(self.now))),
            (0.5, self._describe_queues),
        ]
        (kind,) = chance.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])
        kind()
        self.now += chance.choice([0, 0, 0, 0.5, 1, 3])
        self._recount.expire(self.now)

    def check(self) -> None:
        """That the totals are those of a recount."""
        states = sorted(self._ask(self.store.describe_accounts(Page(), self.now)), key=lambda state: state.name)
        assert states == self._recount.states(), "\n".join(self._words[-40:])

    def check_activity(self) -> None:
        """That what was counted is what happened; after a sweep of all that expired."""
        due = self.now
        while due is not None and due <= self.now:
            due = self._ask(self.store.sweep(self.now))
        found = {(account, queue): each for account, queue, each in self.store.activity() if each != Activity()}
        expected = {key: each for key, each in self._recount.activity.items() if each != Activity()}
        assert found == expected, "\n".join(self._words[-40:])

    def _ask(self, answer: Any) -> Any:
        return self._settle(answer)

    def _put(self, key: tuple[str, str], ids: list[str]) -> None:
        chance = self._chance
        drafts = [
            Draft(
                id,
                b"x" * chance.choice([0, 1, 7]),
                chance.choice([0, 2, 8, 8]),
                chance.choice([0, 0, 3]),
                only_new=chance.random() < 0.2,
            )
            for id in ids
        ]
        limits = [chance.choice([None, low, high]) for low, high in ((4, 8), (9, 25), (1, 2))]
        quota = chance.choice([None, Quota(*limits), Quota(*limits)])
        self._words.append(f"{self.now - START:6} put {key} {drafts} {quota}")
        expected = self._recount.put(key, drafts, self.now, quota)
        try:
            done = self._ask(self.store.put(*key, drafts, self.now, quota))
        except AccountFull:
            done = None
        assert done == expected, "\n".join(self._words[-40:])

    def _pop(self, key: tuple[str, str], limit: int) -> None:
        self._words.append(f"{self.now - START:6} pop {key} {limit}")
        popped = self._ask(self.store.delete_matching(*key, Filters(limit), self.now))
        assert [each.id for each in popped] == self._recount.match(key, limit, self.now)
        self._recount.delete(key, [each.id for each in popped])

    def _claim(self, key: tuple[str, str], limit: int, hide: int) -> None:
        self._words.append(f"{self.now - START:6} claim {key} {limit} {hide}")
        claimed = self._ask(self.store.update_matching(*key, Filters(limit), Change(hide=hide), self.now))
        assert [each.id for each in claimed] == self._recount.match(key, limit, self.now)
        self._recount.hide(key, [each.id for each in claimed], self.now + hide, self.now)

    def _update(self, key: tuple[str, str], ids: list[str], hide: int) -> None:
        self._words.append(f"{self.now - START:6} update {key} {ids} {hide}")
        self._ask(self.store.update(*key, ids, Change(hide=hide), self.now))
        self._recount.hide(key, ids, self.now + hide, self.now)

    def _delete(self, key: tuple[str, str], ids: list[str]) -> None:
        self._words.append(f"{self.now - START:6} delete {key} {ids}")
        self._ask(self.store.delete(*key, ids, self.now))
        self._recount.delete(key, ids)

    def _wipe(self, account: str) -> None:
        self._words.append(f"{self.now - START:6} delete the queues of {account}")
        self._ask(self.store.delete_queues(account, Page(), self.now))
        self._recount.wipe(account)

    def _wipe_all(self) -> None:
        self._words.append(f"{self.now - START:6} delete all accounts")
        self._ask(self.store.delete_accounts(Page(), self.now))
        for account in ACCOUNTS:
            self._recount.wipe(account)

    def _describe_queues(self) -> None:
        for account in ACCOUNTS:
            self._ask(self.store.describe_queues(account, Page(), self.now))


def run(recounted: Recounted, steps: int) -> None:
    """A history of so many steps, recounted now and then."""
    for step in range(steps):
        recounted.step()
        if step % 5 == 0:
            recounted.check()
    recounted.check()
    recounted.check_activity()
