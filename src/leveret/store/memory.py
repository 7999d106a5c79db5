"""Everything in this process's memory. Keeps one rule: an answer is ready at once, and nothing is told under a lock.

Locks, in the order in which they are taken; none is held across a call to the outside:

* the directory's (`_directory_lock`), to make, move or remove a queue or an account; to look one up takes none
* a queue's (`_Queue.lock`), for each compound step on its messages
* the agenda's own
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final

from leveret.model import NEVER, Change, Draft, Filters, Message, Page, Put, Want
from leveret.store.agenda import Agenda
from leveret.store.base import Signals, Store
from leveret.store.records import Records
from leveret.store.roll import Entry, Roll

SWEEP: Final = 1200  # slots and nodes to look at in one call: about 1,000 messages are freed


class _Queue(Entry):
    __slots__ = ("account", "due_at", "gone", "lock", "records")

    def __init__(self, account: _Account, name: str, next_sequence: int) -> None:
        super().__init__(name)
        self.account = account
        self.lock = Lock()
        self.records = Records(next_sequence)
        self.gone = False  # off the directory: nothing may be stored here any more
        self.due_at = NEVER


class _Account(Entry):
    __slots__ = ("queues", "witness")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.queues: Roll[_Queue] = Roll()
        self.witness: _Queue | None = None  # the queue that had messages when last looked for one


class _Silence:
    """The signals of a store that isn't open."""

    def visible(self, account: str, queue: str, at: float) -> None: ...

    def due(self, at: float) -> None: ...


