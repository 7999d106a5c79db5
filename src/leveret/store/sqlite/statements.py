"""The statements on messages whose text depends on how many rows they are for, and on what is wanted of them.

Each text is made once. It is also what SQLite's module finds the prepared statement by.
"""

from __future__ import annotations

from functools import cache

from leveret.store.sqlite.rows import COLUMNS, PLAIN_COLUMNS, marks


@cache
def insert(count: int) -> str:
    return "INSERT OR IGNORE INTO messages VALUES " + ",".join([f"({marks(COLUMNS)})"] * count)


@cache
def insert_plain(count: int) -> str:
    """The same, for messages that have in common what is numbered: the first sequence, the time, and the expiry."""
    rows = [
        f"(?1 + {number}, ?{own}, ?{own + 1}, ?2, ?3, 0, ?2, 0, ?{own + 2}, ?{own + 3}, NULL)"
        for number, own in enumerate(range(4, 4 + PLAIN_COLUMNS * count, PLAIN_COLUMNS))
    ]
    return "INSERT OR IGNORE INTO messages VALUES " + ",".join(rows)


@cache
def select_by_ids(columns: str, count: int) -> str:
    return f"SELECT {columns} FROM messages WHERE queue = ? AND id IN ({marks(count)})"


@cache
def count_by_ids(count: int) -> str:
    return (
        "SELECT count(*), total(hidden), total(length(body)), min(sequence), max(sequence) "
        f"FROM messages WHERE queue = ? AND id IN ({marks(count)})"
    )


@cache
def delete_by_ids(count: int) -> str:
    return f"DELETE FROM messages WHERE queue = ? AND id IN ({marks(count)})"


@cache
def select_by_sequences(columns: str, count: int) -> str:
    return f"SELECT {columns} FROM messages WHERE sequence IN ({marks(count)})"


@cache
def select_visible(columns: str, newest_first: bool) -> str:
    return (
        f"SELECT {columns} FROM messages WHERE queue = ? AND hidden = 0 AND sequence > ? AND sequence <= ? "
        f"ORDER BY sequence {'DESC ' if newest_first else ''}LIMIT ?"
    )


@cache
def select_all(columns: str, newest_first: bool) -> str:
    part = f"SELECT {columns} FROM messages WHERE queue = ? AND hidden = {{}} AND sequence > ? AND sequence <= ?"
    return f"{part.format(0)} UNION ALL {part.format(1)} ORDER BY sequence {'DESC ' if newest_first else ''}LIMIT ?"


@cache
def update(ttl: bool, hide: bool | None, counts: bool) -> str:
    sets = ["expires = ?"] if ttl else []
    if hide is not None:
        sets += ["hidden = 1, visible_at = ?" if hide else "hidden = 0, visible_at = ?"]
        if hide and counts:
            sets += ["deliveries = deliveries + 1"]
    return f"UPDATE messages SET {', '.join(sets)}"


@cache
def where_sequences(statement: str, count: int) -> str:
    return f"{statement} WHERE sequence IN ({marks(count)})"


@cache
def between_sequences(statement: str) -> str:
    """For rows that have all places from one to another: less to look up, and no list to be made of them first."""
    return f"{statement} WHERE sequence BETWEEN ? AND ?"
