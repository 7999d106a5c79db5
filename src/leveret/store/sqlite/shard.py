"""One database file and all that can be asked of it: requests in, values out, a transaction for each batch.

Knows no thread and no clock. A batch happens at one instant, the latest `now` in it, and in an order of our own: all
its requests are under way at once, so that none of those who sent them can tell. What touches more than `PIECE`
messages is done in pieces, each a transaction of its own, and others get their turn between them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from leveret.model import NEVER, Draft, Filters, Want
from leveret.store.base import StoreError, StoreFull
from leveret.store.sqlite.directory import Directory, Key, QueueRecord
from leveret.store.sqlite.file import error_name
from leveret.store.sqlite.long import SWEEP, LongRequests, Steps, act, is_long
from leveret.store.sqlite.messages import PIECE, Messages, Puts
from leveret.store.sqlite.requests import NOTHING, Kind, Request

_SEQUENCES: Final = 1 << 24  # set aside in the file at a time
_DOUBTS: Final = 50  # queues that are settled at once for another's sake

NO_ROOM: Final = (
    "the disk is full: there is no room beside what is kept back for deleting; "
    "messages can be read and deleted, and be put again when there is room"
)

# Errors after which nothing is certain of the file any more.
_BREAKING: Final = ("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_PROTOCOL")

Group: TypeAlias = tuple[int, int, int, Want]  # the identities of queue, filters and change

# By names of this module: on CPython 3.11 `Kind.PUT` takes ten times as long.
_PUT: Final = Kind.PUT
_DELETE: Final = Kind.DELETE
_NOTHING: Final = Want.NOTHING
_READS: Final = frozenset({Kind.GET, Kind.SELECT, Kind.NEXT_VISIBLE})
_MATCHING: Final = frozenset({Kind.UPDATE_MATCHING, Kind.DELETE_MATCHING})
_ON_QUEUES: Final = frozenset(kind for kind in Kind if kind < Kind.LIST_QUEUES)


class Broken(Exception):
    """The file can't be trusted any more: a write or a sync failed, or it is damaged."""


