"""Everything in this process's memory. Keeps one rule: an answer is ready at once, and nothing is told under a lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Final

from leveret.model import (
    HELD,
    MAX_SECONDS,
    NEVER,
    NO_POLICY,
    AccountState,
    Change,
    Draft,
    Filters,
    Message,
    Outcome,
    Page,
    Policy,
    QueueState,
    Quota,
    Want,
    Wanted,
)
from leveret.store.accounts import Accounts, Queue, Silence
from leveret.store.base import Signals, Store, account_full
from leveret.store.dead import dead_letter
from leveret.store.ledger import Key
from leveret.store.records import Records

PIECE: Final = 500  # dead letters that are moved in one go; between two such, others get the locks


class MemoryStore(Accounts, Store):
    """Messages that live no longer than the process."""

    __slots__ = ("_dropped",)

    def __init__(self) -> None:
        super().__init__()
        self._dropped: dict[Key, int] = {}  # of queues with a policy

    def open(self, signals: Signals, now: float) -> None:
        self._signals = signals
        # From the clock, so that a place in a queue that was read before a restart is not taken for a later one.
        self._shared.next_sequence = int(now * 1_000_000)

    def twin(self, signals: Signals) -> MemoryStore:
        twin = copy(self)
        twin._signals = signals
        twin._seen = {}
        return twin

    def close(self) -> None:
        self._signals = Silence()

    # Accounts and queues

    def list_accounts(self, page: Page, now: float) -> list[str]:
        with self._directory_lock:
            return [account.name for account in self._accounts_locked(page, now)]

    def delete_accounts(self, page: Page, now: float) -> list[str]:
        removed: list[tuple[Key, Records]] = []
        names: list[str] = []
        with self._directory_lock:
            for account in self._accounts_locked(Page(marker=page.marker), now):
                if len(names) == page.limit:
                    break
                taken = [self._remove_locked(queue) for queue in account.queues.after(None)]
                removed += taken
                if any(records.alive(now) for _, records in taken):  # else others took the last messages meanwhile
                    names.append(account.name)
        self._free(removed, now)
        return names

    def describe_accounts(self, page: Page, now: float) -> list[AccountState]:
        with self._directory_lock:
            accounts = list(self._accounts_locked(page, now))
        states: list[AccountState] = []
        for account in accounts:
            if not account.total:
                self._total(account)
            self._expire_all(account, now)
            # The directory's lock as well: who deletes a whole account holds it from its first queue to its last.
            with self._directory_lock, account.lock:
                state = AccountState(account.name, account.filled, account.messages, account.bytes)
            if state.messages:
                states.append(state)
        return states

    def list_queues(self, account: str, page: Page, now: float) -> list[str]:
        with self._directory_lock:
            return [queue.name for queue in self._queues_locked(account, page, now)]

    def delete_queues(self, account: str, page: Page, now: float) -> list[str]:
        removed: list[tuple[Key, Records]] = []
        names: list[str] = []
        with self._directory_lock:
            for queue in self._queues_locked(account, Page(marker=page.marker), now):
                if len(names) == page.limit:
                    break
                key, records = self._remove_locked(queue)
                removed.append((key, records))
                if records.alive(now):  # else others took the last messages meanwhile
                    names.append(queue.name)
        self._free(removed, now)
        return names

    def describe_queues(self, account: str, page: Page, now: float) -> list[QueueState]:
        with self._directory_lock:
            queues = list(self._queues_locked(account, page, now))
        return self._states(queues, now)

    def find_queues(self, account: str, names: Sequence[str], now: float) -> list[QueueState]:
        found = [self._find(account, name) for name in names]
        return self._states([queue for queue in found if queue is not None], now)

    def _states(self, queues: Sequence[Queue], now: float) -> list[QueueState]:
        states: list[QueueState] = []
        for queue in queues:
            key = (queue.account.name, queue.name)
            policy = self._policies.get(key, NO_POLICY)
            with queue.lock:
                records = queue.records
                records.purge(now)
                if queue.account.followed:
                    queue.account.follow_locked(queue)
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
            found = self._find(account, queue)
            if policy:
                self._policies[key] = policy
            else:
                self._policies.pop(key, None)
                self._dropped.pop(key, None)
            if found is not None:
                found.policy = policy or None
        return policy

    # Messages

    def put(
        self, account: str, queue: str, drafts: Sequence[Draft], now: float, quota: Quota | None = None
    ) -> list[Outcome]:
        done = None
        limits: Policy | None = None
        found = self._look(account, queue)
        policy = self._policies.get((account, queue)) if found is None else found.policy
        if policy is not None:
            drafts = [policy.settle(draft) for draft in drafts]
            limits = policy if policy.limited else None
        if found is not None:
            there = found.account
            with found.lock:
                records = found.records
                if (now < records.alive_until or records.alive(now)) and not found.gone:
                    if limits is not None:
                        records.make_room(drafts, limits, now)
                    if quota is None:
                        done = records.put(drafts, now)
                        if there.followed:
                            there.follow_locked(found)
                    elif there.total and there.admit_locked(found, drafts, quota, now):
                        done = records.put(drafts, now)
        if done is None and quota is not None:
            found, done = self._put_within(quota, account, queue, drafts, limits, now)
        elif done is None:
            found, done = self._put_anew(None, account, queue, drafts, limits, now)
        if found is not None:
            signals = self._signals
            for draft in drafts:
                if draft.ttl and now + draft.ttl < found.due_at:
                    self._expect(found, now + draft.ttl)
                signals.visible(account, queue, now + draft.hide if draft.hide else now)
        return done or []

    def _put_within(
        self, quota: Quota, account: str, queue: str, drafts: Sequence[Draft], limits: Policy | None, now: float
    ) -> tuple[Queue | None, list[Outcome]]:
        """Put where the quota has room; `AccountFull` where it has none, even after what expired is freed."""
        for last in (False, True):
            there = self._accounts.find(account)
            done: list[Outcome] | None = None
            found: Queue | None = None
            if there is not None:
                if not there.total:
                    self._total(there)
                found = there.queues.find(queue)
            alive = False
            if found is not None:
                with found.lock:
                    records = found.records
                    alive = (now < records.alive_until or records.alive(now)) and not found.gone
                    if alive:
                        if limits is not None:
                            records.make_room(drafts, limits, now)
                        if found.account.admit_locked(found, drafts, quota, now):
                            done = records.put(drafts, now)
            if not alive:
                if there is not None and found is not None:
                    self._expire_all(there, now)  # whether the queue is a new one is to be seen
                found, done = self._put_anew(quota, account, queue, drafts, limits, now)
            if done is not None:
                return found, done
            if there is not None and not last:
                self._expire_all(there, now)
        raise account_full(quota)

    def _put_anew(
        self, quota: Quota | None, account: str, queue: str, drafts: Sequence[Draft], limits: Policy | None, now: float
    ) -> tuple[Queue | None, list[Outcome] | None]:
        """Put into a queue that was not there; no answers where the quota has no room."""
        if not drafts:
            return None, []
        if limits is not None:
            Records().make_room(drafts, limits, now)  # it has nothing: what fits at all fits now
        done: list[Outcome] | None = None
        with self._directory_lock:
            found = self._appear_locked(account, queue, now)
            owner = found.account
            if quota is not None:
                self._total_locked(owner)
            with found.lock:
                if limits is not None:  # another may have put into it meanwhile
                    found.records.make_room(drafts, limits, now)
                if quota is None or owner.admit_locked(found, drafts, quota, now):
                    done = found.records.put(drafts, now)
                    if owner.followed:
                        owner.follow_locked(found)
        if done is None:
            self._retire(found)
        return found, done

    def get(
        self, account: str, queue: str, ids: Sequence[str], now: float, want: Wanted = Want.ALL
    ) -> list[Message | None]:
        found = self._look(account, queue)
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
        want: Wanted = Want.ALL,
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
        want: Wanted = Want.ALL,
        receipts: Sequence[str] | None = None,
    ) -> list[Message | None]:
        found = self._look(account, queue)
        if found is None:
            return [None] * len(ids)
        with found.lock:
            records = found.records
            deleted = records.delete(ids, now, receipts, want)
            if found.account.followed:
                found.account.follow_locked(found)
        if not records.by_id:
            self._retire(found)
        return deleted

    def select(self, account: str, queue: str, filters: Filters, now: float, want: Wanted = Want.ALL) -> list[Message]:
        found = self._find(account, queue)
        if found is None:
            return []
        with found.lock:
            return found.records.select(filters, now)

    def update_matching(
        self, account: str, queue: str, filters: Filters, change: Change, now: float, want: Wanted = Want.ALL
    ) -> list[Message]:
        found = self._look(account, queue)
        if found is None:
            return []
        policy = found.policy
        most = policy.max_deliveries if policy is not None and change.hide else None
        with found.lock:
            worn_out = most is not None and found.records.worn_out(filters, most, now)
            changed = [] if worn_out else found.records.update_matching(filters, change, now)
            expires = None if change.ttl is None else found.records.expires_min
        if worn_out:
            changed, expires = self._claim_past_dead(found, filters, change, now)
        if expires is not None and expires < found.due_at:
            self._expect(found, expires)
        if change.hide is not None:
            signals = self._signals
            for message in changed:
                signals.visible(account, queue, message.visible_at or now)
        return changed

    def _claim_past_dead(
        self, found: Queue, filters: Filters, change: Change, now: float
    ) -> tuple[list[Message], float]:
        """Claim, and move what was delivered too often out of the way: a piece at a time, each at one stroke."""
        while True:
            claimed = self._claim_or_bury(found, filters, change, now)
            if claimed is not None:
                return claimed

    def _claim_or_bury(
        self, found: Queue, filters: Filters, change: Change, now: float
    ) -> tuple[list[Message], float] | None:
        """A piece of that; None where there may be more to move."""
        account, name = found.account.name, found.name
        policy = self._policies.get((account, name), NO_POLICY)
        most = policy.max_deliveries or MAX_SECONDS
        letters: list[Message] = []
        target: Queue | None = None
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
                        if found.account.followed:
                            found.account.follow_both_locked(target, found)
                elif found.account.followed:
                    found.account.follow_locked(found)
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

    def _bury(self, target: Queue, letters: Sequence[Message], queue: str, now: float) -> float:
        """Put dead letters into the queue `target`, whose lock is held; answers when the first message expires."""
        records = target.records
        records.purge(now)
        policy = self._policies.get((target.account.name, target.name), NO_POLICY)
        for letter in letters:
            id, expires, meta = dead_letter(letter, queue, policy, records.by_id.__contains__, now)
            records.bury(id, letter.body, letter.created, expires, meta)
        return records.expires_min

    def delete_matching(
        self, account: str, queue: str, filters: Filters, now: float, want: Wanted = Want.ALL
    ) -> list[Message]:
        found = self._find(account, queue)
        if found is None:
            return []
        with found.lock:
            records = found.records
            deleted = records.delete_matching(filters, now)
            if found.account.followed:
                found.account.follow_locked(found)
        if not records.by_id:
            self._retire(found)
        return deleted

    def next_visible(self, account: str, queue: str, filters: Filters, now: float) -> float | None:
        found = self._find(account, queue)
        if found is None:
            return None
        with found.lock:
            return found.records.next_visible(filters, now)

    def commits(self) -> None:
        return None
