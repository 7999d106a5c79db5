"""Databases whose contents are known, and what may happen to their bytes; by chance, which is given."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeAlias

from leveret.model import Change, Draft, Filters, Message, Meta
from leveret.store.sqlite import Durability, SqliteStore
from support.disk import open_at
from support.subject import START as NOW
from support.subject import at_once

PAGE: Final = 4096
FRAME: Final = 24 + PAGE
LOG_HEADER: Final = 32
SECTOR: Final = 512

Key: TypeAlias = tuple[str, str, str]  # account, queue and id
# Body and meta; created, expires, visible at, deliveries.
Kept: TypeAlias = tuple[bytes, Meta | None, float, float, float, int]
Contents: TypeAlias = dict[Key, Kept]


@dataclass
class Base:
    """A database file, with its log where it was left with one."""

    name: str
    file: bytes
    log: bytes
    states: list[Contents]  # after each of the commits that may be the last one that counts; whole is the last
    before: Contents  # what was there before some of it was deleted
    ends: list[int] = field(default_factory=list)  # where in the log each of these is at its end


def queues() -> list[tuple[str, str]]:
    return [(f"account {number % 3}", f"queue {number}") for number in range(6)]


def kept(message: Message) -> Kept:
    shown = message.visible_at if message.visible_at > NOW else 0.0
    return message.body, message.meta, message.created, message.expires, shown, message.deliveries


def contents(store: SqliteStore) -> Contents:
    """All that a store gives, which must be sound."""
    return {
        (account, queue, message.id): kept(message)
        for account, queue in queues()
        for message in at_once(store.select(account, queue, Filters(match_hidden=True), NOW))
    }


def _fill(store: SqliteStore, chance: random.Random) -> Contents:
    """Answers what was there before some of it was deleted."""
    for round in range(10):
        for number, (account, queue) in enumerate(queues()):
            body = chance.randbytes(chance.choice([0, 10, 300, 1500, 9000]))
            meta = Meta("text/plain", {"Number": str(number)}) if round % 3 == 0 else None
            store.put(account, queue, [Draft(f"{number}-{round}", body, 6000 * (round % 2), 0, meta)], NOW)
    store.put("account 0", "queue 0", [Draft(f"many-{n}", b"x" * 50, 0, 0) for n in range(150)], NOW)
    before = contents(store)
    for account, queue in queues():
        first = queue[-1]
        store.update(account, queue, [f"{first}-2", f"{first}-3"], Change(hide=500), NOW)
        store.delete(account, queue, [f"{first}-{round}" for round in (1, 5, 7)], NOW)
    store.change_policy("account 0", "queue 0", {"max_deliveries": 20}, NOW)
    return before


def _commits(store: SqliteStore, chance: random.Random) -> Iterator[None]:
    """What is done after that, one transaction at a time."""
    for round in range(24):
        account, queue = chance.choice(queues())
        kind = round % 4
        if kind == 0:
            store.delete_matching(account, queue, Filters(limit=1), NOW)
        elif kind == 1:
            store.update_matching(account, queue, Filters(limit=1), Change(hide=700), NOW)
        else:
            drafts = [Draft(f"late-{round}-{n}", chance.randbytes(200 * kind), 0, 0) for n in range(kind)]
            store.put(account, queue, drafts, NOW)
        yield


def make_bases(folder: Path) -> list[Base]:
    """One that was closed, one that was left with its log, and one that was left when all of its log was moved."""
    path = folder / "queue.db"
    log = path.with_name("queue.db-wal")
    store = open_at(path, durability=Durability.FULL)
    before = _fill(store, random.Random(1))
    store.close()
    bases = [Base("closed", path.read_bytes(), b"", [_read_contents(path, folder)], before)]
    store = open_at(path, durability=Durability.FULL)
    states, ends = [contents(store)], [LOG_HEADER]
    for _ in _commits(store, random.Random(2)):
        if (end := log.stat().st_size) > ends[-1]:
            states.append(contents(store))
            ends.append(end)
    bases.append(Base("logged", path.read_bytes(), log.read_bytes(), states, before, ends))
    shutil.copy(path, folder / "moved.db")
    shutil.copy(log, folder / "moved.db-wal")
    store.close()
    with closing(sqlite3.connect(folder / "moved.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        file, moved = ((folder / f"moved.db{end}").read_bytes() for end in ("", "-wal"))
    bases.append(Base("moved", file, moved, states, before, ends))
    return bases


def _read_contents(path: Path, folder: Path) -> Contents:
    copy = folder / "copy.db"
    shutil.copy(path, copy)
    store = open_at(copy)
    try:
        return contents(store)
    finally:
        store.close()


Damage: TypeAlias = Callable[[bytearray, random.Random], None]


def places(file: bytes) -> dict[str, list[int]]:
    """The pages of a file by what they are, as SQLite's own walk from the roots tells it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(
            file[:18] + b"\1\1" + file[20:]
        )  # not as one with a log, which there is none of in memory
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0").fetchall())
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    last = len(file) // PAGE
    found: dict[str, list[int]] = {"header": [1], "pointer map": [2]}
    for name, root in roots.items():
        stack = [root]
        while stack:
            number = stack.pop()
            found.setdefault(name, []).append(number)
            page = file[(number - 1) * PAGE : number * PAGE]
            if page[0] in (2, 5):
                count = int.from_bytes(page[3:5], "big")
                cells = [int.from_bytes(page[12 + 2 * n : 14 + 2 * n], "big") for n in range(count)]
                stack += [int.from_bytes(page[at : at + 4], "big") for at in (*cells, 8)]
    trunk = int.from_bytes(file[32:36], "big")
    if free and trunk:
        count = int.from_bytes(file[(trunk - 1) * PAGE + 4 : (trunk - 1) * PAGE + 8], "big")
        at = (trunk - 1) * PAGE + 8
        found["free list"] = [trunk]
        found["free"] = [int.from_bytes(file[at + 4 * n : at + 4 * n + 4], "big") for n in range(count)]
    used = {number for numbers in found.values() for number in numbers}
    found["overflow"] = [number for number in range(1, last + 1) if number not in used]
    return {name: numbers for name, numbers in found.items() if numbers}


