"""Whatever is asked of v1.1, the durable store answers as the plainest reading of the contract does, and goes on so."""

from __future__ import annotations

from pathlib import Path

import pytest

from leveret.store.sqlite import Durability, SqliteStore, batch, directory, long, lookups, messages, shard
from support.history11 import History
from support.recount import check_totals
from support.subject11 import StoreSubject11

STEPS = 500


@pytest.mark.parametrize("seed", range(200, 204))
@pytest.mark.parametrize("piece", [2, 500])
def test_the_answers_are_those_of_the_reference(
    path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, seed: int
) -> None:
    for module in (batch, directory, lookups, long, messages, shard):
        monkeypatch.setattr(module, "PIECE", piece)
    monkeypatch.setattr(directory, "REMEMBERED", 2 if seed % 3 == 0 else 50_000)

    def make_store() -> SqliteStore:
        return SqliteStore(path, Durability.OFF, shards=1 + 2 * (seed % 2), reserve=0)

    store = make_store()
    try:
        subject = StoreSubject11(store)
        history = History(subject, seed)
        for step in range(STEPS):
            history.step()
            if step % 7 == 0:
                history.check_states()
                check_totals(store, history.reference)
            if step % 150 == 149:
                store.close()
                store = make_store()
                subject.use(store)
    finally:
        store.close()
