"""Whatever happens, the store in memory keeps the totals that counting would give, and refuses what they forbid."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from leveret.store.memory import MemoryStore
from support.recount import Recounted, run
from support.subject import START, Silence


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from([5, 40, 150]))
def test_totals_are_those_of_a_recount(seed: int, steps: int) -> None:
    store = MemoryStore()
    store.open(Silence(), START)
    run(Recounted(store, Random(seed)), steps)
