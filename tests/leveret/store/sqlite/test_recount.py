"""Whatever happens, the durable store keeps the totals that counting would give, and has them after a restart."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from leveret.store.sqlite import batch, directory, long, lookups, messages, shard
from support.disk import open_at
from support.recount import Recounted


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("piece", [2, 500])
def test_totals_are_those_of_a_recount(path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, seed: int) -> None:
    for module in (batch, directory, lookups, long, messages, shard):
        monkeypatch.setattr(module, "PIECE", piece)
    monkeypatch.setattr(directory, "REMEMBERED", 2 if seed % 3 == 0 else 50_000)
    store = open_at(path, shards=1 + seed % 2, reserve=0)
    try:
        recounted = Recounted(store, Random(seed))
        for step in range(600):
            recounted.step()
            if step % 5 == 0:
                recounted.check()
            if step == 300:
                recounted.check_activity()
            if step == 400:
                store.close()
                store = recounted.store = open_at(path, recounted.now, shards=1 + seed % 2, reserve=0)
    finally:
        store.close()
