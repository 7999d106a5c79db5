"""All that the model is compared with, by name: each store, and servers over them. Each call of one makes a new one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from leveret.store.memory import MemoryStore
from leveret.store.sqlite import Durability, SqliteStore
from model.drivers import Driver, SqliteDriver, StoreDriver
from model.http_driver import HttpDriver

Make: TypeAlias = Callable[[Path], Driver]  # in a directory where it may have files


def memory(directory: Path) -> Driver:
    return StoreDriver(MemoryStore())


def sqlite(directory: Path) -> Driver:
    return SqliteDriver(_own(directory), shards=1)


def sqlite_shards(directory: Path) -> Driver:
    return SqliteDriver(_own(directory), shards=3)


def http_memory(directory: Path) -> Driver:
    return HttpDriver(MemoryStore())


def http_sqlite(directory: Path) -> Driver:
    return HttpDriver(SqliteStore(_own(directory) / "queue.db", Durability.OFF, shards=2, reserve=0))


def _own(directory: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=directory))


STORES: dict[str, Make] = {
    "memory": memory,
    "sqlite": sqlite,
    "sqlite, in pieces": sqlite,  # of two messages each, and hardly a queue remembered
    "sqlite, three shards": sqlite_shards,
    "HTTP, memory": http_memory,
    "HTTP, sqlite": http_sqlite,
}
