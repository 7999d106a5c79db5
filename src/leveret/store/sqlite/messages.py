"""What happens to messages, in the database of one shard and within one transaction. Knows no thread and no request.

Many operations of one kind take few statements: what each statement costs is mostly its call. Before anything is
looked for in a queue it must be `settled`: then its expired messages are gone, and its visible ones marked as such.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias
from zlib import crc32

from leveret.model import HELD, NEVER, Change, Draft, Message, Put, Want
from leveret.store.base import queue_full
from leveret.store.sqlite.directory import Directory, QueueRecord
from leveret.store.sqlite.lookups import PIECE, Lookups, Row
from leveret.store.sqlite.rows import (
    COLUMNS,
    CREATED,
    HIDDEN,
    ID,
    LENGTH,
    PLAIN_COLUMNS,
    SEQUENCE,
    SOME,
    WITHOUT_BODY,
    batches,
    columns_of,
    is_held,
    message,
    row,
)
from leveret.store.sqlite.statements import (
    count_by_ids,
    delete_by_ids,
    insert,
    insert_plain,
    update,
    where_sequences,
)

_PURGED: Final = 100  # buried queues that are freed in one go
Puts: TypeAlias = tuple[QueueRecord, Sequence[Draft]]

_CREATED: Final = Put.CREATED
_ONE_CREATED: Final = [Put.CREATED]  # shared: nobody changes an answer
_REPLACED: Final = Put.REPLACED
_EXISTS: Final = Put.EXISTS


class Messages(Lookups):
    """The messages of one database file. Who calls holds a transaction, but for what only reads."""

    def __init__(
        self, connection: sqlite3.Connection, directory: Directory, take_sequences: Callable[[int], int]
    ) -> None:
        super().__init__(connection, directory)
        self._take_sequences = take_sequences  # so many, in a row; answers the first
        self.body_bytes = 0  # written since the last checkpoint
        self.lowest_due = NEVER  # of the queues' `due` that became earlier in this transaction

    # Time passes

    def settled(self, queue: QueueRecord, now: float) -> bool:
        """Whether nothing of the queue has expired or reappeared that is not yet seen as such."""
        return queue.due > now and queue.shows_at > now

    def settle(self, queue: QueueRecord, now: float) -> bool:
        """Do a piece of that; True where nothing is left to do."""
        if queue.due <= now and not self.expire(queue, now):
            return False
        return queue.shows_at > now or self._show(queue, now)

    def expire(self, queue: QueueRecord, now: float) -> bool:
        """Free what has expired, a piece of it; True where nothing is left to free."""
        (last,) = self._execute("SELECT max(expires) FROM messages WHERE queue = ?", (queue.number,)).fetchone()
        if last is not None and last <= now and not self._never_expiring(queue):
            self._directory.bury(queue)
            return True
        # Without an "order by" the index would be walked in the same order, but nothing would say so.
        chosen = "SELECT sequence FROM messages WHERE queue = ? AND expires <= ? ORDER BY expires LIMIT ?"
        count, hidden, size = self._execute(
            f"SELECT count(*), total(hidden), total(length(body)) FROM messages WHERE sequence IN ({chosen})",
            (queue.number, now, PIECE),
        ).fetchone()
        if count:
            self._execute(f"DELETE FROM messages WHERE sequence IN ({chosen})", (queue.number, now, PIECE))
            self.gone(queue, count, int(hidden), int(size))
        if count == PIECE:
            return False
        if queue.messages:
            (due,) = self._execute(
                "SELECT min(expires) FROM messages WHERE queue = ? AND expires > ?", (queue.number, now)
            ).fetchone()
            queue.due = NEVER if due is None else due
            self._directory.change(queue)
        return True

    def _never_expiring(self, queue: QueueRecord) -> bool:
        found = self._execute("SELECT 1 FROM messages WHERE queue = ? AND expires IS NULL LIMIT 1", (queue.number,))
        return found.fetchone() is not None

    def _show(self, queue: QueueRecord, now: float) -> bool:
        shown = self._execute(
            "UPDATE messages SET hidden = 0 WHERE sequence IN (SELECT sequence FROM messages "
            "WHERE queue = ? AND hidden = 1 AND visible_at <= ? ORDER BY visible_at LIMIT ?)",
            (queue.number, now, PIECE),
        ).rowcount
        queue.hidden -= shown
        self._directory.change(queue)
        if shown == PIECE:
            return False
        queue.shows_at = self._directory.first_shown(queue)
        return True

    # By id

    def put(self, puts: Sequence[Puts], now: float) -> list[list[Put]]:
        """Store all drafts, whatever they have; each queue is settled."""
        count = sum([len(drafts) for _, drafts in puts])
        first = sequence = self._take_sequences(count)
        rows: list[Row] = []
        for queue, drafts in puts:
            self._expect_more(queue, drafts, sum([len(draft.body) for draft in drafts]))
            for draft in drafts:
                rows.append(row(sequence, queue.number, draft, now))
                sequence += 1
                if draft.hide:
                    queue.hidden += 1
                    queue.shows_at = min(queue.shows_at, now + draft.hide)
                if draft.ttl and now + draft.ttl < queue.due:
                    self._expect(queue, now + draft.ttl)
        inserted = 0
        for size, _, some in batches(list(chain.from_iterable(rows)), COLUMNS):
            inserted += self._execute(insert(size), some).rowcount
        return self._outcome(puts, first, inserted == count, now)

    def put_plain(self, puts: Sequence[Puts], ttl: int, now: float) -> list[list[Put]]:
        """As `put`, for drafts that are visible, have no meta, and live equally long, as nearly all do: quicker."""
        expires = now + ttl if ttl else None
        values: list[Any] = []
        for queue, drafts in puts:
            size = 0
            for draft in drafts:
                size += len(draft.body)
            self._expect_more(queue, drafts, size)
            if expires is not None and expires < queue.due:
                self._expect(queue, expires)
            number = queue.number
            for draft in drafts:
                id = draft.id
                body = draft.body
                values += (number, id, crc32(body, crc32(id.encode(), number)), body)
        count = len(values) // PLAIN_COLUMNS
        first = self._take_sequences(count)
        inserted = 0
        for size, start, some in batches(values, PLAIN_COLUMNS):
            inserted += self._execute(insert_plain(size), [first + start, now, expires, *some]).rowcount
        return self._outcome(puts, first, inserted == count, now)

    def put_with_care(self, queue: QueueRecord, drafts: Sequence[Draft], now: float) -> list[Put]:
        """As `put`, for one queue, and where a draft may have to be left out; `QueueFull` before anything is done."""
        there = {
            found[ID]: found for found in self._by_ids(queue, [draft.id for draft in drafts], WITHOUT_BODY) if found
        }
        sizes = {id: found[LENGTH] for id, found in there.items()}
        messages, size = queue.messages, queue.bytes
        wanted: list[Draft] = []
        answer: list[Put] = []
        for draft in drafts:
            was = sizes.get(draft.id)
            if was is not None and draft.only_new:
                answer.append(_EXISTS)
                continue
            messages += was is None
            size += len(draft.body) - (was or 0)
            sizes[draft.id] = len(draft.body)
            wanted.append(draft)
            answer.append(_CREATED if was is None else _REPLACED)
        policy = queue.policy
        # What makes a queue that is over its limit no fuller is always possible.
        if (messages > queue.messages and policy.max_messages is not None and messages > policy.max_messages) or (
            size > queue.bytes and policy.max_bytes is not None and size > policy.max_bytes
        ):
            raise queue_full(policy)
        if wanted:
            self.put([(queue, wanted)], now)
        return answer

    def _expect_more(self, queue: QueueRecord, drafts: Sequence[Draft], size: int) -> None:
        if queue.place is None:
            self._directory.appear(queue)
        queue.messages += len(drafts)
        queue.bytes += size
        self.body_bytes += size
        if not queue.changed:
            self._directory.change(queue)

    def _outcome(self, puts: Sequence[Puts], first: int, all_new: bool, now: float) -> list[list[Put]]:
        """What became of drafts that were inserted with sequences from `first` on, but for those whose id is there."""
        if all_new:
            return [_ONE_CREATED if len(drafts) == 1 else [_CREATED] * len(drafts) for _, drafts in puts]
        last = first + sum([len(drafts) for _, drafts in puts]) - 1
        inserted = {
            found[0]
            for found in self._execute("SELECT sequence FROM messages WHERE sequence BETWEEN ? AND ?", (first, last))
        }
        answers: list[list[Put]] = []
        sequence = first
        for queue, drafts in puts:
            answer: list[Put] = []
            for draft in drafts:
                if sequence in inserted:
                    answer.append(_CREATED)
                else:
                    self._replace_one(queue, draft, row(sequence, queue.number, draft, now))
                    answer.append(_REPLACED)
                sequence += 1
            answers.append(answer)
        return answers

    def _replace_one(self, queue: QueueRecord, draft: Draft, values: Row) -> None:
        (old,) = self._by_ids(queue, [draft.id], WITHOUT_BODY)
        assert old is not None, "an insert was left out, and no message has its id"
        # Always later than it was: by this, receipts of what was replaced are no good.
        created = max(values[3], math.nextafter(old[CREATED], NEVER))
        self._execute(
            "UPDATE messages SET created = ?, expires = ?, hidden = ?, visible_at = ?, deliveries = ?, checksum = ?, "
            "body = ?, meta = ? WHERE sequence = ?",
            (created, *values[4:], old[SEQUENCE]),
        )
        # It was counted as one more.
        queue.messages -= 1
        queue.hidden -= old[HIDDEN]
        queue.bytes -= old[LENGTH]

    def update(
        self,
        queue: QueueRecord,
        ids: Sequence[str],
        change: Change,
        now: float,
        want: Want,
        receipts: Sequence[str] | None,
    ) -> list[Message | None]:
        if not queue.messages:
            return [None] * len(ids)
        if len(set(ids)) < len(ids):  # one after the other: what is done for the first is seen by the next
            alone = [None] * len(ids) if receipts is None else [(receipt,) for receipt in receipts]
            return [self.update(queue, (id,), change, now, want, own)[0] for id, own in zip(ids, alone, strict=True)]
        there, held = self._there(queue, ids, columns_of(want), now, receipts)
        rows = list(there.values())
        changed = {made.id: made for made in self.change(queue, rows, change, now, counts=receipts is None)}
        return [HELD if id in held else changed.get(id) for id in ids]

    def delete(
        self, queue: QueueRecord, ids: Sequence[str], now: float, want: Want, receipts: Sequence[str] | None
    ) -> list[Message | None]:
        if not queue.messages:
            return [None] * len(ids)
        if want is Want.NOTHING and receipts is None and self._delete_unseen(queue, ids):
            return [SOME] * len(ids)
        if receipts is not None and len(set(ids)) < len(ids):  # as for `update`
            pairs = zip(ids, receipts, strict=True)
            return [self.delete(queue, (id,), now, want, (receipt,))[0] for id, receipt in pairs]
        there, held = self._there(queue, ids, columns_of(want), now, receipts)
        if want is Want.NOTHING:
            deleted = dict.fromkeys(there, SOME)
        else:
            deleted = {id: message(found) for id, found in there.items()}
        self.remove_rows(queue, list(there.values()))
        return [HELD if id in held else deleted.pop(id, None) for id in ids]

    def _there(
        self, queue: QueueRecord, ids: Sequence[str], columns: str, now: float, receipts: Sequence[str] | None
    ) -> tuple[dict[str, Row], set[str]]:
        """The rows with these ids, and the ids of those that are not for who shows these receipts."""
        rows = self._by_ids(queue, ids, columns)
        held: set[str] = set()
        if receipts is not None:
            for found, receipt in zip(rows, receipts, strict=True):
                if found is not None and not is_held(found, receipt, now):
                    held.add(found[ID])
        return {found[ID]: found for found in rows if found is not None and found[ID] not in held}, held

    def _delete_unseen(self, queue: QueueRecord, ids: Sequence[str]) -> bool:
        """Delete them all, where all are there; else none of them."""
        count = hidden = length = 0
        for size, _, some in batches(ids):
            counted = self._execute(count_by_ids(size), (queue.number, *some)).fetchone()
            count += counted[0]
            hidden += int(counted[1])
            length += int(counted[2])
        if count < len(ids) or len(set(ids)) < len(ids):
            return False
        for size, _, some in batches(ids):
            self._execute(delete_by_ids(size), (queue.number, *some))
        self.gone(queue, count, hidden, length)
        return True

    # What matches

    def remove(self, queue: QueueRecord, rows: list[Row]) -> list[Message]:
        deleted = [message(found) for found in rows]
        self.remove_rows(queue, rows)
        return deleted

    def purge(self, keep: set[int]) -> bool:
        """Free a piece of the space of what was buried, but for the queues in `keep`; True where there was work."""
        many = _PURGED + len(keep)
        dead = self._execute("SELECT number FROM dead_queues ORDER BY number LIMIT ?", (many,)).fetchall()
        left = PIECE
        worked = False
        for (number,) in dead:
            if number in keep:
                continue
            worked = True
            freed = self._execute(
                "DELETE FROM messages WHERE sequence IN (SELECT sequence FROM messages WHERE queue = ? LIMIT ?)",
                (number, left),
            ).rowcount
            left -= freed
            if left <= 0:
                break
            self._execute("DELETE FROM dead_queues WHERE number = ?", (number,))
        return worked

    # Rows change

    def change(
        self, queue: QueueRecord, rows: list[Row], change: Change, now: float, counts: bool = True
    ) -> list[Message]:
        """Give rows other times; `counts` says whether a hide is a delivery."""
        ttl, hide = change.ttl, change.hide
        if rows and (ttl is not None or hide is not None):
            values: list[Any] = []
            if ttl is not None:
                values.append(now + ttl if ttl else None)
            if hide is not None:
                values.append(now + hide)
            self._on_sequences(update(ttl is not None, None if hide is None else hide > 0, counts), values, rows)
            if ttl and now + ttl < queue.due:
                self._expect(queue, now + ttl)
            if hide is not None:
                was_hidden = sum([found[HIDDEN] for found in rows])
                queue.hidden += (len(rows) if hide else 0) - was_hidden
                if hide and now + hide < queue.shows_at:
                    queue.shows_at = now + hide
            self._directory.change(queue)
        changed: list[Message] = []
        for found in rows:
            made = message(found)
            if ttl is not None:
                made.expires = now + ttl if ttl else NEVER
            if hide is not None:
                made.visible_at = now + hide if hide else 0.0
                if hide and counts:
                    made.deliveries += 1
            changed.append(made)
        return changed

    def arrived(self, queue: QueueRecord, size: int, expires: float) -> None:
        """A message came from another queue."""
        queue.messages += 1
        queue.bytes += size
        self.body_bytes += size
        self._directory.change(queue)
        if expires < queue.due:
            self._expect(queue, expires)

    def _expect(self, queue: QueueRecord, due: float) -> None:
        queue.due = due
        self.lowest_due = min(self.lowest_due, due)

    def remove_rows(self, queue: QueueRecord, rows: Sequence[Row]) -> None:
        if rows:
            self._on_sequences("DELETE FROM messages", [], rows)
            hidden = sum([found[HIDDEN] for found in rows])
            self.gone(queue, len(rows), hidden, sum([found[LENGTH] for found in rows]))

    def _on_sequences(self, statement: str, values: list[Any], rows: Sequence[Row]) -> None:
        for size, _, some in batches([found[SEQUENCE] for found in rows]):
            self._execute(where_sequences(statement, size), [*values, *some])

    def gone(self, queue: QueueRecord, count: int, hidden: int, size: int) -> None:
        queue.messages -= count
        queue.hidden -= hidden
        queue.bytes -= size
        if queue.messages:
            self._directory.change(queue)
        else:
            self._directory.vanish(queue)
