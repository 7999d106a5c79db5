"""Durable stores for tests: opened at one path again and again, keeping little back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from leveret.store.base import Signals
from leveret.store.sqlite import Durability, SqliteStore
from support.subject import START, Silence

KEPT_BACK = 1 << 20  # bytes


class OpenStore(Protocol):
    """Opens a store at the test's path."""

    def __call__(self, now: float = START, signals: Signals | None = None, **options: Any) -> SqliteStore: ...


def open_at(path: Path, now: float = START, signals: Signals | None = None, **options: Any) -> SqliteStore:
    """An open store; unsynced unless told: what a crash leaves is looked at elsewhere."""
    store = SqliteStore(path, **{"durability": Durability.OFF, "reserve": KEPT_BACK, **options})
    store.open(signals or Silence(), now)
    return store
