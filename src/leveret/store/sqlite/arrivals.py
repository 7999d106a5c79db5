"""How messages come into queues, in the database of one shard and within one transaction: put, or as dead letters.

Each queue that gets some is `settled` (`messages`). Many puts take few statements: what each costs is mostly its call.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias
from zlib import crc32

from leveret.model import NEVER, Activity, Draft, Outcome, Put, Quota
from leveret.store.base import account_full, queue_full
from leveret.store.sqlite.directory import Directory
from leveret.store.sqlite.entries import QueueRecord
from leveret.store.sqlite.lookups import Lookups, Row
from leveret.store.sqlite.rows import (
    COLUMNS,
    CREATED,
    ID,
    PLAIN_COLUMNS,
    SEQUENCE,
    WITHOUT_BODY,
    batches,
    count_hidden,
    row,
    size_of,
)
from leveret.store.sqlite.statements import insert, insert_plain
from leveret.store.sqlite.tally import Tally

Puts: TypeAlias = tuple[QueueRecord, Sequence[Draft]]

_CREATED: Final = Put.CREATED
_REPLACED: Final = Put.REPLACED
_EXISTS: Final = Put.EXISTS


class Arrivals(Lookups):
    """The messages of one database file, to be read, and to become more."""

    def __init__(
        self, connection: sqlite3.Connection, directory: Directory, take_sequences: Callable[[int], int], tally: Tally
    ) -> None:
        super().__init__(connection, directory)
        self.tally = tally
        self._take_sequences = take_sequences  # so many, in a row; answers the first
        self.body_bytes = 0  # written since the last checkpoint
        self.lowest_due = NEVER  # of the queues' `due` that became earlier in this transaction

    def put(self, puts: Sequence[Puts], now: float) -> list[list[Outcome]]:
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

    def put_plain(self, puts: Sequence[Puts], ttl: int, now: float) -> list[list[Outcome]]:
        """As `put`, for drafts that are visible, have no meta, and live equally long, as nearly all do: quicker."""
        expires = now + ttl if ttl else None
        values: list[Any] = []
        for queue, drafts in puts:
            size = 0
            if queue.place is None:
                self._directory.appear(queue)
            number = queue.number
            for draft in drafts:
                id = draft.id
                body = draft.body
                size += len(body)
                # A bytearray for the reason that `row` has.
                values += (number, id, crc32(body, crc32(id.encode(), number)), bytearray(body))
            self._expect_more(queue, drafts, size)
            if expires is not None and expires < queue.due:
                self._expect(queue, expires)
        count = len(values) // PLAIN_COLUMNS
        first = self._take_sequences(count)
        inserted = 0
        for size, start, some in batches(values, PLAIN_COLUMNS):
            inserted += self._execute(insert_plain(size), [first + start, now, expires, *some]).rowcount
        return self._outcome(puts, first, inserted == count, now)

    def put_with_care(
        self, queue: QueueRecord, drafts: Sequence[Draft], now: float, quota: Quota | None = None
    ) -> list[Outcome]:
        """As `put`, for one queue, and where a draft may have to be left out; `QueueFull` or `AccountFull` before
        anything is done."""
        there = {
            found[ID]: found for found in self._by_ids(queue, [draft.id for draft in drafts], WITHOUT_BODY) if found
        }
        sizes = {id: size_of(found) for id, found in there.items()}
        messages, size = queue.messages, queue.bytes
        wanted: list[Draft] = []
        answer: list[Outcome] = []
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
        if quota is not None and _exceeds(quota, queue, messages - queue.messages, size - queue.bytes):
            raise account_full(quota)
        if wanted:
            self.put([(queue, wanted)], now)
        return answer

    def _expect_more(self, queue: QueueRecord, drafts: Sequence[Draft], size: int) -> None:
        if queue.place is None:
            self._directory.appear(queue)
        self._directory.count(queue, len(drafts), size)
        self.body_bytes += size
        if not queue.changed:
            self._directory.change(queue)
        if self.tally.on:
            self._counts(queue).put += len(drafts)

    def _outcome(self, puts: Sequence[Puts], first: int, all_new: bool, now: float) -> list[list[Outcome]]:
        """What became of drafts that were inserted with sequences from `first` on, but for those whose id is there."""
        if all_new:
            return [[_CREATED] * len(drafts) for _, drafts in puts]
        last = first + sum([len(drafts) for _, drafts in puts]) - 1
        inserted = {
            found[0]
            for found in self._execute("SELECT sequence FROM messages WHERE sequence BETWEEN ? AND ?", (first, last))
        }
        answers: list[list[Outcome]] = []
        sequence = first
        for queue, drafts in puts:
            answer: list[Outcome] = []
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
        queue.hidden -= count_hidden((old,))
        self._directory.count(queue, -1, -size_of(old))

    def arrived(self, queue: QueueRecord, size: int, expires: float) -> None:
        """A message came from another queue."""
        self._directory.count(queue, 1, size)
        self.body_bytes += size
        self._directory.change(queue)
        if expires < queue.due:
            self._expect(queue, expires)

    def _expect(self, queue: QueueRecord, due: float) -> None:
        queue.due = due
        self.lowest_due = min(self.lowest_due, due)

    def _counts(self, queue: QueueRecord) -> Activity:
        """What this transaction has done to the queue."""
        activity = queue.activity
        if activity is None or queue.counted_in != self.tally.number:
            activity = queue.activity = self.tally.of((queue.account.name, queue.name))
            queue.counted_in = self.tally.number
        return activity


def _exceeds(quota: Quota, queue: QueueRecord, messages: int, size: int) -> bool:
    """Whether so many messages and bytes more in the queue are more than its account may have."""
    account = queue.account
    # What makes an account that is over its quota no fuller is always possible.
    return (
        (messages > 0 and quota.messages is not None and account.messages + messages > quota.messages)
        or (size > 0 and quota.bytes is not None and account.bytes + size > quota.bytes)
        or (messages > 0 and not queue.messages and quota.queues is not None and account.queues >= quota.queues)
    )
