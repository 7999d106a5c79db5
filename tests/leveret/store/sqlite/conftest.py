"""A path for a database, stores that are opened there, and a loop to ask them from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from leveret.store.sqlite import SqliteStore
from scalestack.event.loops import LoopThread
from scalestack.event.makers import loop_maker
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


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    """A loop thread, on which a store's answers are pending."""
    thread = LoopThread("test", loop_maker("auto"))
    thread.start()
    yield thread
    thread.stop()
