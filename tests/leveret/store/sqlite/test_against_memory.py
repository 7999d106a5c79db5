"""Whatever is asked, the durable store answers as the store in memory does: long random histories, side by side."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leveret.model import Change, Draft, Filters, Message, Page
from leveret.store.base import Store
from leveret.store.memory import MemoryStore
from leveret.store.sqlite import batch, directory, long, lookups, messages, shard
from support.disk import open_at
from support.subject import START, Silence

NAMES = ["1", "2", "3"]
IDS = [f"{n}" for n in range(12)]
STEPS = 1500

Call = Callable[[Store, float], Any]


def random_call(chance: random.Random) -> tuple[str, Call]:
    """Any operation of a store, in words and as a call."""
    account, queue = chance.choice(NAMES), chance.choice(NAMES)
    ids = chance.choices(IDS, k=chance.choice([0, 1, 1, 1, 2, 5]))
    filters = Filters(chance.choice([None, None, 1, 2, 4, 9]), chance.choice([None, None, *IDS]), chance.random() < 0.3)
    page = Page(chance.choice([None, 1, 2]), chance.choice([None, *NAMES]))
    change = Change(chance.choice([None, None, 0, 3, 9]), chance.choice([None, 0, 2, 5]))
    drafts = [
        Draft(id, f"{chance.random()}".encode(), chance.choice([0, 2, 8, 8, 8]), chance.choice([0, 0, 0, 1, 4]))
        for id in ids
    ]
    calls: list[tuple[float, str, Call]] = [
        (9, f"put {account}/{queue} {drafts}", lambda store, now: store.put(account, queue, drafts, now)),
        (2, f"get {account}/{queue} {ids}", lambda store, now: store.get(account, queue, ids, now)),
        (
            2,
            f"update {account}/{queue} {ids} {change}",
            lambda store, now: store.update(account, queue, sorted(set(ids)), change, now),
        ),
        (2, f"delete {account}/{queue} {ids}", lambda store, now: store.delete(account, queue, ids, now)),
        (2, f"select {account}/{queue} {filters}", lambda store, now: store.select(account, queue, filters, now)),
        (
            3,
            f"update {account}/{queue} {filters} {change}",
            lambda store, now: store.update_matching(account, queue, filters, change, now),
        ),
        (
            1,
            f"delete {account}/{queue} {filters}",
            lambda store, now: store.delete_matching(account, queue, filters, now),
        ),
        (1, f"queues {account} {page}", lambda store, now: store.list_queues(account, page, now)),
        (1, f"accounts {page}", lambda store, now: store.list_accounts(page, now)),
        (0.3, f"delete queues {account} {page}", lambda store, now: store.delete_queues(account, page, now)),
        (0.1, f"delete accounts {page}", lambda store, now: store.delete_accounts(page, now)),
        (0.5, "sweep", lambda store, now: (store.sweep(now), None)[1]),
    ]
    (chosen,) = chance.choices(calls, weights=[weight for weight, _, _ in calls])
    return chosen[1], chosen[2]


def seen(answer: Any, now: float) -> Any:
    """An answer without what stores may differ in: the sequences, and since when something is visible."""
    if isinstance(answer, list):
        return [seen(each, now) for each in answer]
    if isinstance(answer, Message):
        hidden = answer.visible_at if answer.visible_at > now else 0.0
        return answer.id, answer.body, answer.created, answer.expires, hidden, answer.deliveries
    return answer


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("piece", [2, 500])
def test_the_answers_are_the_same(path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, seed: int) -> None:
    for module in (batch, lookups, messages, long, shard):
        monkeypatch.setattr(module, "PIECE", piece)
    monkeypatch.setattr(directory, "PIECE", piece)
    monkeypatch.setattr(directory, "REMEMBERED", chance_of(seed))
    chance = random.Random(seed)
    memory = MemoryStore()
    memory.open(Silence(), START)
    disk = open_at(path, shards=1 + seed % 2, reserve=0)
    now = START
    history: list[str] = []
    try:
        for step in range(STEPS):
            words, call = random_call(chance)
            history.append(f"{now - START:7} {words}")
            expected, answer = seen(call(memory, now), now), seen(call(disk, now), now)
            assert answer == expected, "\n".join(history[-30:])
            now += chance.choice([0, 0, 0, 0.5, 1, 3])
            if step % 500 == 499:
                disk.close()
                disk = open_at(path, now, shards=1 + seed % 2, reserve=0)
    finally:
        disk.close()


def chance_of(seed: int) -> int:
    """How many records are remembered: few in some runs, so that they are read again and again."""
    return 2 if seed % 3 == 0 else 50_000
