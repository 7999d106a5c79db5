"""Copies what can be read of a damaged database file into a new store. Knows tables; what a page is, `pages` knows.

The file is never written to, nor opened by SQLite, which would move the log into it. First the trees of the tables are
walked. Then every page of a table that was not come by, and is not free, is read as well: what led there is damaged.
"""

from __future__ import annotations

import fcntl
import math
import os
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from typing import Any, Final, TypeAlias

from leveret.model import MAX_SECONDS, InvalidName, check_name
from leveret.store.base import Unusable
from leveret.store.sqlite import schema
from leveret.store.sqlite.file import DatabaseFile, in_use
from leveret.store.sqlite.pages import FREE, INTERIOR, LEAF, OVERFLOW, Cell, Damaged, Pages, interior, leaf, values
from leveret.store.sqlite.rows import COLUMNS, checksum, marks
from leveret.store.sqlite.store import shard_of

_NAMED: Final = 10  # damaged messages that the report names
_BATCH: Final = 20_000  # messages in a transaction
_BATCH_BYTES: Final = 16 << 20  # of bodies in a transaction
_DEEPEST: Final = 20  # levels in a tree; SQLite makes no more
_TELL: Final = 512  # pages between two words about progress
_LARGEST: Final = 1 << 62  # a larger number is damaged: what is counted on from it must fit
_END: Final = 1 << 60  # the same, for accounts and queues; and where the places begin of what lost its place
_LOST: Final = "salvaged"  # the account of queues whose names are lost
# Which kinds of values the columns of each table have. A float that is whole is written as an integer.
_COLUMNS: Final = {
    "sqlite_schema": ("T", "T", "T", "I", "TN"),
    "dead_queues": ("N",),
    "dead_accounts": ("N",),
    "store": ("N", "I", "I", "T", "I"),
    "accounts": ("N", "T", "IN", "I", "I", "I"),
    "queues": ("N", "I", "T", "IN", "I", "I", "I", "RIN"),
    "policies": ("N", "T", "T", "IN", "IN", "IN", "TN", "IN", "IN", "I"),
    "messages": ("N", "I", "T", "RI", "RIN", "I", "RI", "I", "I", "B", "BN"),
}
_OLDER: Final = {"accounts": ("N", "T", "IN", "I")}  # up to version 2, without totals, which are made anew anyway
_BY_COUNT: Final = {
    len(kinds): table
    for table, kinds in (*_OLDER.items(), *_COLUMNS.items())
    if not table.startswith(("dead_", "sqlite"))
}
_MET: Final = 1  # states of a page: what is in it was taken, or is of no use
_BAD: Final = 2

Progress: TypeAlias = Callable[[int, int], None]  # pages that are done, and all


@dataclass
class Report:
    """What was copied, and what was not."""

    messages: int = 0
    bytes: int = 0  # of bodies
    queues: int = 0
    missing: int = 0  # messages that queues count, and that were not copied; those that are damaged among them
    damaged: int = 0  # messages of which something is there, but not what was written
    names: list[str] = field(default_factory=list)  # of the first of these: account/queue/id
    nameless: int = 0  # queues whose names are lost
    damaged_pages: int = 0
    scanned: bool = False  # some pages were not found in their places, and looked for
    log_cut: bool = False  # the log is damaged
    log_outlived: bool = False  # not at its end: what was done after it is there, but not all that was done before
    losses: dict[str, int] = field(default_factory=dict)  # by account/queue: how many of `missing`
    detached: bool = False  # it is not known any more which part of which store it was

    @property
    def whole(self) -> bool:
        """Whether all could be read."""
        lost = self.missing or self.damaged or self.nameless or self.damaged_pages or self.log_cut or self.detached
        return not lost


