"""The files of a store, which belong together: where they are, and whether they are all there. Knows no operation."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path

from leveret.store.base import Unusable
from leveret.store.sqlite import schema
from leveret.store.sqlite.counts import contradiction
from leveret.store.sqlite.file import NOT_READ, DatabaseFile, salvage_hint


class InvalidUrl(ValueError):
    """A URL that names no store; its text says what would."""


def path_of(url: str) -> Path:
    """The file that `sqlite:///relative.db` or `sqlite:////absolute.db` names, as it stands; `InvalidUrl` for another.

    What a shell or a browser would have read differently is refused, rather than made into a new and empty file.
    """
    scheme, separator, rest = url.partition(":///")
    if scheme != "sqlite" or not separator or not rest or rest.endswith("/"):
        raise InvalidUrl("sqlite:///relative.db or sqlite:////absolute.db is expected")
    if rest.startswith("~") or any(char in rest for char in "?#%"):
        raise InvalidUrl("a path after sqlite:/// is taken as it is: '~' at its start, '?', '#' and '%' are refused")
    return Path(rest)


def shard_paths(path: Path, shards: int) -> list[Path]:
    """The files of a store of so many shards: `queue.db`, `queue-1.db`, `queue-2.db`, ..."""
    return [path, *(path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, shards))]


def open_together(files: Sequence[DatabaseFile]) -> list[sqlite3.Connection]:
    """Open them all, or none. `Unusable` where one can't be opened, or where they don't belong together."""
    there = [file.path.exists() for file in files]
    opened: list[sqlite3.Connection] = []
    try:
        # Those first that hold something: nothing is made beside a store to which it does not belong.
        connections: dict[DatabaseFile, sqlite3.Connection] = {}
        for file, exists in sorted(zip(files, there, strict=True), key=lambda pair: not pair[1]):
            if not exists:
                _refuse_a_gap(file, connections)
            connections[file] = file.open()
            opened.append(connections[file])
            schema.prepare(connections[file], str(file.path))
            if exists:
                _check_count(file, connections[file], len(files))
                _check_contents(file, connections[file])
        ordered = [connections[file] for file in files]
        _bind(files, ordered)
    except NOT_READ as error:
        _close(files, opened)
        raise file.unusable(error) from error
    except BaseException:
        _close(files, opened)
        raise
    return ordered


def last_place(connection: sqlite3.Connection) -> int:
    """The last place that was given to an account or a queue."""
    (account,) = connection.execute("SELECT max(place) FROM accounts WHERE place IS NOT NULL").fetchone()
    (queue,) = connection.execute(
        "SELECT max((SELECT max(place) FROM queues WHERE account = accounts.number AND place IS NOT NULL)) "
        "FROM accounts"
    ).fetchone()
    return max(account or 0, queue or 0)


def _refuse_a_gap(file: DatabaseFile, others: dict[DatabaseFile, sqlite3.Connection]) -> None:
    for other, connection in others.items():
        if connection.execute("SELECT 1 FROM accounts LIMIT 1").fetchone():
            raise Unusable(
                f"{file.path} is missing: {other.path} is one of several files of a store; bring it back, "
                "or move the others away to begin anew"
            )


def _check_count(file: DatabaseFile, connection: sqlite3.Connection, shards: int) -> None:
    row = connection.execute("SELECT shards FROM store").fetchone()
    if row is not None and row[0] != shards:
        raise Unusable(f"{file.path} is part of a store of shards={row[0]}; set sqlite.shards={row[0]}, not {shards}")


def _check_contents(file: DatabaseFile, connection: sqlite3.Connection) -> None:
    what = contradiction(connection) if file.is_small else None
    if what is not None:
        raise Unusable(f"{file.path} is damaged ({what}); {salvage_hint(file.path)}")


def _bind(files: Sequence[DatabaseFile], connections: Sequence[sqlite3.Connection]) -> None:
    """Write into each file which part it is of which store; `Unusable` where another is written there."""
    rows = [connection.execute("SELECT shard, identity FROM store").fetchone() for connection in connections]
    if None in rows:  # a new store, or one that was never finished
        identity = uuid.uuid4().hex
        for number, connection in enumerate(connections):
            connection.execute(
                "INSERT OR REPLACE INTO store VALUES (1, ?, ?, ?, 0)", (number, len(connections), identity)
            )
        return
    for number, (file, row) in enumerate(zip(files, rows, strict=True)):
        if row != (number, rows[0][1]):
            raise Unusable(
                f"{file.path} is no part of the store of {files[0].path}, or is another part of it; "
                "bring the files back that were made together"
            )


def _close(files: Sequence[DatabaseFile], connections: Sequence[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()
    for file in files:
        file.close()
