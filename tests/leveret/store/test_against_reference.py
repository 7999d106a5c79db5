"""Whatever is asked of v1.1, the store in memory answers as the plainest reading of the contract does."""

from __future__ import annotations

import pytest

from leveret.store.memory import MemoryStore
from support.history11 import History
from support.recount import check_totals
from support.subject11 import StoreSubject11


@pytest.mark.parametrize("seed", range(100, 108))
def test_the_answers_are_those_of_the_reference(seed: int) -> None:
    store = MemoryStore()
    history = History(StoreSubject11(store), seed)
    for step in range(800):
        history.step()
        if step % 7 == 0:
            history.check_states()
            check_totals(store, history.reference)
