"""What happens to messages, in the database of one shard and within one transaction. Knows no thread and no request.

Many operations of one kind take few statements: what each statement costs is mostly its call. Before anything is
looked for in a queue it must be `settled`: then its expired messages are gone, and its visible ones marked as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from leveret.model import HELD, NEVER, Change, Message, Want, Wanted
from leveret.store.sqlite.arrivals import Arrivals
from leveret.store.sqlite.entries import QueueRecord
from leveret.store.sqlite.lookups import LAST, PIECE, Row
from leveret.store.sqlite.rows import (
    ID,
    SEQUENCE,
    SOME,
    batches,
    columns_of,
    count_hidden,
    is_held,
    message,
    messages,
    size_of,
)
from leveret.store.sqlite.statements import (
    between_sequences,
    count_by_ids,
    delete_by_ids,
    update,
    where_sequences,
)

_PURGED: Final = 100  # buried queues that are freed in one go


class Messages(Arrivals):
    """The messages of one database file. Who calls holds a transaction, but for what only reads."""

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
            if self.tally.on:
                self._counts(queue).expired += queue.messages
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
            if self.tally.on:
                self._counts(queue).expired += count
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

    def update(
        self,
        queue: QueueRecord,
        ids: Sequence[str],
        change: Change,
        now: float,
        want: Wanted,
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
        self, queue: QueueRecord, ids: Sequence[str], now: float, want: Wanted, receipts: Sequence[str] | None
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
            deleted = {id: message(found, queue.number) for id, found in there.items()}
        if there and self.tally.on:
            self._counts(queue).deleted += len(there)
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
        first, last = LAST, 0
        for size, _, some in batches(ids):
            counted = self._execute(count_by_ids(size), (queue.number, *some)).fetchone()
            if not counted[0]:
                return False
            count += counted[0]
            hidden += int(counted[1])
            length += int(counted[2])
            first = min(first, counted[3])
            last = max(last, counted[4])
        if count < len(ids) or len(set(ids)) < len(ids):
            return False
        if last - first == count - 1:
            self._execute(between_sequences("DELETE FROM messages"), (first, last))
        else:
            for size, _, some in batches(ids):
                self._execute(delete_by_ids(size), (queue.number, *some))
        if self.tally.on:
            self._counts(queue).deleted += count
        self.gone(queue, count, hidden, length)
        return True

    # What matches

    def bury(self, queue: QueueRecord) -> None:
        """Delete all of a queue at one stroke."""
        if self.tally.on:
            self._counts(queue).deleted += queue.messages
        self._directory.bury(queue)

    def remove(self, queue: QueueRecord, rows: list[Row]) -> list[Message]:
        deleted = messages(rows, queue.number)
        if rows and self.tally.on:
            self._counts(queue).deleted += len(rows)
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
                was_hidden = count_hidden(rows)
                queue.hidden += (len(rows) if hide else 0) - was_hidden
                if hide and now + hide < queue.shows_at:
                    queue.shows_at = now + hide
                if hide and counts and self.tally.on:
                    self._counts(queue).claimed += len(rows)
            self._directory.change(queue)
        changed = messages(rows, queue.number)
        if ttl is not None:
            expires = now + ttl if ttl else NEVER
            for made in changed:
                made.expires = expires
        if hide is not None:
            visible_at = now + hide if hide else 0.0
            delivered = 1 if hide and counts else 0
            for made in changed:
                made.visible_at = visible_at
                made.deliveries += delivered
        return changed

    def remove_rows(self, queue: QueueRecord, rows: Sequence[Row]) -> None:
        if rows:
            self._on_sequences("DELETE FROM messages", [], rows)
            self.gone(queue, len(rows), count_hidden(rows), sum([size_of(found) for found in rows]))

    def _on_sequences(self, statement: str, values: list[Any], rows: Sequence[Row]) -> None:
        sequences = [found[SEQUENCE] for found in rows]
        first, last = min(sequences), max(sequences)
        if last - first == len(sequences) - 1:
            self._execute(between_sequences(statement), [*values, first, last])
            return
        for size, _, some in batches(sequences):
            self._execute(where_sequences(statement, size), [*values, *some])

    def gone(self, queue: QueueRecord, count: int, hidden: int, size: int) -> None:
        queue.hidden -= hidden
        self._directory.count(queue, -count, -size)
        if queue.messages:
            self._directory.change(queue)
        else:
            self._directory.vanish(queue)
