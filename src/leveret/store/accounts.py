"""Which accounts and queues there are in memory, what each holds, and what is due. Knows no operation on messages.

Locks, in the order in which they are taken; none is held across a call to the outside:

* the directory's (`_directory_lock`), to make, move or remove a queue or an account; to look one up takes none
* a queue's (`Queue.lock`), for each compound step on its messages; two of them only by who has the directory's, for a
  message that moves from one queue to another
* an account's (`Account.lock`), for its totals; an agenda's own; the ledger's own

Totals of an account follow its queues from the moment on when somebody first asks for them. Till then no put pays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Final

from leveret.model import NEVER, Activity, Draft, Page, Policy, Quota
from leveret.store.agenda import Agenda
from leveret.store.base import Signals
from leveret.store.ledger import Key, Ledger
from leveret.store.records import Records
from leveret.store.roll import Entry, Roll

SWEEP: Final = 1200  # slots and nodes to look at in one call: about 1,000 messages are freed
_MOST_SEEN: Final = 4096  # queues that a thread remembers
_LOOK: Final = 10  # what it costs to look at a queue or an account, in slots


class Queue(Entry):
    __slots__ = ("account", "bytes", "due_at", "gone", "lock", "messages", "policy", "records")

    def __init__(self, account: Account, name: str, next_sequence: int, policy: Policy | None) -> None:
        super().__init__(name)
        self.account = account
        self.lock = Lock()
        self.records = Records(next_sequence)
        self.gone = False  # off the directory: nothing may be stored here any more
        self.policy = policy  # None where none is set; changed under the directory's lock
        self.due_at = NEVER
        self.messages = 0  # of it, in the totals of its account
        self.bytes = 0


class Account(Entry):
    __slots__ = (
        "agenda", "bytes", "due_at", "filled", "followed", "gone", "lock", "messages", "queues", "total", "witness",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.queues: Roll[Queue] = Roll()
        self.witness: Queue | None = None  # the queue that had messages when last looked for one
        self.agenda: Agenda[Queue] = Agenda()
        self.due_at = NEVER
        self.gone = False
        self.lock = Lock()
        self.followed = False  # who changes a queue has the totals follow
        self.total = False  # all queues are in them
        # The totals: expired messages that still take space are among them.
        self.filled = 0  # queues with messages
        self.messages = 0
        self.bytes = 0

    def follow_locked(self, queue: Queue) -> None:
        """Have the totals follow what the queue holds; its lock is held."""
        with self.lock:
            self._follow(queue)

    def follow_both_locked(self, one: Queue, other: Queue) -> None:
        """The same for two at one stroke: what moves between them is never missed."""
        with self.lock:
            self._follow(one)
            self._follow(other)

    def _follow(self, queue: Queue) -> None:
        records = queue.records
        messages = len(records.by_id)
        size = records.bytes
        if not messages or not queue.messages:
            self.filled += (messages > 0) - (queue.messages > 0)
        self.messages += messages - queue.messages
        self.bytes += size - queue.bytes
        queue.messages = messages
        queue.bytes = size

    def admit_locked(self, queue: Queue, drafts: Sequence[Draft], quota: Quota, now: float) -> bool:
        """Whether the quota has room for the drafts, in a queue whose lock is held; then they are in the totals, and
        are to be put before the lock is given back."""
        records = queue.records
        messages, size = records.growth(drafts, now)
        if len(records.by_id) != queue.messages or records.bytes != queue.bytes:
            self.follow_locked(queue)  # some had expired
        with self.lock:
            # What makes an account that is over its quota no fuller is always possible.
            if messages > 0 and quota.messages is not None and self.messages + messages > quota.messages:
                return False
            if size > 0 and quota.bytes is not None and self.bytes + size > quota.bytes:
                return False
            appears = messages > 0 and not queue.messages
            if appears and quota.queues is not None and self.filled >= quota.queues:
                return False
            self.filled += appears
            self.messages += messages
            self.bytes += size
        queue.messages += messages
        queue.bytes += size
        return True


class Silence:
    """The signals of a store that isn't open."""

    def visible(self, account: str, queue: str, at: float) -> None: ...

    def due(self, at: float) -> None: ...

    def dead(self, account: str, queue: str, moved: int, dropped: int) -> None: ...


