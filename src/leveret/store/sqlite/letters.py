"""Dead letters in the database of one shard: messages that change their queue, within one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from leveret.model import NEVER
from leveret.store.dead import dead_letter
from leveret.store.sqlite.directory import Directory, Execute
from leveret.store.sqlite.entries import QueueRecord
from leveret.store.sqlite.lookups import Row
from leveret.store.sqlite.messages import Messages
from leveret.store.sqlite.rows import COLUMNS, SEQUENCE, checksum, count_hidden, encode_meta, marks, message, size_of


class Burial(NamedTuple):
    """What is to be told of messages that are dead letters, once that is committed."""

    account: str
    queue: str
    target: str | None  # None: they were dropped
    letters: int
    at: float


class Letters:
    """Moves what was delivered too often. Who calls holds a transaction."""

    def __init__(
        self, execute: Execute, directory: Directory, messages: Messages, take_sequences: Callable[[int], int]
    ) -> None:
        self._execute = execute
        self._directory = directory
        self._messages = messages
        self._take_sequences = take_sequences
        self.burials: list[Burial] = []  # of this transaction

    def bury(self, queue: QueueRecord, rows: Sequence[Row], now: float) -> None:
        """Have these rows of a queue in its dead letter queue, or dropped where it has none."""
        account = queue.account.name
        tally = self._messages.tally
        if tally.on:
            tally.of((account, queue.name)).dead += len(rows)
        name = queue.policy.dead_letter
        if name is None or name == queue.name:
            name = None
            self._messages.remove_rows(queue, rows)
            self._directory.count_dropped(queue, len(rows))
        else:
            target = self._directory.find((account, name))
            self._messages.settle(target, now)
            for row in self._messages.whole(rows):
                self._move(queue, row, target, now)
        self.burials.append(Burial(account, queue.name, name, len(rows), now))

    def _move(self, queue: QueueRecord, row: Row, target: QueueRecord, now: float) -> None:
        letter = message(row, queue.number)
        if target.place is None:
            self._directory.appear(target)

        def taken(id: str) -> bool:
            found = self._execute("SELECT 1 FROM messages WHERE queue = ? AND id = ?", (target.number, id))
            return found.fetchone() is not None

        id, expires, meta = dead_letter(letter, queue.name, target.policy, taken, now)
        encoded = encode_meta(meta)
        self._execute("DELETE FROM messages WHERE sequence = ?", (row[SEQUENCE],))
        self._messages.gone(queue, 1, count_hidden((row,)), size_of(row))
        self._execute(
            f"INSERT INTO messages VALUES ({marks(COLUMNS)})",
            (
                self._take_sequences(1), target.number, id, letter.created, None if expires == NEVER else expires,
                0, letter.created, 0, checksum(target.number, id, letter.body, encoded), letter.body, encoded,
            ),
        )  # fmt: skip
        self._messages.arrived(target, len(letter.body), expires)
