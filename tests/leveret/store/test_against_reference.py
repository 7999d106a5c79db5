"""Whatever is asked of v1.1, the store in memory answers as the plainest reading of the contract does."""

from __future__ import annotations

import pytest

from leveret.store.memory import MemoryStore
from support import history11
from support.subject11 import StoreSubject11


@pytest.mark.parametrize("seed", range(100, 108))
def test_the_answers_are_those_of_the_reference(seed: int) -> None:
    history11.run(StoreSubject11(MemoryStore()), seed, 800)
