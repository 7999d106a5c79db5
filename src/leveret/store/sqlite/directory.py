"""Accounts and queues: which there are, in which order, and what each queue holds. Knows no message.

What was read is kept in memory as records, changed there, and written once per transaction, by `flush`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from leveret.model import NEVER, NO_POLICY, AccountState, Page, Policy
from leveret.store.ledger import Key
from leveret.store.sqlite.entries import AccountRecord, QueueRecord
from leveret.store.sqlite.policies import Policies
from leveret.store.sqlite.tally import Tally

Execute: TypeAlias = Callable[..., Any]

REMEMBERED: Final = 50_000  # records; when there are more, those that aren't in use are read again
ABSENT: Final = 1_000  # the same, of queues and accounts that aren't there: pollers ask for these again and again
PIECE: Final = 2_000  # names in one look


class Directory:
    """The accounts and queues of one database file. `flush` before a transaction ends; `forget` where it is undone."""

    def __init__(self, connection: sqlite3.Connection, next_place: Callable[[], int], tally: Tally) -> None:
        self._tally = tally
        self._execute: Execute = connection.execute
        self._executemany: Execute = connection.executemany
        self._next_place = next_place
        self._accounts: dict[str, AccountRecord] = {}
        self._queues: dict[Key, QueueRecord] = {}
        # Those that had no row when they were read, or have lost it since.
        self._absent_accounts: list[AccountRecord] = []
        self._absent: list[QueueRecord] = []
        self._changed: list[QueueRecord] = []
        self._changed_accounts: list[AccountRecord] = []
        self._counted_accounts: list[AccountRecord] = []
        self._buried_names: dict[int, str] = {}  # of accounts whose messages are still to be counted as deleted
        self._policies = Policies(connection)
        self.buried = True  # there may be space to free, of what was buried
        self.empty = 0  # rows of queues and accounts that have vanished since they were last dropped, about
        self._next_account = self._next_number("accounts", "dead_accounts")
        self._next_queue = self._next_number("queues", "dead_queues")

    def _next_number(self, *tables: str) -> int:
        found = [self._execute(f"SELECT max(number) FROM {table}").fetchone()[0] for table in tables]
        return int(max(number or 0 for number in found)) + 1

    # One queue

    def find(self, key: Key) -> QueueRecord:
        """The queue of that name, whether or not it is there."""
        found = self._queues.get(key)
        return self._read(key) if found is None else found

    def _read(self, key: Key) -> QueueRecord:
        account = self._account(key[0])
        row = None
        if account.stored:
            row = self._execute(
                "SELECT number, place, messages, hidden, bytes, due FROM queues WHERE account = ? AND name = ?",
                (account.number, key[1]),
            ).fetchone()
        if row is None:
            record = QueueRecord(account, 0, key[1])
            self._absent.append(record)
        else:
            record = QueueRecord(account, row[0], key[1])
            record.stored = True
            _, record.place, record.messages, record.hidden, record.bytes, due = row
            record.due = NEVER if due is None else due
            record.written = (record.place, record.due)
            if record.hidden:
                record.shows_at = self.first_shown(record)
        record.policy = self._policies.get(key)
        self._queues[key] = record
        return record

    def set_policy(self, queue: QueueRecord, policy: Policy) -> None:
        queue.policy = policy or NO_POLICY
        self._policies.set((queue.account.name, queue.name), policy)

    def count_dropped(self, queue: QueueRecord, count: int) -> None:
        self._policies.count_dropped((queue.account.name, queue.name), count)

    def dropped(self, queue: QueueRecord) -> int:
        """How many of its messages were dropped under this policy."""
        return 0 if queue.policy is NO_POLICY else self._policies.dropped((queue.account.name, queue.name))

    def first_shown(self, queue: QueueRecord) -> float:
        """When the first of its hidden messages reappears."""
        (shows_at,) = self._execute(
            "SELECT min(visible_at) FROM messages WHERE queue = ? AND hidden = 1", (queue.number,)
        ).fetchone()
        return NEVER if shows_at is None else float(shows_at)

    def _account(self, name: str) -> AccountRecord:
        found = self._accounts.get(name)
        if found is None:
            row = self._execute(
                "SELECT place, queues, messages, bytes, number FROM accounts WHERE name = ?", (name,)
            ).fetchone()
            found = self._accounts[name] = AccountRecord(0 if row is None else row[4], name)
            if row is None:
                self._absent_accounts.append(found)
            else:
                found.place, found.queues, found.messages, found.bytes, _ = row
                found.stored = True
        return found

    def change(self, queue: QueueRecord) -> None:
        """Its counts or times are others now."""
        if not queue.changed:
            queue.changed = True
            self._changed.append(queue)

    def count(self, queue: QueueRecord, messages: int, size: int) -> None:
        """It has so many messages and bytes more, or less where that is below 0, and its account with it."""
        queue.messages += messages
        queue.bytes += size
        account = queue.account
        account.messages += messages
        account.bytes += size
        if not account.counted:
            account.counted = True
            self._counted_accounts.append(account)

    def appear(self, queue: QueueRecord) -> None:
        """It gets messages, and had none: it comes to the end of its account, and an account without queues to the end
        of all."""
        account = queue.account
        if not account.queues:
            account.place = self._next_place()
            self._appear_from(account.number)
        account.queues += 1
        if not account.number:
            account.number = self._next_account
            self._next_account += 1
        self._change_account(account)
        queue.place = self._next_place()
        self._appear_from(queue.number)
        if not queue.number:
            queue.number = self._next_queue
            self._next_queue += 1
        self.change(queue)

    def _appear_from(self, number: int) -> None:
        """What vanished, where it has a number, is there again."""
        if number and self.empty:
            self.empty -= 1

    def vanish(self, queue: QueueRecord) -> None:
        """Its last message is gone."""
        queue.place = None
        queue.due = queue.shows_at = NEVER
        self.empty += bool(queue.number)
        self.change(queue)
        account = queue.account
        account.queues -= 1
        if not account.queues:
            account.place = None
            self.empty += 1
        self._change_account(account)

    def _change_account(self, account: AccountRecord) -> None:
        if not account.changed:
            account.changed = True
            self._changed_accounts.append(account)

    def doubtful(self, account: AccountRecord, now: float) -> Key | None:
        """A queue that must be settled before it is known whether the account is there; None where that is known."""
        if not account.queues:
            return None
        self.flush()
        alive = self._execute(
            "SELECT 1 FROM queues WHERE account = ?1 AND place IS NOT NULL AND due > ?2 UNION ALL "
            "SELECT 1 FROM queues WHERE account = ?1 AND place IS NOT NULL AND due IS NULL LIMIT 1",
            (account.number, now),
        ).fetchone()
        if alive is not None:
            return None
        return self._due(account, now)

    def expired(self, account: AccountRecord, now: float) -> Key | None:
        """A queue of the account in which something has expired and is still in the file; None where none is."""
        self.flush()
        return self._due(account, now)

    def _due(self, account: AccountRecord, now: float) -> Key | None:
        found = self._execute(
            "SELECT name FROM queues WHERE account = ? AND place IS NOT NULL AND due <= ? LIMIT 1",
            (account.number, now),
        ).fetchone()
        return None if found is None else (account.name, found[0])

    # Death

    def bury(self, queue: QueueRecord) -> None:
        """Have all its messages gone at one stroke; the space is freed later, by `Messages.purge`."""
        self.buried = True
        self.count(queue, -queue.messages, -queue.bytes)
        self._execute("INSERT INTO dead_queues VALUES (?)", (queue.number,))
        if queue.stored:
            self._execute("DELETE FROM queues WHERE number = ?", (queue.number,))
        queue.number = 0
        queue.stored = False
        queue.hidden = 0
        self._absent.append(queue)
        self.vanish(queue)

    def bury_accounts(self, names: Iterable[str]) -> None:
        """Have all their queues gone at one stroke."""
        self.flush()
        gone: set[str] = set()
        for name in names:
            account = self._account(name)
            if account.stored and name not in gone:
                self.buried = True
                self._execute("INSERT INTO dead_accounts VALUES (?)", (account.number,))
                self._execute("DELETE FROM accounts WHERE number = ?", (account.number,))
                if self._tally.on:
                    self._buried_names[account.number] = name
                gone.add(name)
        self._forget_accounts(gone)

    def bury_queues(self, limit: int) -> bool:
        """Go on with the queues of accounts that were buried; True where there was work."""
        row = self._execute("SELECT number FROM dead_accounts LIMIT 1").fetchone()
        if row is None:
            self._buried_names.clear()
            return False
        queues = self._execute(
            "SELECT number, name, messages FROM queues WHERE account = ? LIMIT ?", (*row, limit)
        ).fetchall()
        numbers = [(number,) for number, _, _ in queues]
        account = self._buried_names.get(row[0])
        if account is not None:
            for _, name, messages in queues:
                self._tally.of((account, name)).deleted += messages
        self._executemany("INSERT OR IGNORE INTO dead_queues VALUES (?)", numbers)
        self._executemany("DELETE FROM queues WHERE number = ?", numbers)
        if len(numbers) < limit:
            self._execute("DELETE FROM dead_accounts WHERE number = ?", row)
        return True

    def drop_empty(self, limit: int) -> bool:
        """Free the rows of what is no longer there; True where more may be left."""
        self.flush()
        queues = self._execute(
            "SELECT queues.number, accounts.name, queues.name FROM queues JOIN accounts ON accounts.number = account "
            "WHERE queues.place IS NULL LIMIT ?",
            (limit,),
        ).fetchall()
        self._executemany("DELETE FROM queues WHERE number = ?", [(number,) for number, *_ in queues])
        for _, *key in queues:
            self._queues.pop(tuple(key), None)
        accounts = []
        if len(queues) < limit:  # else it would look at many that still have queues
            accounts = self._execute(
                "SELECT number, name FROM accounts WHERE place IS NULL "
                "AND NOT EXISTS (SELECT 1 FROM queues WHERE account = accounts.number) LIMIT ?",
                (limit,),
            ).fetchall()
        self._executemany("DELETE FROM accounts WHERE number = ?", [(number,) for number, _ in accounts])
        self._forget_accounts({name for _, name in accounts})
        more = limit in (len(queues), len(accounts))
        self.empty = max(0, self.empty - len(queues) - len(accounts)) if more else 0
        return more

    def _forget_accounts(self, names: set[str]) -> None:
        """They have no row any more: those of these names are new ones."""
        if names:
            for name in names:
                self._accounts.pop(name, None)
            self._queues = {key: queue for key, queue in self._queues.items() if key[0] not in names}

    # Lists

    def queues(self, account: str, page: Page) -> Iterator[list[str]]:
        """The names of its queues, in pieces."""
        owner = self._account(account)
        after = self._place_of_queue(owner, page.marker)
        select = "SELECT place, name FROM queues WHERE account = ? AND place > ? ORDER BY place LIMIT ?"
        for rows in self._pages(select, (owner.number,), after, page.limit):
            yield [name for _, name in rows]

    def place_of_account(self, name: str) -> int:
        """Its place, or one before all where it isn't there."""
        place = self._account(name).place
        return -1 if place is None else place

    def accounts(self, left: int | None, after: int) -> Iterator[list[tuple[Any, ...]]]:
        """Places and names of up to so many accounts, in pieces."""
        return self._pages("SELECT place, name FROM accounts WHERE place > ? ORDER BY place LIMIT ?", (), after, left)

    def states(self, left: int | None, after: int) -> Iterator[list[tuple[int, AccountState]]]:
        """The same, each with what the account holds."""
        select = "SELECT place, name, queues, messages, bytes FROM accounts WHERE place > ? ORDER BY place LIMIT ?"
        for rows in self._pages(select, (), after, left):
            yield [(row[0], AccountState(*row[1:])) for row in rows]

    def _place_of_queue(self, owner: AccountRecord, marker: str | None) -> int:
        if marker is None:
            return -1
        place = self.find((owner.name, marker)).place
        return -1 if place is None else place

    def _pages(self, select: str, of: tuple[int, ...], after: int, left: int | None) -> Iterator[list[tuple[Any, ...]]]:
        while left is None or left > 0:
            limit = PIECE if left is None else min(left, PIECE)
            rows = self._execute(select, (*of, after, limit)).fetchall()
            yield rows
            if len(rows) < limit:
                return
            after = rows[-1][0]
            left = None if left is None else left - len(rows)

    def first_due(self) -> tuple[float, Key] | None:
        """The queue in which something expires first, and when."""
        self.flush()
        row = self._execute(
            "SELECT due, accounts.name, queues.name FROM queues JOIN accounts ON accounts.number = account "
            "WHERE due IS NOT NULL ORDER BY due LIMIT 1"
        ).fetchone()
        return None if row is None else (row[0], (row[1], row[2]))

    # Transactions

    def flush(self) -> None:
        """Write what has changed."""
        for account in self._changed_accounts:
            account.changed = False
            if account.stored:
                self._execute(
                    "UPDATE accounts SET place = ?, queues = ? WHERE number = ?",
                    (account.place, account.queues, account.number),
                )
            elif account.number:
                self._execute(
                    "INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?)",
                    (account.number, account.name, account.place, account.queues, account.messages, account.bytes),
                )
                account.stored = True
                account.counted = False
        self._changed_accounts.clear()
        totals: list[tuple[int, int, int]] = []
        for account in self._counted_accounts:
            if account.counted:
                account.counted = False
                totals.append((account.messages, account.bytes, account.number))
        self._counted_accounts.clear()
        if totals:
            self._executemany("UPDATE accounts SET messages = ?, bytes = ? WHERE number = ?", totals)
        counts: list[tuple[int, int, int, int]] = []
        moved: list[tuple[Any, ...]] = []
        for queue in self._changed:
            queue.changed = False
            due = None if queue.due == NEVER else queue.due
            place_and_due = (queue.place, queue.due)
            if queue.stored and queue.written == place_and_due:
                counts.append((queue.messages, queue.hidden, queue.bytes, queue.number))
                continue
            if queue.stored:
                moved.append((queue.place, queue.messages, queue.hidden, queue.bytes, due, queue.number))
            elif queue.number:
                self._execute(
                    "INSERT INTO queues VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        queue.number, queue.account.number, queue.name, queue.place,
                        queue.messages, queue.hidden, queue.bytes, due,
                    ),
                )  # fmt: skip
                queue.stored = True
            queue.written = place_and_due
        self._changed.clear()
        # Four indexes have the place or the due time: where neither changed, none of their pages has to be written.
        if counts:
            self._executemany("UPDATE queues SET messages = ?, hidden = ?, bytes = ? WHERE number = ?", counts)
        if moved:
            self._executemany(
                "UPDATE queues SET place = ?, messages = ?, hidden = ?, bytes = ?, due = ? WHERE number = ?", moved
            )

    def trim(self) -> None:
        """Between transactions: keep no more in memory than there may be."""
        if len(self._queues) > REMEMBERED or len(self._accounts) > REMEMBERED:
            self.forget()
        elif len(self._absent) > ABSENT or len(self._absent_accounts) > ABSENT:
            for queue in self._absent:
                if not queue.stored:
                    self._queues.pop((queue.account.name, queue.name), None)
            for account in self._absent_accounts:
                if not account.stored:
                    self._accounts.pop(account.name, None)
            self._absent.clear()
            self._absent_accounts.clear()

    def forget(self) -> None:
        """What is in memory may not be what is in the file: read it again."""
        self._queues.clear()
        self._accounts.clear()
        self._absent.clear()
        self._absent_accounts.clear()
        self._changed.clear()
        self._changed_accounts.clear()
        self._counted_accounts.clear()
