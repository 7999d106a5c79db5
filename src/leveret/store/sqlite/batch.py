"""What one transaction does for the requests of a batch. Knows no transaction, no thread and no signal.

Requests of one kind are done together, by as few statements as may be, and in an order of our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from leveret.model import NO_POLICY, Draft, Filters, Policy, Quota, Want
from leveret.store.base import AccountFull, QueueFull
from leveret.store.ledger import Key
from leveret.store.sqlite.arrivals import Puts
from leveret.store.sqlite.directory import Directory
from leveret.store.sqlite.entries import AccountRecord, QueueRecord
from leveret.store.sqlite.long import act, has_dead, is_long, most_deliveries, span_of
from leveret.store.sqlite.lookups import ALL, PIECE
from leveret.store.sqlite.messages import Messages
from leveret.store.sqlite.requests import Kind, Request

_DOUBTS: Final = 50  # queues that are settled at once for another's sake
_LOOK: Final = 10  # what it costs to look at a queue, in messages freed

Group: TypeAlias = tuple[Kind, int, int, int, int]  # the identities of queue, filters, change and want

# By names of this module: on CPython 3.11 `Kind.PUT` takes ten times as long.
_PUT: Final = Kind.PUT
_DELETE: Final = Kind.DELETE
_POLICY: Final = Kind.POLICY
_NOTHING: Final = Want.NOTHING
_MATCHING: Final = frozenset({Kind.UPDATE_MATCHING, Kind.DELETE_MATCHING})
_ON_QUEUES: Final = frozenset(kind for kind in Kind if kind < Kind.LIST_QUEUES)


class _DeadLetters(Exception):
    """A claim came to messages that were delivered too often, of which there may be any number: nothing is done yet."""


class Applied(NamedTuple):
    """What became of the requests of a batch."""

    answered: list[Request]
    unsettled: list[tuple[Key, Request]]  # those that wait until a queue is settled
    long: list[Request]
    drafts: int  # that were stored


class Batch:
    """The requests that a shard does at one instant."""

    def __init__(self, directory: Directory, messages: Messages) -> None:
        self._directory = directory
        self._messages = messages

    def apply(self, batch: Sequence[Request], now: float, waiting: set[Key]) -> Applied:
        """Do them, but for those of the queues in `waiting`, whose turn to be settled comes."""
        answered: list[Request] = []
        unsettled: list[tuple[Key, Request]] = []
        others: list[tuple[QueueRecord, Request]] = []
        long: list[Request] = []
        puts = _Puts()
        deletes: dict[QueueRecord, list[Request]] = {}
        held_deletes: dict[QueueRecord, list[Request]] = {}
        groups: dict[Group, list[Request]] = {}
        ready: dict[Key, QueueRecord] = {}  # those that are settled
        find = self._directory.find
        open_for_puts = puts.open
        for request in batch:
            kind = request.kind
            key = request.key
            if kind is _PUT:
                like = open_for_puts.get(key)
                if like is not None and puts.follow(like, request):
                    continue
            queue = ready.get(key)
            if queue is None:
                if kind not in _ON_QUEUES:  # nor is its key that of a queue
                    long.append(request)
                    continue
                queue = find(key)
                if kind is _POLICY:
                    others.append((queue, request))
                    continue
                if (queue.due <= now or queue.shows_at <= now) and (
                    key in waiting or not self._messages.settle(queue, now)
                ):
                    # Others are served before this queue has its next piece.
                    waiting.add(key)
                    unsettled.append((key, request))
                    continue
                ready[key] = queue
            if kind in _MATCHING:
                if request.withdrawn:
                    request.value = []
                    answered.append(request)
                    continue
                group = (kind, id(queue), id(request.what), id(request.change), id(request.want))
                together = groups.get(group)
                if together is not None:
                    together.append(request)
                    continue
                if _takes(request):
                    groups[group] = [request]
                    continue
            if kind is _PUT:
                if not request.what:
                    request.value = []
                    answered.append(request)
                    continue
                if not queue.messages:
                    doubtful = self._doubtful(queue, now)
                    if doubtful is not None:
                        unsettled.append((doubtful, request))
                        continue
                if queue.policy is not NO_POLICY:
                    request.what = [queue.policy.settle(draft) for draft in request.what]
                quota = request.quota
                crowded = quota is not None and not puts.fits(queue, request.what, quota)
                if crowded or queue.policy.limited or not puts.add(queue, request):
                    others.append((queue, request))
                continue
            if kind is _DELETE and request.want is _NOTHING and request.what:
                alike = deletes if request.receipts is None else held_deletes
                same = alike.get(queue)
                if same is None:
                    alike[queue] = [request]
                else:
                    same.append(request)
            elif is_long(request, queue):
                long.append(request)
                continue
            else:
                others.append((queue, request))
                continue
            answered.append(request)
        # Puts first, while what was found out of their queues is true.
        answered += puts.store(self._messages, now)
        for queue, same in [*deletes.items(), *held_deletes.items()]:
            self._delete(queue, same, now)
        for together in groups.values():
            left = self._take(together, now)
            answered += together[: len(together) - len(left)]
            long += left
        for queue, request in others:
            if is_long(request, queue):  # it is since the puts, and goes on as one
                long.append(request)
                continue
            try:
                expired = self._do_with_room(request, queue, now, waiting)
                if expired is not None:
                    waiting.add(expired)
                    unsettled.append((expired, request))
                    continue
            except (QueueFull, AccountFull) as full:  # before anything was done: the others need not be done again
                request.error = full
            except _DeadLetters:
                long.append(request)
                continue
            answered.append(request)
        return Applied(answered, unsettled, long, puts.count)

    def _do_with_room(self, request: Request, queue: QueueRecord, now: float, waiting: set[Key]) -> Key | None:
        """Do it; or answer a queue of the account to settle before, since an account is full only where nothing that
        expired is in it."""
        freed = 0
        while True:
            try:
                request.value = self.do(request, queue, now)
            except AccountFull:
                key = self._directory.expired(queue.account, now)
                if key is None:
                    raise
                if key in waiting or freed >= PIECE:
                    return key
                before = queue.account.messages
                if not self._messages.expire(self._directory.find(key), now):
                    return key
                freed += before - queue.account.messages + _LOOK
            else:
                return None

    def _doubtful(self, queue: QueueRecord, now: float) -> Key | None:
        """A queue to settle before this one may appear: its account may be one that is no longer there."""
        for _ in range(_DOUBTS):
            key = self._directory.doubtful(queue.account, now)
            if key is None or not self._messages.settle(self._directory.find(key), now):
                return key
        return key

    def _delete(self, queue: QueueRecord, requests: list[Request], now: float) -> None:
        ids = [id for request in requests for id in request.what]
        receipts = None
        if requests[0].receipts is not None:
            receipts = [receipt for request in requests for receipt in request.receipts or ()]
            if len(set(ids)) < len(ids):  # one of them may be good where another is not
                for request in requests:
                    request.value = self._messages.delete(queue, request.what, now, _NOTHING, request.receipts)
                return
        deleted = self._messages.delete(queue, ids, now, _NOTHING, receipts)
        _share(deleted, requests)

    def _take(self, requests: list[Request], now: float) -> list[Request]:
        """Each of these, which are equal, gets up to its limit of messages, and none that another got.

        Answers those that came to dead letters, and are not served yet.
        """
        like = requests[0]
        queue = self._directory.find(like.key)
        filters: Filters = like.what
        limit = filters.limit
        assert limit is not None
        together = max(1, PIECE // limit)
        most = most_deliveries(like, queue)
        for start in range(0, len(requests), together):
            some = requests[start : start + together]
            rows = self._messages.rows(queue, filters, span_of(filters, ALL), limit * len(some), like.want)
            if has_dead(rows, most):
                return requests[start:]
            taken = act(self._messages, like, queue, rows, now)
            place = 0
            for request in some:
                request.value = taken[place : place + limit]
                place += limit
        return []

    def do(self, request: Request, queue: QueueRecord, now: float) -> Any:
        """What a request that is not long asks for, by itself."""
        kind, what, want = request.kind, request.what, request.want
        messages = self._messages
        if kind is Kind.GET:
            return messages.get(queue, what, want)
        if kind is Kind.PUT:
            return messages.put_with_care(queue, what, now, request.quota)
        if kind is Kind.UPDATE:
            return messages.update(queue, what, request.change, now, want, request.receipts)
        if kind is Kind.DELETE:
            return messages.delete(queue, what, now, want, request.receipts)
        if kind is Kind.NEXT_VISIBLE:
            return messages.next_visible(queue, what, span_of(what, messages.place(queue, what)), now)
        if kind is Kind.POLICY:
            return self._change_policy(queue, what)
        limit = PIECE if what.limit is None else min(what.limit, PIECE)
        span = span_of(what, messages.place(queue, what))
        rows = messages.rows(queue, what, span, limit, want, what.max_bytes)
        if not rows and what.max_bytes is not None:
            rows = messages.rows(queue, what, span, 1, want)
        if has_dead(rows, most_deliveries(request, queue)):
            raise _DeadLetters
        return act(messages, request, queue, rows, now)

    def _change_policy(self, queue: QueueRecord, change: Mapping[str, int | str | None] | None) -> Policy:
        if change is None:
            self._directory.set_policy(queue, NO_POLICY)
        elif change:
            self._directory.set_policy(queue, queue.policy.changed(change))
        return queue.policy


class _Held:
    """What puts of this batch may add to an account, as far as a quota was asked for them."""

    __slots__ = ("bytes", "messages", "queues")

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.queues: set[str] = set()  # new ones


class _Puts:
    """The puts of a batch: those that are alike, which go quicker together, and the others."""

    def __init__(self) -> None:
        # Queues of which is known that nothing speaks against a put that is like the first: nearly all puts are.
        self.open: dict[Key, list[Request]] = {}
        self._ttl = -1
        self._plain: dict[QueueRecord, list[Request]] = {}
        self._others: list[Request] = []
        self._other_drafts: list[Puts] = []
        self.count = 0  # drafts
        self._held: dict[AccountRecord, _Held] = {}

    def fits(self, queue: QueueRecord, drafts: Sequence[Draft], quota: Quota) -> bool:
        """Whether there is room for sure, were all drafts new: then it is kept for them. These puts come before all
        that is done with care, and before those without a quota, as far as anybody can tell."""
        account = queue.account
        held = self._held.get(account)
        if held is None:
            held = self._held[account] = _Held()
        messages = held.messages + len(drafts)
        size = held.bytes + sum([len(draft.body) for draft in drafts])
        appears = not queue.messages and queue.name not in held.queues
        if (
            (quota.messages is not None and account.messages + messages > quota.messages)
            or (quota.bytes is not None and account.bytes + size > quota.bytes)
            or (appears and quota.queues is not None and account.queues + len(held.queues) >= quota.queues)
        ):
            return False
        held.messages = messages
        held.bytes = size
        if appears:
            held.queues.add(queue.name)
        return True

    def follow(self, like: list[Request], request: Request) -> bool:
        """Add it to those of its queue, which are open; False where it isn't like them."""
        if request.quota is not None or not request.what:
            return False
        ttl = self._ttl
        for draft in request.what:
            if draft.hide or draft.ttl != ttl or draft.meta is not None or draft.only_new:
                return False
        like.append(request)
        return True

    def add(self, queue: QueueRecord, request: Request) -> bool:
        """False where it must be put with care, and by itself."""
        drafts: Sequence[Draft] = request.what
        for draft in drafts:
            if draft.only_new:
                return False
        if self._ttl < 0:
            self._ttl = drafts[0].ttl
        for draft in drafts:
            if draft.hide or draft.ttl != self._ttl or draft.meta is not None:
                self._others.append(request)
                self._other_drafts.append((queue, drafts))
                return True
        like = self._plain.get(queue)
        if like is None:
            like = self._plain[queue] = []
            if queue.policy is NO_POLICY:
                self.open[request.key] = like
        like.append(request)
        return True

    def store(self, messages: Messages, now: float) -> list[Request]:
        """Store them all; answers the requests."""
        stored = self._others
        if self._plain:
            drafts = [
                (queue, [draft for request in like for draft in request.what]) for queue, like in self._plain.items()
            ]
            outcomes = messages.put_plain(drafts, self._ttl, now)
            for like, done in zip(self._plain.values(), outcomes, strict=True):
                self.count += len(done)
                _share(done, like)
                stored = stored + like
        if self._others:
            for request, done in zip(self._others, messages.put(self._other_drafts, now), strict=True):
                self.count += len(done)
                request.value = done
        return stored


def _share(done: Sequence[Any], requests: list[Request]) -> None:
    """Give each request what became of its own drafts or ids."""
    start = 0
    for request in requests:
        end = start + len(request.what)
        request.value = done[start:end]
        start = end


def _takes(request: Request) -> bool:
    """Whether it takes messages away from the others of its kind: then many are like one with a larger limit."""
    if request.kind is Kind.DELETE_MATCHING:
        takes = True
    elif request.kind is Kind.UPDATE_MATCHING:
        takes = bool(request.change.hide) and not request.what.match_hidden
    else:
        return False
    filters: Filters = request.what
    if not takes or filters.narrow or filters.newest_first or filters.max_bytes is not None:
        return False
    return filters.limit is not None and 0 < filters.limit <= PIECE
