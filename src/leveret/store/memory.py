"""Everything in this process's memory. Keeps one rule: an answer is ready at once, and nothing is told under a lock.

Locks, in the order in which they are taken; none is held across a call to the outside:

* the directory's (`_directory_lock`), to make, move or remove a queue or an account; to look one up takes none
* a queue's (`_Queue.lock`), for each compound step on its messages; two of them only by who has the directory's, for a
  message that moves from one queue to another
* the agenda's own
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Final, TypeAlias

from leveret.model import (
    HELD,
    MAX_SECONDS,
    NEVER,
    NO_POLICY,
    Change,
    Draft,
    Filters,
    Message,
    Page,
    Policy,
    Put,
    QueueState,
    Want,
)
from leveret.store.agenda import Agenda
from leveret.store.base import Signals, Store
from leveret.store.dead import dead_letter
from leveret.store.records import Records
from leveret.store.roll import Entry, Roll

Key: TypeAlias = tuple[str, str]  # account and queue

PIECE: Final = 500  # dead letters that are moved in one go; between two such, others get the locks
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

    def dead(self, account: str, queue: str, moved: int, dropped: int) -> None: ...


class MemoryStore(Store):
    """Messages that live no longer than the process."""

    def __init__(self) -> None:
        self._signals: Signals = _Silence()
        self._accounts: Roll[_Account] = Roll()
        self._directory_lock = Lock()
        self._agenda: Agenda[_Queue] = Agenda()
        self._next_sequence = 0  # of a queue to come: more than any that was
        self._policies: dict[Key, Policy] = {}  # those that are set; changed under the directory's lock
        self._dropped: dict[Key, int] = {}  # of queues with a policy

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

    def describe_queues(self, account: str, page: Page, now: float) -> list[QueueState]:
        with self._directory_lock:
            queues = list(self._queues_locked(account, page, now))
        return self._states(queues, now)

    def find_queues(self, account: str, names: Sequence[str], now: float) -> list[QueueState]:
        found = [self._find(account, name) for name in names]
        return self._states([queue for queue in found if queue is not None], now)

    def _states(self, queues: Sequence[_Queue], now: float) -> list[QueueState]:
        states: list[QueueState] = []
        for queue in queues:
            key = (queue.account.name, queue.name)
            policy = self._policies.get(key, NO_POLICY)
            with queue.lock:
                records = queue.records
                records.purge(now)
                count = len(records.by_id)
                if count:
                    hidden, size, oldest = records.hidden(now), records.bytes, records.oldest(now)
                    dropped = self._dropped.get(key, 0)
                    states.append(QueueState(queue.name, count, hidden, size, oldest, policy, dropped))
            if not count:
                self._retire(queue)
        return states

    def change_policy(
        self, account: str, queue: str, change: Mapping[str, int | str | None] | None, now: float
    ) -> Policy:
        key = (account, queue)
        with self._directory_lock:
            policy = NO_POLICY if change is None else self._policies.get(key, NO_POLICY).changed(change)
            if policy:
                self._policies[key] = policy
            else:
                self._policies.pop(key, None)
                self._dropped.pop(key, None)
        return policy

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
        policy = self._policies.get((account, queue)) if self._policies else None
        if policy is not None:
            drafts = [policy.settle(draft) for draft in drafts]
        limits = policy if policy is not None and policy.limited else None
        there = self._accounts.get(account)
        found = None if there is None else there.queues.get(queue)
        done: list[Put] | None = None
        if found is not None:
            with found.lock:
                records = found.records
                if (now < records.alive_until or records.alive(now)) and not found.gone:
                    if limits is not None:
                        records.make_room(drafts, limits, now)
                    done = records.put(drafts, now)
        if done is None or found is None:
            if not drafts:
                return []
            if limits is not None:
                Records().make_room(drafts, limits, now)  # it has nothing: what fits at all fits now
            with self._directory_lock:
                found = self._appear_locked(account, queue, now)
                with found.lock:
                    if limits is not None:  # another may have put into it meanwhile
                        found.records.make_room(drafts, limits, now)
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
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        change: Change,
        now: float,
        want: Want = Want.ALL,
        receipts: Sequence[str] | None = None,
    ) -> list[Message | None]:
        found = self._find(account, queue)
        if found is None:
            return [None] * len(ids)
        with found.lock:
            changed = found.records.update(ids, change, now, receipts)
            expires = found.records.expires_min
        if expires < found.due_at:
            self._expect(found, expires)
        if change.hide is not None:
            for message in changed:
                if message is not None and message is not HELD:
                    self._signals.visible(account, queue, message.visible_at or now)
        return changed

    def delete(
        self,
        account: str,
        queue: str,
        ids: Sequence[str],
        now: float,
        want: Want = Want.ALL,
        receipts: Sequence[str] | None = None,
    ) -> list[Message | None]:
        there = self._accounts.get(account)
        found = None if there is None else there.queues.get(queue)
        if found is None:
            return [None] * len(ids)
        with found.lock:
            records = found.records
            deleted = records.delete(ids, now, receipts)
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
        most = self._most_deliveries(account, queue) if change.hide and self._policies else None
        with found.lock:
            worn_out = most is not None and found.records.worn_out(filters, most, now)
            changed = [] if worn_out else found.records.update_matching(filters, change, now)
            expires = NEVER if change.ttl is None else found.records.expires_min
        if worn_out:
            changed, expires = self._claim_past_dead(found, filters, change, now)
        if expires < found.due_at:
            self._expect(found, expires)
        if change.hide is not None:
            signals = self._signals
            for message in changed:
                signals.visible(account, queue, message.visible_at or now)
        return changed

    def _most_deliveries(self, account: str, queue: str) -> int | None:
        return self._policies.get((account, queue), NO_POLICY).max_deliveries

    def _claim_past_dead(
        self, found: _Queue, filters: Filters, change: Change, now: float
    ) -> tuple[list[Message], float]:
        """Claim, and move what was delivered too often out of the way: a piece at a time, each at one stroke."""
        while True:
            claimed = self._claim_or_bury(found, filters, change, now)
            if claimed is not None:
                return claimed

    def _claim_or_bury(
        self, found: _Queue, filters: Filters, change: Change, now: float
    ) -> tuple[list[Message], float] | None:
        """A piece of that; None where there may be more to move."""
        account, name = found.account.name, found.name
        policy = self._policies.get((account, name), NO_POLICY)
        most = policy.max_deliveries or MAX_SECONDS
        letters: list[Message] = []
        target: _Queue | None = None
        with self._directory_lock:
            if policy.dead_letter is not None and policy.dead_letter != name:
                target = self._appear_locked(account, policy.dead_letter, now)
            with found.lock:
                while len(letters) < PIECE and (
                    taken := found.records.take_worn_out(filters, most, now, PIECE - len(letters))
                ):
                    letters += taken
                more = len(letters) == PIECE
                changed = [] if more else found.records.update_matching(filters, change, now)
                expires = NEVER if change.ttl is None else found.records.expires_min
                if target is not None:
                    with target.lock:
                        due = self._bury(target, letters, name, now)
            if target is None:
                key = (account, name)
                self._dropped[key] = self._dropped.get(key, 0) + len(letters)
        for queue in (found, target):
            if queue is not None and not queue.records.by_id:
                self._retire(queue)
        if target is not None and letters:
            if due < target.due_at:
                self._expect(target, due)
            self._signals.visible(account, target.name, now)
        if letters:
            moved = 0 if target is None else len(letters)
            self._signals.dead(account, name, moved, len(letters) - moved)
        return None if more else (changed, expires)

    def _bury(self, target: _Queue, letters: Sequence[Message], queue: str, now: float) -> float:
        """Put dead letters into the queue `target`, whose lock is held; answers when the first message expires."""
        records = target.records
        records.purge(now)
        policy = self._policies.get((target.account.name, target.name), NO_POLICY)
        for letter in letters:
            id, expires, meta = dead_letter(letter, queue, policy, records.by_id.__contains__, now)
            records.bury(id, letter.body, letter.created, expires, meta)
        return records.expires_min

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