class MemoryStore(Store):
    """Messages that live no longer than the process."""

    def __init__(self) -> None:
        self._signals: Signals = _Silence()
        self._accounts: Roll[_Account] = Roll()
        self._directory_lock = Lock()
        self._agenda: Agenda[_Queue] = Agenda()
        self._next_sequence = 0  # of a queue to come: more than any that was

    def open(self, signals: Signals, now: float) -> None:
        self._signals = signals
        # From the clock, so that a place in a queue that was read before a restart is not taken for a later one.
        self._next_sequence = int(now * 1_000_000)

    def close(self) -> None:
        self._signals = _Silence()

    # Accounts and queues

    def list_accounts(self, page: Page, now: float) -> list[str]:
        with self._directory_lock:
            return [account.name for account in self._accounts_locked(page, now)]

    def delete_accounts(self, page: Page, now: float) -> list[str]:
        removed: list[Records] = []
        names: list[str] = []
        with self._directory_lock:
            for account in list(self._accounts_locked(page, now)):
                names.append(account.name)
                removed += [self._remove_locked(queue) for queue in account.queues.after(None)]
        _free(removed)
        return names

    def list_queues(self, account: str, page: Page, now: float) -> list[str]:
        with self._directory_lock:
            return [queue.name for queue in self._queues_locked(account, page, now)]

    def delete_queues(self, account: str, page: Page, now: float) -> list[str]:
        removed: list[Records] = []
        names: list[str] = []
        with self._directory_lock:
            for queue in list(self._queues_locked(account, page, now)):
                names.append(queue.name)
                removed.append(self._remove_locked(queue))
        _free(removed)
        return names

    def _accounts_locked(self, page: Page, now: float) -> Iterator[_Account]:
        left = page.limit
        for account in self._accounts.after(self._alive_marker_locked(page.marker, now)):
            if left == 0:
                return
            if _alive_locked(account, now):
                yield account
                left = None if left is None else left - 1

    def _alive_marker_locked(self, marker: str | None, now: float) -> str | None:
        account = None if marker is None else self._accounts.get(marker)
        return marker if account is not None and _alive_locked(account, now) else None

    def _queues_locked(self, name: str, page: Page, now: float) -> Iterator[_Queue]:
        account = self._accounts.get(name)
        if account is None:
            return
        marked = None if page.marker is None else account.queues.get(page.marker)
        left = page.limit
        for queue in account.queues.after(page.marker if marked is not None and _has_messages(marked, now) else None):
            if left == 0:
                return
            if _has_messages(queue, now):
                yield queue
                left = None if left is None else left - 1

    def _remove_locked(self, queue: _Queue) -> Records:
        """Take a queue off the directory, and its account with its last; answers the messages that it had."""
        account = queue.account
        with queue.lock:
            queue.gone = True
            records = queue.records
            self._next_sequence = max(self._next_sequence, records.next_sequence)
            queue.records = Records()
        self._agenda.drop(queue)
        account.queues.strike(queue)
        if account.witness is queue:
            account.witness = None
        if not account.queues:
            self._accounts.strike(account)
        return records

    def _retire(self, queue: _Queue) -> None:
        """Remove a queue that was seen without messages, unless it has some again."""
        with self._directory_lock:
            # From here on nobody stores into it: one who found it not empty, by a clock that is behind, sees that it
            # is gone.
            with queue.lock:
                empty = not queue.gone and not queue.records.by_id
                queue.gone = queue.gone or empty
            if empty:
                self._remove_locked(queue)

    def _find(self, account: str, queue: str) -> _Queue | None:
        there = self._accounts.get(account)
        return None if there is None else there.queues.get(queue)

    # Messages

    def put(self, account: str, queue: str, drafts: Sequence[Draft], now: float) -> list[Put]:
        there = self._accounts.get(account)
        found = None if there is None else there.queues.get(queue)
        done: list[Put] | None = None
        if found is not None:
            with found.lock:
                records = found.records
                if (now < records.alive_until or records.alive(now)) and not found.gone:
                    done = records.put(drafts, now)
        if done is None or found is None:
            if not drafts:
                return []
            with self._directory_lock:
                found = self._appear_locked(account, queue, now)
                with found.lock:
                    done = found.records.put(drafts, now)
        signals = self._signals
        for draft in drafts:
            if draft.ttl and now + draft.ttl < found.due_at:
                self._expect(found, now + draft.ttl)
            signals.visible(account, queue, now + draft.hide if draft.hide else now)
        return done

    def _appear_locked(self, account: str, queue: str, now: float) -> _Queue:
        """The queue, to store into. One without messages, or none but expired ones, is new, and so at the end."""
        owner = self._accounts.get(account)
        if owner is None:
            owner = _Account(account)
            self._accounts.enter(owner)
        elif not _alive_locked(owner, now):
            self._accounts.move_to_end(owner)
        found = owner.queues.get(queue)
        if found is None:
            found = _Queue(owner, queue, self._next_sequence)
            owner.queues.enter(found)
        elif not _has_messages(found, now):
            owner.queues.move_to_end(found)
        owner.witness = found
        return found

    def get(
        self, account: str, queue: str, ids: Sequence[str], now: float, want: Want = Want.ALL
    ) -> list[Message | None]:
        there = self._accounts.get(account)
        found = None if there is None else there.queues.get(queue)
        if found is None:
            return [None] * len(ids)
        with found.lock:
            return found.records.get(ids, now)

    def update(
        self, account: str, queue: str, ids: Sequence[str], change: Change, now: float, want: Want = Want.ALL
    ) -> list[Message | None]:
        found = self._find(account, queue)
        if found is None:
            return [None] * len(ids)
        with found.lock:
            changed = found.records.update(ids, change, now)
            expires = found.records.expires_min
        if expires < found.due_at:
            self._expect(found, expires)
        if change.hide is not None:
            for message in changed:
                if message is not None:
                    self._signals.visible(account, queue, message.visible_at or now)
        return changed

    def delete(
        self, account: str, queue: str, ids: Sequence[str], now: float, want: Want = Want.ALL
    ) -> list[Message | None]:
        there = self._accounts.get(account)
        found = None if there is None else there.queues.get(queue)
        if found is None:
            return [None] * len(ids)
        with found.lock:
            records = found.records
            deleted = records.delete(ids, now)
        if not records.by_id:
            self._retire(found)
        return deleted

    def select(self, account: str, queue: str, filters: Filters, now: float, want: Want = Want.ALL) -> list[Message]:
        found = self._find(account, queue)
        if found is None:
            return []
        with found.lock:
            return found.records.select(filters, now)

    def update_matching(
        self, account: str, queue: str, filters: Filters, change: Change, now: float, want: Want = Want.ALL
    ) -> list[Message]:
        there = self._accounts.get(account)
        found = None if there is None else there.queues.get(queue)
        if found is None:
            return []
        with found.lock:
            changed = found.records.update_matching(filters, change, now)
            expires = NEVER if change.ttl is None else found.records.expires_min
        if expires < found.due_at:
            self._expect(found, expires)
        if change.hide is not None:
            signals = self._signals
            for message in changed:
                signals.visible(account, queue, message.visible_at or now)
        return changed

    def delete_matching(
        self, account: str, queue: str, filters: Filters, now: float, want: Want = Want.ALL
    ) -> list[Message]:
        found = self._find(account, queue)
        if found is None:
            return []
        with found.lock:
            records = found.records
            deleted = records.delete_matching(filters, now)
        if not records.by_id:
            self._retire(found)
        return deleted

    def next_visible(self, account: str, queue: str, filters: Filters, now: float) -> float | None:
        found = self._find(account, queue)
        if found is None:
            return None
        with found.lock:
            return found.records.next_visible(filters, now)

    # Expiry

    def _expect(self, queue: _Queue, at: float) -> None:
        earlier = self._agenda.add(queue, at)
        if queue.gone:  # it was removed meanwhile, and is not to be kept by the agenda
            self._agenda.drop(queue)
        elif earlier:
            self._signals.due(at)

    def sweep(self, now: float) -> float | None:
        budget = SWEEP
        while budget > 0:
            queue = self._agenda.take(now)
            if queue is None:
                break
            with queue.lock:
                records = queue.records
                # To look at a queue costs something too, so that a call ends where there are many with few messages.
                budget = records.pop_expired(now, budget) - 10
                expires = records.expires_min
            if expires < queue.due_at:
                self._agenda.add(queue, expires)
            if not records.by_id:
                self._retire(queue)
        return self._agenda.tell()


def _has_messages(queue: _Queue, now: float) -> bool:
    with queue.lock:
        return queue.records.alive(now)


def _alive_locked(account: _Account, now: float) -> bool:
    """Whether any queue of the account has messages, by one look in nearly every case."""
    if account.witness is not None and _has_messages(account.witness, now):
        return True
    account.witness = next((queue for queue in account.queues.after(None) if _has_messages(queue, now)), None)
    return account.witness is not None


def _free(removed: Sequence[Records]) -> None:
    for records in removed:
        records.clear()