def _spoil(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    """A bit, some bits, or a sector that is lost, or another's."""
    if end <= start:
        return
    kind = chance.choice(["bit", "bit", "bit", "bits", "zeros", "garbage", "elsewhere"])
    if kind in ("bit", "bits"):
        for _ in range(1 if kind == "bit" else 8):
            data[chance.randrange(start, end)] ^= 1 << chance.randrange(8)
        return
    at = max(start, chance.randrange(start, end) // SECTOR * SECTOR)
    size = min(SECTOR, end - at)
    if kind == "zeros":
        data[at : at + size] = bytes(size)
    elif kind == "garbage":
        data[at : at + size] = chance.randbytes(size)
    else:
        other = chance.randrange(0, max(1, len(data) - size) // SECTOR + 1) * SECTOR
        data[at : at + size] = data[other : other + size].ljust(size, b"\0")


def damage_file(data: bytearray, kinds: dict[str, list[int]], chance: random.Random) -> str:
    """Something in a page of a kind, or the end of the file; says where."""
    if chance.random() < 0.05:
        del data[chance.randrange(len(data)) :]
        return "file cut"
    where = chance.choice(list(kinds))
    start = (chance.choice(kinds[where]) - 1) * PAGE
    head = 100 if where == "header" else 12
    _spoil(data, start, start + (head if chance.random() < 0.3 else PAGE), chance)
    return where


def damage_log(data: bytearray, ends: list[int], chance: random.Random) -> str:
    """Something in the log's header, in a frame's, or in a frame, or the log's end; says where."""
    kind = chance.choice(["header", "frame header", "frame", "frame", "last frame", "last transaction", "log cut"])
    frames = (len(data) - LOG_HEADER) // FRAME
    if kind == "log cut":
        del data[chance.randrange(len(data)) :]
        return kind
    if kind == "header":
        _spoil(data, 0, LOG_HEADER, chance)
        return kind
    number = frames - 1 if kind == "last frame" else chance.randrange(frames)
    start = LOG_HEADER + number * FRAME
    end = start + (24 if kind == "frame header" else FRAME)
    if kind == "last transaction":
        start, end = list(pairwise([LOG_HEADER, *ends]))[-1]
    _spoil(data, start, end, chance)
    return kind


@contextmanager
def placed(folder: Path, file: bytes, log: bytes) -> Iterator[Path]:
    """The bytes as files of their own, until the end of the block."""
    path = folder / "damaged.db"
    for left in folder.glob("damaged.db*"):
        left.unlink()
    path.write_bytes(file)
    if log:
        path.with_name("damaged.db-wal").write_bytes(log)
    yield path
