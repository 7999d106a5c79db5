"""How messages are found in the database of one shard. Reads only; knows no thread, no request and no transaction.

Before anything is looked for in a queue it must be settled (`messages`): then every search is a walk along an index,
from its first hit on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from leveret.model import NEVER, Filters, Message, Want, Wanted
from leveret.store.sqlite.complaints import Complaints
from leveret.store.sqlite.directory import Directory, Execute
from leveret.store.sqlite.entries import QueueRecord
from leveret.store.sqlite.rows import BODY, ID, SEQUENCE, WHOLE, batches, columns_of, message
from leveret.store.sqlite.statements import select_all, select_by_ids, select_by_sequences, select_visible

PIECE: Final = 500  # messages that are touched in one go; between two such, others get their turn

LAST: Final = 2**63 - 1  # the largest row id
ALL: Final = -1  # in place of a place: wherever

_ALL_PLACES: Final = (ALL, LAST)

Row: TypeAlias = tuple[Any, ...]
Span: TypeAlias = tuple[int, int]  # after one place, and up to another


class Lookups:
    """The messages of one database file, to be read."""

    def __init__(self, connection: sqlite3.Connection, directory: Directory) -> None:
        self._execute: Execute = connection.execute
        self._directory = directory
        self.complaints = Complaints()

    def get(self, queue: QueueRecord, ids: Sequence[str], want: Wanted) -> list[Message | None]:
        if not queue.messages:
            return [None] * len(ids)
        columns = columns_of(want)
        return [None if found is None else message(found, queue.number) for found in self._by_ids(queue, ids, columns)]

    def _by_ids(self, queue: QueueRecord, ids: Sequence[str], columns: str) -> list[Row | None]:
        found: dict[str, Row] = {}
        for size, _, some in batches(ids):
            for each in self._execute(select_by_ids(columns, size), (queue.number, *some)).fetchall():
                found[each[ID]] = each
        return [found.get(id) for id in ids]

    def place(self, queue: QueueRecord, filters: Filters) -> int:
        """The place after which to look, or before which where the newest are first; `ALL` for all."""
        if filters.after is not None:
            return filters.after
        if filters.marker is None:
            return ALL
        (found,) = self._by_ids(queue, [filters.marker], "sequence, id")
        return ALL if found is None else found[SEQUENCE]

    def rows(
        self, queue: QueueRecord, filters: Filters, span: Span, limit: int, want: Wanted, room: int | None = None
    ) -> list[Row]:
        """Up to `limit` rows in order, of places in `span`; hidden ones only where asked. With `room`, as many as have
        no more bytes of bodies together."""
        if not queue.messages:
            return []
        newest_first = filters.newest_first
        with_hidden = bool(filters.match_hidden and queue.hidden)
        if with_hidden:
            found = self._all_rows(queue.number, span, limit, want, newest_first)
        elif queue.messages == queue.hidden:
            return []
        else:
            statement = select_visible(columns_of(want), newest_first)
            found = self._execute(statement, (queue.number, *span, limit))
        if room is None:
            rows: list[Row] = found.fetchall()
            if len(rows) < limit and span == _ALL_PLACES:
                self._count(queue, len(rows), queue.messages if with_hidden else queue.messages - queue.hidden)
            return rows
        # Row by row: to read the bodies of all could take more memory than there is.
        fit: list[Row] = []
        for each in found:
            body = each[BODY]
            room -= len(body) if type(body) is bytes else body
            if room < 0:
                found.close()
                return fit
            fit.append(each)
        if len(fit) < limit and span == _ALL_PLACES:
            self._count(queue, len(fit), queue.messages if with_hidden else queue.messages - queue.hidden)
        return fit

    def _count(self, queue: QueueRecord, found: int, counted: int) -> None:
        """Say where a queue has other messages than can be found, which is damage to an index, or to what it counts."""
        if found != counted:
            names = {"account": queue.account.name, "queue": queue.name}
            self.complaints.say(
                "the messages that can be found of a queue are not as many as it counts: its file is damaged",
                **names,
                found=found,
                counted=counted,
            )

    def whole(self, rows: Sequence[Row]) -> list[Row]:
        """The same rows, with their bodies."""
        found: dict[int, Row] = {}
        for size, _, some in batches([each[SEQUENCE] for each in rows]):
            for each in self._execute(select_by_sequences(WHOLE, size), some).fetchall():
                found[each[SEQUENCE]] = each
        return [found[each[SEQUENCE]] for each in rows]

    def next_visible(self, queue: QueueRecord, filters: Filters, span: Span, now: float) -> float | None:
        if filters.match_hidden:
            return None
        if self.rows(queue, filters, span, 1, Want.ATTRIBUTES):
            return now  # its time came since it was looked for
        if not queue.hidden:
            return None
        # For one that goes back it may be too early, which is harmless.
        if not filters.narrow or filters.newest_first:
            first = self._directory.first_shown(queue)
            return None if first == NEVER else first
        place = self.place(queue, filters)
        found = self._execute(
            "SELECT sequence, visible_at FROM messages WHERE queue = ? AND hidden = 1 ORDER BY visible_at LIMIT ?",
            (queue.number, PIECE),
        ).fetchall()
        for sequence, visible_at in found:
            if sequence > place:
                return float(visible_at)
        # Too early may be: who asked looks again then.
        return float(found[-1][1]) if len(found) == PIECE else None

    def buried_rows(self, number: int, after: int, limit: int, want: Wanted) -> list[Row]:
        """Rows of a queue that is buried, after a place."""
        rows: list[Row] = self._all_rows(number, (after, LAST), limit, want, newest_first=False).fetchall()
        return rows

    def _all_rows(self, number: int, span: Span, limit: int, want: Wanted, newest_first: bool) -> sqlite3.Cursor:
        values = (number, *span, number, *span, limit)
        found: sqlite3.Cursor = self._execute(select_all(columns_of(want), newest_first), values)
        return found

    def oldest(self, queue: QueueRecord) -> float | None:
        """When the first message, in order, was put."""
        statement = "SELECT sequence, created FROM messages WHERE queue = ? AND hidden = ? ORDER BY sequence LIMIT 1"
        found = [self._execute(statement, (queue.number, hidden)).fetchone() for hidden in (0, 1)]
        return min([each for each in found if each is not None], default=(0, None))[1]
