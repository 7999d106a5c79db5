"""A path for a database, and stores that are opened there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from leveret.store.sqlite import SqliteStore
from support.disk import OpenStore, open_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "queue.db"


@pytest.fixture
def open_store(path: Path) -> Iterator[OpenStore]:
    """Open a store at `path`, again and again; what is still open is closed with the test."""
    with ExitStack() as opened:

        def open_store(*args: Any, **options: Any) -> SqliteStore:
            store = open_at(path, *args, **options)
            opened.callback(store.close)
            return store

        yield open_store