def salvage(source: Path, target: Path, progress: Progress = lambda _done, _of: None) -> Report:
    """Copy what can be read of `source` into a new store at `target`.

    `Unusable` where that can't be done, or there is nothing that could be read; then there is no `target`.
    """
    files = [target.with_name(target.name + end) for end in ("", "-wal", "-lock")]
    for path in files:
        if os.path.lexists(path):
            raise Unusable(f"{path} is there already; give the name of a new file")
    file = DatabaseFile(target, "normal", 0)
    lock = None
    try:
        if not source.is_file():
            raise Unusable(f"{source} is not there, or is no file")
        lock = _keep_others_out(source)
        with closing(Pages(source.resolve())) as pages, closing(file), closing(file.open()) as connection:
            schema.prepare(connection, str(target))
            return _Copy(pages, connection, progress).run(source)
    except BaseException as error:
        for path in files:
            path.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            raise Unusable(f"{target} can't be written: {error}") from error
        if isinstance(error, OSError):
            raise Unusable(f"{error.filename or source} can't be read: {error.strerror}") from error
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _keep_others_out(path: Path) -> int | None:
    """Hold the lock that a server would need, changing nothing; `Unusable` where one has it."""
    try:
        lock = os.open(path.with_name(path.name + "-lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise in_use(path, lock, "stop it first") from None
    return lock


@dataclass(slots=True)
class _Named:
    """An account or a queue, as the source has it."""

    name: str
    place: int
    account: int = 0
    messages: int = 0


@dataclass(slots=True)
class _Copied:
    """What was copied of a queue."""

    messages: int = 0
    hidden: int = 0
    bytes: int = 0
    due: float = math.inf


class _Copy:
    """One copying, from pages to a connection on which the tables are there, and empty."""

    def __init__(self, pages: Pages, connection: sqlite3.Connection, progress: Progress) -> None:
        self._pages = pages
        self._execute = connection.execute
        self._progress = progress
        self._report = Report(log_cut=pages.log_cut, log_outlived=pages.log_outlived)
        self._free = pages.free()
        self._states = bytearray(pages.last + 2)
        self._done = 0  # pages
        self._sound: set[str] = set()  # tables in which nothing was found damaged
        self._store: tuple[int, int, str, int] | None = None
        self._accounts: dict[int, _Named] = {}
        self._queues: dict[int, _Named] = {}
        self._names: set[tuple[int, str]] = set()  # of both, each with its account's number
        self._policies: dict[tuple[str, str], list[Any]] = {}
        self._dead: set[int] = set()  # queues that were deleted
        self._dead_accounts: set[int] = set()
        self._copied: defaultdict[int, _Copied] = defaultdict(_Copied)
        self._last_sequence = 0
        self._batch = self._batch_bytes = 0

    def run(self, source: Path) -> Report:
        # Roots never move: where the schema can't be read they are where they are in a new file.
        roots: dict[str, int] = dict(self._execute("SELECT name, rootpage FROM sqlite_schema WHERE type = 'table'"))
        said = {
            name: root
            for _, (kind, name, _, root, _) in self._rows("sqlite_schema", 1)
            if kind == "table" and name in roots
        }
        roots |= said
        tables = ["store", "accounts", "queues", "policies"]
        if said and "sqlite_schema" in self._sound:  # version 1 has no policies
            tables = [name for name in tables if name in said]
        self._dead.update(number for number, _ in self._rows("dead_queues", roots["dead_queues"]))
        self._dead_accounts.update(number for number, _ in self._rows("dead_accounts", roots["dead_accounts"]))
        for table in tables:
            for number, row in self._rows(table, roots[table]):
                self._take(table, number, row)
        self._execute("BEGIN")
        for cell in self._walk("messages", roots["messages"]):
            self._take_message(cell, walked=True)
        self._scan()
        if not (self._store or self._accounts or self._queues or self._copied or self._report.damaged):
            raise Unusable(f"{source} is no database of Leveret's, or nothing of it can be read")
        self._finish()
        self._execute("COMMIT")
        return self._report

    # Pages

    def _walk(self, table: str, root: int) -> Iterator[Cell]:
        """The cells of a table, in their order."""
        self._sound.add(table)
        stack = [(root, 1, 1)]  # pages, how deep each is, and which says that it is there
        tried: set[int] = set()
        while stack:
            number, depth, above = stack.pop()
            page = self._pages.page(number)
            free = page and self._free[number] and self._pages.kind(number) == FREE  # both say so that should know
            if not page or free or number in tried or depth > _DEEPEST or self._states[number] & _MET:
                self._spoil(number if not page and 0 < number <= self._pages.last else above, table)
                continue
            start = 100 if number == 1 else 0
            sound = False
            if page[start] == INTERIOR:
                below, sound = interior(page, start, self._pages.usable)
                stack += [(each, depth + 1, number) for each in reversed(below)]
                self._meet(number)
            elif page[start] == LEAF:
                cells, sound = leaf(page, start, self._pages.usable)
                fitting = [cell for cell in cells if _fits(cell.kinds, table)]
                # Only a root may be empty. What has rows of another table only is left to be looked at later.
                sound = sound and len(fitting) == len(cells) and bool(cells or number == root)
                if fitting or not cells:
                    self._meet(number)
                else:
                    tried.add(number)
                yield from fitting
            if not sound:
                self._spoil(number, table)

    def _rows(self, table: str, root: int) -> Iterator[tuple[int, list[Any]]]:
        for cell in self._walk(table, root):
            try:
                yield cell.rowid, values(self._pages.record(cell)[0], cell)
            except Damaged:
                self._sound.discard(table)

    def _scan(self) -> None:
        """Look at what the walks have not met."""
        # The header's count of pages may be too small, but not so that a tree goes beyond it.
        last = max(self._pages.count, *map(self._states.rfind, (b"\1", b"\2", b"\3")))
        for number in range(2, last + 1):
            if self._states[number] & _MET:
                continue
            self._meet(number)
            page = self._pages.page(number)
            if not page or page[0] != LEAF or self._free[number] or self._pages.kind(number) in (FREE, *OVERFLOW):
                continue
            cells, sound = leaf(page, 0, self._pages.usable)
            if not sound:
                self._spoil(number, "")
            for cell in cells:
                table = _BY_COUNT.get(len(cell.kinds), "")
                if not table or not _fits(cell.kinds, table):
                    continue
                self._report.scanned = True
                if table == "messages":
                    self._take_message(cell, walked=False)
                else:
                    with suppress(Damaged):
                        self._take(table, cell.rowid, values(self._pages.record(cell)[0], cell))

    def _meet(self, number: int) -> None:
        self._states[number] |= _MET
        self._done += 1
        if self._done % _TELL == 0:
            self._progress(self._done, self._pages.count)

    def _spoil(self, number: int, table: str) -> None:
        self._report.scanned = True
        self._sound.discard(table)
        if not self._states[number] & _BAD:
            self._states[number] |= _BAD
            self._report.damaged_pages += 1

    # Rows

    def _take(self, table: str, number: int, row: list[Any]) -> None:
        """Keep a row, unless one with its number is there: what was walked to comes before what was looked for."""
        if table == "store":
            _, shard, shards, identity, sequence = row
            if number == 1 and 0 <= shard < shards and 0 <= sequence < _LARGEST:
                self._store = self._store or (shard, shards, identity, sequence)
            return
        if table == "policies":
            with suppress(InvalidName):
                key = (check_name("account", row[1]), check_name("queue", row[2]))
                if _is_possible(*row[2:]):
                    self._policies.setdefault(key, row[1:])
                    return
            self._sound.discard(table)
            return
        there = self._accounts if table == "accounts" else self._queues
        account, name, place, messages = (0, *row[1:4]) if table == "accounts" else row[1:5]
        if number in there:
            return
        with suppress(InvalidName):
            if 0 < number < _END and 0 <= account < _END and (account, name) not in self._names:
                self._names.add((account, check_name(table, name)))
                place = place if place is not None and 0 <= place < _LARGEST else _END + number
                there[number] = _Named(name, place, account, messages)
                return
        self._sound.discard(table)

    def _take_message(self, cell: Cell, walked: bool) -> None:
        queue, id = 0, "?"
        try:
            _, queue, id = values(cell.local, cell, 3)
            if queue in self._dead:
                return
            record, chain = self._pages.record(cell)
            _, queue, id, created, expires, hidden, visible_at, deliveries, check, body, meta = values(record, cell)
            possible = 0 < cell.rowid < _LARGEST and 0 < queue < _END and deliveries >= 0
            finite = all(map(math.isfinite, (created, expires or 0, visible_at)))
            if check != checksum(queue, id, body, meta) or not possible or not finite:
                raise Damaged
            hidden = int(hidden != 0)
            row = (cell.rowid, queue, id, created, expires, hidden, visible_at, deliveries, check, body, meta)
            if not self._execute(_INSERT, row).rowcount:
                if walked:
                    raise Damaged  # its id or its sequence, which is that of another
                return
        except Damaged:
            self._report.damaged += 1
            if len(self._report.names) < _NAMED:
                self._report.names.append(self._path(queue, id))
            return
        for number in chain:
            self._meet(number)
        copied = self._copied[queue]
        copied.messages += 1
        copied.hidden += hidden
        copied.bytes += len(body)
        copied.due = min(copied.due, math.inf if expires is None else expires)
        self._last_sequence = max(self._last_sequence, cell.rowid)
        self._batch += 1
        self._batch_bytes += len(body)
        if self._batch >= _BATCH or self._batch_bytes >= _BATCH_BYTES:
            for statement in ("COMMIT", "PRAGMA wal_checkpoint(PASSIVE)", "BEGIN"):
                self._execute(statement)
            self._batch = self._batch_bytes = 0

    def _path(self, number: int, *id: str) -> str:
        queue = self._queues.get(number, _Named("?", 0))
        return "/".join([self._accounts.get(queue.account, _Named("?", 0)).name, queue.name, *id])

    # The end

    def _finish(self) -> None:
        """Write which accounts and queues there are, and which part of which store this is."""
        for number in [number for number in self._copied if self._is_deleted(number)]:
            self._execute("DELETE FROM messages WHERE queue = ?", (number,))
            del self._copied[number]
        for number, queue in self._queues.items():
            if not self._is_deleted(number):
                there = self._copied[number].messages if number in self._copied else 0
                if queue.messages > there:
                    self._report.missing += queue.messages - there
                    self._report.losses[self._path(number)] = queue.messages - there
        shard, shards = self._write_store()
        self._name_what_is_lost(shard, shards)
        for (name, _), policy in self._policies.items():
            if shard_of(name, shards) == shard:
                self._execute(f"INSERT INTO policies VALUES (NULL, {marks(len(policy))})", policy)
        totals: defaultdict[int, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))  # queues, messages, bytes
        for number, copied in self._copied.items():
            queue = self._queues[number]
            due = None if copied.due == math.inf else copied.due
            row = (number, queue.account, queue.name, queue.place, copied.messages, copied.hidden, copied.bytes, due)
            self._execute("INSERT INTO queues VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            total = totals[queue.account]
            totals[queue.account] = (total[0] + 1, total[1] + copied.messages, total[2] + copied.bytes)
            self._report.messages += copied.messages
            self._report.bytes += copied.bytes
        for number, total in totals.items():
            account = self._accounts[number]
            entry = (number, account.name, account.place, *total)
            self._execute("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?)", entry)
        self._report.queues = len(self._copied)

    def _is_deleted(self, number: int) -> bool:
        """Whether a queue was: it is said to be, or it has no name though no name is lost, and what says so is."""
        queue = self._queues.get(number)
        if number in self._dead or (queue is not None and queue.account in self._dead_accounts):
            return True
        if queue is None:
            return "queues" in self._sound and "dead_queues" not in self._sound
        unnamed = queue.account not in self._accounts
        return unnamed and "accounts" in self._sound and "dead_accounts" not in self._sound

    def _write_store(self) -> tuple[int, int]:
        """Which part it is, of how many."""
        shard, shards, identity, sequence = self._store or (0, 1, "", 0)
        fitting = sum(shard_of(account.name, shards) == shard for account in self._accounts.values())
        if not identity or fitting * 2 < len(self._accounts):  # most accounts belong elsewhere: it is the row that lies
            self._report.detached = True
            shard, shards, identity = 0, 1, uuid.uuid4().hex
        sequence = max(sequence, self._last_sequence + 1)
        self._execute("INSERT INTO store VALUES (1, ?, ?, ?, ?)", (shard, shards, identity, sequence))
        return shard, shards

    def _name_what_is_lost(self, shard: int, shards: int) -> None:
        """Have a queue, and an account of this shard, for everything that was copied."""
        names = {account.name for account in self._accounts.values()}
        spare = 1 + max([*self._accounts, *(queue.account for queue in self._queues.values())], default=0)
        lost: set[int] = set()  # accounts
        for number in self._copied:
            queue = self._queues.setdefault(number, _Named(f"queue-{number}", _END + number, spare))
            account = self._accounts.get(queue.account)
            if account is None or shard_of(account.name, shards) != shard:
                base = _LOST if queue.account == spare else f"{_LOST}-{queue.account}"
                tries = chain([base], (f"{base}-{attempt}" for attempt in count(2)))
                name = next(name for name in tries if name not in names and shard_of(name, shards) == shard)
                names.add(name)
                lost.add(queue.account)
                self._accounts[queue.account] = _Named(name, _END + queue.account)
            self._report.nameless += queue.account in lost


_INSERT: Final = f"INSERT OR IGNORE INTO messages VALUES ({marks(COLUMNS)})"


def _is_possible(
    queue: str,
    ttl: int | None,
    hide: int | None,
    deliveries: int | None,
    dead_letter: str | None,
    messages: int | None,
    size: int | None,
    dropped: int,
) -> bool:
    """Whether a policy can have been set; `InvalidName` where that is not for the name of its dead letter queue."""
    if dead_letter is not None and check_name("queue", dead_letter) == queue:
        return False
    seconds = all(each is None or 0 <= each <= MAX_SECONDS for each in (ttl, hide))
    counts = all(each is None or 0 < each < _LARGEST for each in (deliveries, messages, size))
    return seconds and counts and 0 <= dropped < _LARGEST


@lru_cache(maxsize=1024)
def _fits(kinds: str, table: str) -> bool:
    shapes = [_COLUMNS[table], *([_OLDER[table]] if table in _OLDER else [])]
    return any(len(kinds) == len(columns) and all(map(str.__contains__, columns, kinds)) for columns in shapes)
