"""Whatever is asked, in whatever order and whenever: every store, and a server over it, answers as the model."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from leveret.store.sqlite import batch, directory, long, lookups, messages, shard
from model.machine import run
from model.stores import STORES
from support.figures import show

STEPS = int(os.environ.get("LEVERET_MODEL_STEPS", "5000"))  # over all stores
SEED = int(os.environ.get("LEVERET_MODEL_SEED", "0"))  # another one has other histories


@pytest.fixture(scope="module")
def taken() -> Iterator[dict[str, int]]:
    """The steps of each store, which are told when all have been taken."""
    taken: dict[str, int] = {}
    yield taken
    if taken:
        each = ", ".join(f"{name} {steps:,}" for name, steps in taken.items())
        show("model", f"{sum(taken.values()):,} steps compared with the model ({each}): 0 answers differ")


@pytest.mark.timeout(400 + STEPS // 50)  # what differs is made smaller first, for up to five minutes
@pytest.mark.parametrize("name", STORES)
def test_a_store_answers_as_the_model_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: dict[str, int]
) -> None:
    if name == "sqlite, in pieces":
        for module in (batch, directory, lookups, long, messages, shard):
            monkeypatch.setattr(module, "PIECE", 2)
        monkeypatch.setattr(directory, "REMEMBERED", 2)
        monkeypatch.setattr(directory, "ABSENT", 2)
        monkeypatch.setattr(shard, "_EMPTY", 2)
    taken[name] = run(lambda: STORES[name](tmp_path), math.ceil(STEPS / len(STORES)), SEED)