class Shared:
    """What changes, and is the same for all twins of a store. Guarded by the directory's lock."""

    __slots__ = ("counting", "next_sequence")

    def __init__(self) -> None:
        self.next_sequence = 0  # of a queue to come: more than any that was
        self.counting = False  # whether what happens is counted


class Accounts:
    """The directory of a store in memory."""

    __slots__ = ("_accounts", "_agenda", "_directory_lock", "_ledger", "_policies", "_seen", "_shared", "_signals")

    def __init__(self) -> None:
        self._signals: Signals = Silence()
        self._accounts: Roll[Account] = Roll()
        self._directory_lock = Lock()
        self._agenda: Agenda[Account] = Agenda()
        self._ledger = Ledger()
        self._policies: dict[Key, Policy] = {}  # those that are set; changed under the directory's lock
        self._shared = Shared()
        self._seen: dict[Key, Queue] = {}  # those that this one has found, some of which may be gone

    # Which there are

    def _accounts_locked(self, page: Page, now: float) -> Iterator[Account]:
        left = page.limit
        for account in self._accounts.after(self._alive_marker_locked(page.marker, now)):
            if left == 0:
                return
            if _alive_locked(account, now):
                yield account
                left = None if left is None else left - 1

    def _alive_marker_locked(self, marker: str | None, now: float) -> str | None:
        account = None if marker is None else self._accounts.find(marker)
        return marker if account is not None and _alive_locked(account, now) else None

    def _queues_locked(self, name: str, page: Page, now: float) -> Iterator[Queue]:
        account = self._accounts.find(name)
        if account is None:
            return
        marked = None if page.marker is None else account.queues.find(page.marker)
        left = page.limit
        for queue in account.queues.after(page.marker if marked is not None and _has_messages(marked, now) else None):
            if left == 0:
                return
            if _has_messages(queue, now):
                yield queue
                left = None if left is None else left - 1

    def _find(self, account: str, queue: str) -> Queue | None:
        there = self._accounts.find(account)
        return None if there is None else there.queues.find(queue)

    def _look(self, account: str, queue: str) -> Queue | None:
        """The same, first among those that were seen: on a free-threaded Python, to find it among all costs threads
        more than all that they do with it."""
        try:
            found = self._seen[account, queue]
        except KeyError:
            return self._meet(account, queue)
        return self._meet(account, queue) if found.gone else found

    def _meet(self, account: str, queue: str) -> Queue | None:
        """The same among all; it is seen then."""
        found = self._find(account, queue)
        if found is None:
            self._seen.pop((account, queue), None)  # what is gone is not to be kept
            return None
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen[account, queue] = found
        return found

    # They come and go

    def _appear_locked(self, account: str, queue: str, now: float) -> Queue:
        """The queue, to store into. One without messages, or none but expired ones, is new, and so at the end."""
        owner = self._accounts.find(account)
        if owner is None:
            owner = Account(account)
            self._accounts.enter(owner)
        elif not _alive_locked(owner, now):
            self._accounts.move_to_end(owner)
        found = owner.queues.find(queue)
        if found is None:
            found = Queue(owner, queue, self._shared.next_sequence, self._policies.get((account, queue)))
            if self._shared.counting:
                found.records.activity = self._ledger.open((account, queue))
            owner.queues.enter(found)
        elif not _has_messages(found, now):
            owner.queues.move_to_end(found)
        owner.witness = found
        return found

    def _remove_locked(self, queue: Queue) -> tuple[Key, Records]:
        """Take a queue off the directory, and its account with its last; answers its name and the messages it had."""
        account = queue.account
        key = (account.name, queue.name)
        with queue.lock:
            queue.gone = True
            records = queue.records
            self._shared.next_sequence = max(self._shared.next_sequence, records.next_sequence)
            queue.records = Records()
            if account.followed:
                account.follow_locked(queue)
            if records.activity is not None:
                self._ledger.close(key)
        account.agenda.drop(queue)
        account.queues.strike(queue)
        if account.witness is queue:
            account.witness = None
        if not account.queues:
            account.gone = True
            self._accounts.strike(account)
            self._agenda.drop(account)
        return key, records

    def _retire(self, queue: Queue) -> None:
        """Remove a queue that was seen without messages, unless it has some again."""
        with self._directory_lock:
            # From here on nobody stores into it: one who found it not empty, by a clock that is behind, sees that it
            # is gone.
            with queue.lock:
                empty = not queue.gone and not queue.records.by_id
                queue.gone = queue.gone or empty
            if empty:
                self._remove_locked(queue)

    def _free(self, removed: Sequence[tuple[Key, Records]], now: float) -> None:
        """Let go of the messages of queues that were removed."""
        for key, records in removed:
            if records.activity is not None:
                # What was counted in is closed: another queue of that name may be there already.
                records.activity = counted = Activity()
                records.purge(now)
                counted.deleted += len(records.by_id)
                self._ledger.add([(key, counted)])
            records.clear()

    # What they hold

    def _total(self, account: Account) -> None:
        """See that the account has its totals: all queues are counted, once."""
        with self._directory_lock:
            self._total_locked(account)

    @staticmethod
    def _total_locked(account: Account) -> None:
        if account.total:
            return
        account.followed = True  # from here on, who changes a queue that has not had its turn counts all of it
        for queue in account.queues.after(None):
            with queue.lock:
                account.follow_locked(queue)
        account.total = True

    def count_activity(self, on: bool) -> None:
        with self._directory_lock:
            self._shared.counting = on
            for account in self._accounts.after(None):
                for queue in account.queues.after(None):
                    key = (account.name, queue.name)
                    with queue.lock:
                        if on and queue.records.activity is None:
                            queue.records.activity = self._ledger.open(key)
                        elif not on and queue.records.activity is not None:
                            queue.records.activity = None
                            self._ledger.close(key)

    def activity(self) -> list[tuple[str, str, Activity]]:
        return self._ledger.read()

    # Expiry

    def _expect(self, queue: Queue, at: float) -> None:
        account = queue.account
        earlier = account.agenda.add(queue, at)
        if queue.gone:  # it was removed meanwhile, and is not to be kept by the agenda
            account.agenda.drop(queue)
        elif earlier:
            self._expect_account(account, at)

    def _expect_account(self, account: Account, at: float) -> None:
        earlier = self._agenda.add(account, at)
        if account.gone:
            self._agenda.drop(account)
        elif earlier:
            self._signals.due(at)

    def _expire(self, queue: Queue, now: float, budget: int) -> int:
        """Free a piece of what expired in a queue that is due; answers what is left of `budget`."""
        account = queue.account
        with queue.lock:
            records = queue.records
            budget = records.pop_expired(now, budget)
            expires = records.expires_min
            if account.followed:
                account.follow_locked(queue)
            # It stays on the agenda until then, so that who looks there at the same time waits for what is freed here.
            earlier = account.agenda.move(queue, expires)
        if earlier:
            self._expect_account(account, expires)
        if not records.by_id:
            self._retire(queue)
        return budget - _LOOK  # that a call ends where there are many queues with few messages

    def _expire_all(self, account: Account, now: float) -> None:
        """Free what expired in an account, by pieces between which others get the locks."""
        while (queue := account.agenda.first(now)) is not None:
            self._expire(queue, now, SWEEP)

    def sweep(self, now: float) -> float | None:
        budget = SWEEP
        while budget > 0:
            account = self._agenda.take(now)
            if account is None:
                break
            budget -= _LOOK
            while budget > 0 and (queue := account.agenda.first(now)) is not None:
                budget = self._expire(queue, now, budget)
            expires = account.agenda.tell()
            if expires is not None:
                self._agenda.add(account, expires)
                if account.gone:
                    self._agenda.drop(account)
        return self._agenda.tell()


def _has_messages(queue: Queue, now: float) -> bool:
    with queue.lock:
        return queue.records.alive(now)


def _alive_locked(account: Account, now: float) -> bool:
    """Whether any queue of the account has messages, by one look in nearly every case."""
    if account.witness is not None and _has_messages(account.witness, now):
        return True
    account.witness = next((queue for queue in account.queues.after(None) if _has_messages(queue, now)), None)
    return account.witness is not None
