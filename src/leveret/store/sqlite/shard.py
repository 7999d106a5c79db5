"""One database file and all that can be asked of it: requests in, values out, a transaction for each batch.

Knows no thread and no clock. A batch happens at one instant, the latest `now` in it, and in an order of our own: all
its requests are under way at once, so that none of those who sent them can tell. What touches more than `PIECE`
messages is done in pieces, each a transaction of its own, and others get their turn between them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from leveret.model import HELD, NEVER
from leveret.store.base import StoreError, StoreFull
from leveret.store.ledger import Key
from leveret.store.sqlite.batch import Batch
from leveret.store.sqlite.directory import Directory
from leveret.store.sqlite.file import error_name
from leveret.store.sqlite.letters import Letters
from leveret.store.sqlite.long import SWEEP, LongRequests, Steps, is_long
from leveret.store.sqlite.lookups import PIECE
from leveret.store.sqlite.messages import Messages
from leveret.store.sqlite.requests import NOTHING, Kind, Request
from leveret.store.sqlite.rows import DamagedMessage
from leveret.store.sqlite.tally import Pace, Tally

_SEQUENCES: Final = 1 << 24  # set aside in the file at a time
_EMPTY: Final = 10_000  # rows, 1 MB or two, of queues and accounts that have vanished, and may soon be there again

NO_ROOM: Final = (
    "the disk is full: there is no room beside what is kept back for deleting; "
    "messages can be read and deleted, and be put again when there is room"
)

_USED_UP: Final = (
    "the disk is full, and there is none left of the room that is kept back for deleting; "
    "messages can be read, and all else needs room on the disk"
)

# Errors after which nothing is certain of the file any more.
_BREAKING: Final = ("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_PROTOCOL")


_PUT: Final = Kind.PUT  # on CPython 3.11 `Kind.PUT` takes ten times as long
_READS: Final = frozenset({Kind.GET, Kind.SELECT, Kind.NEXT_VISIBLE})


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
        tell_dead: Callable[[str, str, int, int], None],
        tally: Tally,
        timer: Callable[[], float],  # seconds since whenever, to tell how long a commit took
    ) -> None:
        self._execute = connection.execute
        self._connection = connection
        self._tell_visible = tell_visible
        self._tell_due = tell_due
        self._tell_dead = tell_dead
        self._tally = tally
        self._timer = timer
        self.pace = Pace()
        self._directory = Directory(connection, next_place, tally)
        self._messages = Messages(connection, self._directory, self._take_sequences, tally)
        self._messages.complaints.timer = timer
        self._letters = Letters(connection.execute, self._directory, self._messages, self._take_sequences)
        self._batch = Batch(self._directory, self._messages)
        self._settling: dict[Key, list[Request]] = {}  # what waits until a queue is settled
        self._long: dict[Request, Steps] = {}
        self._settle_next = False
        self._long_requests = LongRequests(
            self._directory, self._messages, self._letters, lambda: self._next_sequence - 1, self._swept
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
    def crowded(self) -> bool:
        """Whether there is much to free by `drop_empty`."""
        return self._directory.empty > _EMPTY

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
                request.value = self._batch.do(request, queue, now)
            except Exception as error:
                request.error = self._sort_out(error, request)
            answered.append(request)
        return answered, rest

    def write(self, batch: Sequence[Request], now: float) -> list[Request]:
        """Do all of it in one transaction; those that are answered. What fails, fails alone."""
        began = self._timer()
        try:
            with self._transaction():
                answered, unsettled, long, drafts = self._batch.apply(batch, now, set(self._settling))
        except Broken:
            raise
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = self._sort_out(error, batch[0])
                return list(batch)
            self._sort_out(error)
            # Somebody's request is at fault: one by one, it will be seen whose.
            return [done for request in batch for done in self.write([request], now)]
        pace = self.pace
        pace.batches += 1
        pace.operations += len(batch) - len(unsettled)  # which come again
        pace.batch_seconds.observe(self._timer() - began)
        self.rows += len(batch) + drafts
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
                    request.error = self._sort_out(error, request)
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
                problem = self._sort_out(error, request)
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
            more = self._directory.drop_empty(PIECE)
        self.rows += PIECE if more else 0
        return more

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
            began = self._timer()
            self._execute("COMMIT")
            self.pace.commit_seconds.observe(self._timer() - began)
        except BaseException:
            self._tally.undo()
            self._messages.lowest_due = NEVER
            self._sequences_end = 0
            self._letters.burials.clear()
            self._directory.forget()
            if self._connection.in_transaction:
                self._execute("ROLLBACK")
            raise
        self._tally.commit()
        if self._letters.burials:
            self._tell_burials()
        lowest = self._messages.lowest_due
        if lowest < self._due:
            self._say_due(lowest)
        self._messages.lowest_due = NEVER

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
            if request.error is not None:
                continue
            if request.kind is _PUT:
                account, queue = request.key
                for draft in request.what:
                    tell(account, queue, now + draft.hide if draft.hide else now)
            elif request.change is not NOTHING and request.change.hide is not None and request.value:
                hide = request.change.hide
                for changed in request.value:
                    if changed is not None and changed is not HELD:
                        tell(*request.key, now + hide)
                        if hide:  # all at the same time, of which it is enough to know once
                            break

    def _sort_out(self, error: Exception, request: Request | None = None) -> Exception:
        """What to tell who asked; `Broken` where nobody can be told anything any more."""
        if isinstance(error, DamagedMessage) and request is not None:
            account, queue = request.key
            self._messages.complaints.say(
                "a message is damaged, and is not handed out", account=account, queue=queue, message=str(error)
            )
        if not isinstance(error, sqlite3.Error):
            return error
        name = error_name(error)
        if name == "SQLITE_FULL":
            self.found_full = True
            why = _USED_UP if request is not None and request.redone else NO_ROOM
            self._messages.complaints.say(why)
            return StoreFull(why)
        if name.startswith(_BREAKING):
            raise Broken(f"{error} ({name})") from error
        return StoreError(f"the database refused it: {error}")

    def _tell_burials(self) -> None:
        for account, queue, target, letters, at in self._letters.burials:
            if target is not None:
                self._tell_visible(account, target, at)
            self._tell_dead(account, queue, 0 if target is None else letters, letters if target is None else 0)
        self._letters.burials.clear()

    def _swept(self, due: float) -> None:
        self.rows += SWEEP
        self._say_due(due)

    def _say_due(self, at: float) -> None:
        self._due = at
        self._tell_due(at)


def _advance(steps: Steps, request: Request) -> bool:
    """Go on with a long request; True where it is at its end."""
    try:
        next(steps)
    except StopIteration as stop:
        request.value = stop.value
        return True
    return False