class Shard:
    """Answers each request by its `value` or its `error`. Only one thread may use it.

    Every call may raise `Broken`, after which there must be no other.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        next_place: Callable[[], int],
        now: float,
        tell_visible: Callable[[str, str, float], None],
        tell_due: Callable[[float], None],  # when the next sweep is: where it gets earlier, and after each sweep
    ) -> None:
        self._execute = connection.execute
        self._connection = connection
        self._tell_visible = tell_visible
        self._tell_due = tell_due
        self._directory = Directory(connection, next_place)
        self._messages = Messages(connection, self._directory, self._take_sequences)
        self._settling: dict[Key, list[Request]] = {}  # what waits until a queue is settled
        self._long: dict[Request, Steps] = {}
        self._settle_next = False
        self._long_requests = LongRequests(
            self._directory, self._messages, lambda: self._next_sequence - 1, self._swept
        )
        stored: int
        (stored,) = self._execute("SELECT next_sequence FROM store").fetchone()
        # From the clock, so that a place in a queue that was read before a loss is not taken for a later one.
        self._next_sequence = max(stored, int(now * 1_000_000))
        self._sequences_end = 0
        self._due = NEVER  # when the next sweep is due, as far as was said
        self.rows = 0  # written since the last checkpoint, about
        self.found_full = False  # the disk had no room for something

    def start(self) -> None:
        """Say what is due from before."""
        first = self._directory.first_due()
        if first is not None:
            self._say_due(first[0])

    @property
    def body_bytes(self) -> int:
        """What was written of bodies since the last checkpoint."""
        return self._messages.body_bytes

    def checkpointed(self) -> None:
        """The log is in the database: count from 0 again."""
        self.rows = self._messages.body_bytes = 0

    @property
    def buried(self) -> bool:
        """Whether there may be space to free by `purge`."""
        return self._directory.buried

    @property
    def busy(self) -> bool:
        """Whether there are long requests to go on with, by `step`."""
        return bool(self._settling or self._long)

    # Batches

    def read(self, batch: Sequence[Request], now: float) -> tuple[list[Request], list[Request]]:
        """Answer what needs no transaction; those that are answered, and the rest."""
        answered: list[Request] = []
        rest: list[Request] = []
        for request in batch:
            if request.kind not in _READS:
                rest.append(request)
                continue
            try:
                queue = self._directory.find(request.key)
                if not self._messages.settled(queue, now) or is_long(request, queue):
                    rest.append(request)
                    continue
                request.value = self._do(request, queue, now)
            except Exception as error:
                request.error = self._sort_out(error)
            answered.append(request)
        return answered, rest

    def write(self, batch: Sequence[Request], now: float) -> list[Request]:
        """Do all of it in one transaction; those that are answered. What fails, fails alone."""
        try:
            with self._transaction():
                answered, unsettled, long = self._apply(batch, now)
        except Broken:
            raise
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = self._sort_out(error)
                return list(batch)
            self._sort_out(error)
            # Somebody's request is at fault: one by one, it will be seen whose.
            return [done for request in batch for done in self.write([request], now)]
        for key, request in unsettled:
            self._settling.setdefault(key, []).append(request)
        for request in long:
            self._long[request] = self._long_requests.steps_of(request)
        self._signal(answered, now)
        return answered

    def step(self) -> tuple[list[Request], list[Request]]:
        """Go on with what is long, a piece; the requests that are answered, and those to be written now."""
        # In turn, and one at a time: where the file breaks, no other request is in between.
        self._settle_next = not self._settle_next
        if self._settling and (self._settle_next or not self._long):
            return self._settle_a_piece()
        return self._take_a_step(), []

    def _settle_a_piece(self) -> tuple[list[Request], list[Request]]:
        ready: list[Request] = []
        answered: list[Request] = []
        if self._settling:
            key = next(iter(self._settling))
            waiting = self._settling[key]
            try:
                with self._transaction():
                    settled = self._messages.settle(self._directory.find(key), max(request.now for request in waiting))
            except Exception as error:
                for request in waiting:
                    request.error = self._sort_out(error)
                answered += waiting
                settled = True
            else:
                if settled:
                    ready = waiting
            del self._settling[key]
            if not settled:
                self._settling[key] = waiting  # at the end: queues take turns
        return answered, ready

    def _take_a_step(self) -> list[Request]:
        answered: list[Request] = []
        if self._long:
            request = next(iter(self._long))
            steps = self._long[request]
            try:
                with self._transaction():
                    ended = _advance(steps, request)
            except Exception as error:
                problem = self._sort_out(error)
                if request.done_so_far:
                    # What earlier pieces did is done, and must be told.
                    request.value = request.found[: request.done_so_far]
                else:
                    request.error = problem
                ended = True
            else:
                request.done_so_far = len(request.found)
                if request.kind is Kind.UPDATE_MATCHING and request.change.hide is not None:
                    self._tell_visible(*request.key, request.now + request.change.hide)
            del self._long[request]
            if ended:
                answered.append(request)
            else:
                self._long[request] = steps
            self.rows += PIECE
        return answered

    def abandon(self) -> list[Request]:
        """The requests that nobody goes on with any more."""
        left = [*self._long, *(request for waiting in self._settling.values() for request in waiting)]
        self._long.clear()
        self._settling.clear()
        return left

    def purge(self) -> bool:
        """Free a piece of the space of what was deleted at one stroke; True where there may be more."""
        with self._transaction():
            found = self._messages.purge(self._long_requests.read_last) or self._directory.bury_queues(PIECE)
        self.rows += PIECE if found else 0
        self._directory.buried = found
        return found

    def drop_empty(self) -> bool:
        """Free a piece of the space of queues and accounts that are no longer there; True where there may be more."""
        with self._transaction():
            return self._directory.drop_empty(PIECE)

    def trim(self) -> None:
        """Keep no more in memory than there may be."""
        self._directory.trim()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit what is done within, or undo it."""
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._directory.flush()
            self._execute("COMMIT")
        except BaseException:
            self._messages.lowest_due = NEVER
            self._sequences_end = 0
            self._directory.forget()
            if self._connection.in_transaction:
                self._execute("ROLLBACK")
            raise
        lowest = self._messages.lowest_due
        if lowest < self._due:
            self._say_due(lowest)
        self._messages.lowest_due = NEVER

    # Inside a transaction

    def _apply(
        self, batch: Sequence[Request], now: float
    ) -> tuple[list[Request], list[tuple[Key, Request]], list[Request]]:
        """Those that are answered, those that wait until a queue is settled, and those that are long.

        Requests of one kind are done together, by as few statements as may be.
        """
        answered: list[Request] = []
        unsettled: list[tuple[Key, Request]] = []
        others: list[tuple[QueueRecord, Request]] = []
        long: list[Request] = []
        puts = _Puts()
        deletes: dict[QueueRecord, list[Request]] = {}
        groups: dict[Group, list[Request]] = {}
        waiting = set(self._settling)
        find = self._directory.find
        for request in batch:
            kind = request.kind
            if kind not in _ON_QUEUES:
                long.append(request)
                continue
            queue = find(request.key)
            if (queue.due <= now or queue.shows_at <= now) and (
                request.key in waiting or not self._messages.settle(queue, now)
            ):
                # Others are served before this queue has its next piece.
                waiting.add(request.key)
                unsettled.append((request.key, request))
                continue
            if request.withdrawn and kind in _MATCHING:
                request.value = []
                answered.append(request)
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
                puts.add(queue, request)
            elif kind is _DELETE and request.want is _NOTHING:
                deletes.setdefault(queue, []).append(request)
            elif is_long(request, queue):
                long.append(request)
                continue
            elif _takes(request):
                groups.setdefault((id(queue), id(request.what), id(request.change), request.want), []).append(request)
            else:
                others.append((queue, request))
                continue
            answered.append(request)
        # Puts first, while what was found out of their queues is true.
        puts.store(self._messages, now)
        for queue, together in deletes.items():
            self._delete(queue, together)
        for together in groups.values():
            self._take(together, now)
        for queue, request in others:
            if is_long(request, queue):  # it is since the puts, and goes on as one
                long.append(request)
            else:
                request.value = self._do(request, queue, now)
                answered.append(request)
        self.rows += len(batch) + puts.count
        return answered, unsettled, long

    def _doubtful(self, queue: QueueRecord, now: float) -> Key | None:
        """A queue to settle before this one may appear: its account may be one that is no longer there."""
        for _ in range(_DOUBTS):
            key = self._directory.doubtful(queue.account, now)
            if key is None or not self._messages.settle(self._directory.find(key), now):
                return key
        return key

    def _delete(self, queue: QueueRecord, requests: list[Request]) -> None:
        ids = [id for request in requests for id in request.what]
        deleted = iter(self._messages.delete(queue, ids, _NOTHING))
        for request in requests:
            request.value = [next(deleted) for _ in request.what]

    def _take(self, requests: list[Request], now: float) -> None:
        """Each of these, which are equal, gets up to its limit of messages, and none that another got."""
        like = requests[0]
        queue = self._directory.find(like.key)
        filters: Filters = like.what
        limit = filters.limit
        assert limit is not None
        together = max(1, PIECE // limit)
        for start in range(0, len(requests), together):
            some = requests[start : start + together]
            rows = self._messages.rows(queue, 0, limit * len(some), filters.match_hidden, like.want)
            taken = act(self._messages, like, queue, rows, now)
            for number, request in enumerate(some):
                request.value = taken[number * limit : (number + 1) * limit]

    def _do(self, request: Request, queue: QueueRecord, now: float) -> Any:
        """What a request that is not long asks for, by itself."""
        kind, what, want = request.kind, request.what, request.want
        messages = self._messages
        if kind is Kind.GET:
            return messages.get(queue, what, want)
        if kind is Kind.UPDATE:
            return messages.update(queue, what, request.change, now, want)
        if kind is Kind.DELETE:
            return messages.delete(queue, what, want)
        if kind is Kind.NEXT_VISIBLE:
            return messages.next_visible(queue, what)
        limit = PIECE if what.limit is None else min(what.limit, PIECE)
        rows = messages.rows(queue, messages.place(queue, what.marker), limit, what.match_hidden, want)
        return act(messages, request, queue, rows, now)

    # Small things

    def _take_sequences(self, count: int) -> int:
        first = self._next_sequence
        self._next_sequence += count
        if self._next_sequence > self._sequences_end:
            self._sequences_end = self._next_sequence + _SEQUENCES
            self._execute("UPDATE store SET next_sequence = ?", (self._sequences_end,))
        return first

    def _signal(self, answered: Sequence[Request], now: float) -> None:
        """Say what is visible since these requests, or when it will be."""
        tell = self._tell_visible
        for request in answered:
            if request.kind is _PUT:
                account, queue = request.key
                for draft in request.what:
                    tell(account, queue, now + draft.hide if draft.hide else now)
            elif request.change is not NOTHING and request.change.hide is not None and request.value:
                for changed in request.value:
                    if changed is not None:
                        tell(*request.key, now + request.change.hide)

    def _sort_out(self, error: Exception) -> Exception:
        """What to tell who asked; `Broken` where nobody can be told anything any more."""
        if not isinstance(error, sqlite3.Error):
            return error
        name = error_name(error)
        if name == "SQLITE_FULL":
            self.found_full = True
            return StoreFull(NO_ROOM)
        if name.startswith(_BREAKING):
            raise Broken(f"{error} ({name})") from error
        return StoreError(f"the database refused it: {error}")

    def _swept(self, due: float) -> None:
        self.rows += SWEEP
        self._say_due(due)

    def _say_due(self, at: float) -> None:
        self._due = at
        self._tell_due(at)


class _Puts:
    """The puts of a batch: those that are alike, which go quicker together, and the others."""

    def __init__(self) -> None:
        self._ttl = -1
        self._plain: list[Request] = []
        self._plain_drafts: list[Puts] = []
        self._others: list[Request] = []
        self._other_drafts: list[Puts] = []
        self.count = 0  # drafts

    def add(self, queue: QueueRecord, request: Request) -> None:
        drafts: Sequence[Draft] = request.what
        self.count += len(drafts)
        if self._ttl < 0:
            self._ttl = drafts[0].ttl
        for draft in drafts:
            if draft.hide or draft.ttl != self._ttl or draft.meta is not None:
                self._others.append(request)
                self._other_drafts.append((queue, drafts))
                return
        self._plain.append(request)
        self._plain_drafts.append((queue, drafts))

    def store(self, messages: Messages, now: float) -> None:
        if self._plain:
            for request, done in zip(self._plain, messages.put_plain(self._plain_drafts, self._ttl, now), strict=True):
                request.value = done
        if self._others:
            for request, done in zip(self._others, messages.put(self._other_drafts, now), strict=True):
                request.value = done


def _takes(request: Request) -> bool:
    """Whether it takes messages away from the others of its kind: then many are like one with a larger limit."""
    if request.kind is Kind.DELETE_MATCHING:
        takes = True
    elif request.kind is Kind.UPDATE_MATCHING:
        takes = bool(request.change.hide) and not request.what.match_hidden
    else:
        return False
    filters: Filters = request.what
    return takes and filters.marker is None and filters.limit is not None and 0 < filters.limit <= PIECE


def _advance(steps: Steps, request: Request) -> bool:
    """Go on with a long request; True where it is at its end."""
    try:
        next(steps)
    except StopIteration as stop:
        request.value = stop.value
        return True
    return False
