"""The thread of a shard: takes all that waits as one batch, replies when it is safe, and keeps house when idle.

The only thread that touches the database. Each loop sends what it has once it has no more, all in one, and is woken
once per batch for all its answers.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from leveret.store.base import StoreFailed, StoreFull
from leveret.store.sqlite.file import PAGE, DatabaseFile, error_name
from leveret.store.sqlite.requests import Kind, Request
from leveret.store.sqlite.shard import NO_ROOM, Broken, Shard
from scalestack.event.loops import LoopThread
from scalestack.log import Logger

BATCH: Final = 1024  # requests in a transaction
GATHER: Final = 128  # requests that a loop sends at the latest
BATCH_BYTES: Final = 4 << 20  # of bodies in a transaction, so that the log stays smaller than the room kept back
LOG_PAGES: Final = 2000  # of the write-ahead log, 8 MB, before they are moved into the database
_IDLE: Final = 0.2  # seconds without a request, after which there is time to keep house
_LOOK_FOR_ROOM: Final = 1.0  # seconds between looks, where the disk was full
_VACUUM: Final = 500  # pages to give back in one go
_SLACK: Final = 256  # free pages that stay in the file, 1 MB

# How much of the log a row takes is learned from the last time that the log was full; it depends on the ids.
_ENOUGH_ROWS: Final = 1000
_LEAST_PER_ROW: Final = 0.05  # pages

_PUT: Final = Kind.PUT

_log = Logger("leveret.store")

_Done = TypeVar("_Done")


class Writer:
    """Runs a shard in a thread of its own."""

    def __init__(
        self, name: str, file: DatabaseFile, connection: sqlite3.Connection, shard: Shard, broken: Callable[[str], None]
    ) -> None:
        self._file = file
        self._connection = connection
        self._shard = shard
        self._broken = broken  # told once, why nothing works any more
        self._outboxes: dict[LoopThread, list[Request]] = {}  # each is touched by its own thread alone
        self._inbox_lock = threading.Lock()  # guards the inbox, and whether the thread sleeps or is to end
        self._inbox: list[Request] = []
        self._asleep = False
        self._closing = False
        self._failure = "the store is closed"
        self._gate = threading.Lock()  # held but for the moment in which the sleeping thread is woken
        self._gate.acquire()
        # What follows belongs to the thread.
        self._in_hand: list[Request] = []  # what is being worked on
        self._left: list[Request] = []  # taken from the inbox, and too much for one batch
        self._chores = True  # there may be something to do in the house
        self._patience: float | None = _IDLE
        self._full = not file.reserve()
        if self._full:
            _log.warning(
                "the disk has no room to keep back for deleting: PUT is refused until it has", path=str(file.path)
            )
        self._room_looked_for = 0.0
        self._pages_per_row = 1.0  # of the log, apart from what bodies fill
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread once all that was asked for is done; harmless when called again."""
        with self._inbox_lock:
            self._closing = True
            self._rouse_locked()
        if self._thread.ident is not None:
            self._thread.join()

    # Any thread

    def ask(self, request: Request) -> Any:
        """The answer: a `Pending` on a loop thread; any other thread is blocked till it is there."""
        loop = LoopThread.current()
        if loop is not None:
            request.loop = loop
            box = self._outboxes.get(loop)
            if box is None:
                box = self._outboxes[loop] = []
            if not box:
                loop.soon(self._send, loop, 0)
            box.append(request)
            return request
        if threading.current_thread() is self._thread:  # it was told that something is visible, and looks
            self._work([request])
        else:
            wake = threading.Lock()
            wake.acquire()
            request.wake = wake
            self._submit([request])
            wake.acquire()
        if request.error is not None:
            raise request.error
        return request.value

    def _send(self, loop: LoopThread, seen: int) -> None:
        """Send what the loop has, after a turn that brought nothing new: fewer batches are fewer syncs, and while the
        loop is at work the shard's thread would only fight it for the interpreter."""
        box = self._outboxes[loop]
        if len(box) > seen and len(box) < GATHER:
            loop.soon(self._send, loop, len(box))
            return
        self._outboxes[loop] = []
        self._submit(box)

    def _submit(self, requests: list[Request]) -> None:
        with self._inbox_lock:
            refused = self._closing
            if not refused:
                self._inbox += requests
                self._rouse_locked()
        if refused:
            self._refuse(requests)

    def _rouse_locked(self) -> None:
        if self._asleep:
            self._asleep = False
            self._gate.release()

    # The thread

    def _run(self) -> None:
        try:
            self._shard.start()
            while self._turn():
                pass
            self._finish()
        except Broken as error:
            self._give_up(str(error))
        except sqlite3.Error as error:
            self._give_up(f"{error} ({error_name(error) or 'no code'})")
        except BaseException as error:
            self._give_up(f"{type(error).__name__}: {error}")
            raise

    def _turn(self) -> bool:
        """One batch, and a piece of what is long; the house where there is nothing else. False at the end."""
        shard = self._shard
        batch = self._in_hand = self._take()
        if batch:
            self._work(batch)
            self._in_hand = []
            self._chores = True
            self._patience = _IDLE
        if shard.busy:
            self._go_on()
        elif not batch:
            if self._closing:
                return bool(self._inbox)
            self._keep_house()
        if batch and shard.buried:  # a busy house is kept as well
            self._free(shard.purge)
        if batch and shard.crowded:
            self._free(shard.drop_empty)
        # What is freed lies all over the file: to move less of it at a time keeps others waiting for less long.
        limit = LOG_PAGES // 3 if shard.buried else LOG_PAGES
        if shard.body_bytes / PAGE + shard.rows * self._pages_per_row >= limit:
            self._checkpoint()
        return True

    def _take(self) -> list[Request]:
        """What waits, as much as makes a batch; nothing after a time in which nobody asked for anything."""
        if not self._left:
            if not self._inbox:
                self._sleep()
            with self._inbox_lock:
                self._left, self._inbox = self._inbox, []
        some = self._left[:BATCH]
        if sum([len(draft.body) for request in some if request.kind is _PUT for draft in request.what]) > BATCH_BYTES:
            size = 0
            for count, request in enumerate(some):
                if request.kind is _PUT:
                    size += sum([len(draft.body) for draft in request.what])
                    if size > BATCH_BYTES and count:
                        return self._take_left(count)
        return self._take_left(BATCH)

    def _take_left(self, count: int) -> list[Request]:
        batch = self._left[:count]
        self._left = self._left[count:]
        return batch

    def _sleep(self) -> None:
        if self._shard.busy:
            return
        with self._inbox_lock:
            if self._inbox or self._closing:
                return
            self._asleep = True
        if not self._gate.acquire(timeout=-1 if self._patience is None else self._patience):
            with self._inbox_lock:
                roused = not self._asleep
                self._asleep = False
            if roused:  # just now: the gate is open, or is about to be
                self._gate.acquire()

    def _work(self, batch: list[Request]) -> None:
        shard = self._shard
        now = max([request.now for request in batch])
        answered, rest = shard.read(batch, now)
        if answered:
            self._reply(answered)
        if rest and self._full:
            rest = self._without_puts(rest, now)
        if rest:
            answered = shard.write(rest, now)
            if shard.found_full:
                answered = self._make_room(answered, now)
            self._reply(answered)
        shard.trim()

    def _go_on(self) -> None:
        answered, ready = self._shard.step()
        self._left = ready + self._left
        if self._shard.found_full:
            answered = self._make_room(answered, max([request.now for request in answered], default=0.0))
        self._reply(answered)
        self._in_hand = []

    def _reply(self, requests: list[Request]) -> None:
        posts: dict[LoopThread, list[Request]] = {}
        last: LoopThread | None = None
        some: list[Request] = []
        for request in requests:
            loop = request.loop
            if loop is not None:
                if loop is not last:
                    last = loop
                    some = posts.setdefault(loop, [])
                some.append(request)
            elif request.wake is not None:
                wake, request.wake = request.wake, None
                wake.release()
        for loop, some in posts.items():
            loop.post(_resolve, some)

    # A full disk

    def _without_puts(self, requests: list[Request], now: float) -> list[Request]:
        """Refuse what needs room, unless there is room again; answers the rest."""
        if now - self._room_looked_for >= _LOOK_FOR_ROOM and any(request.kind is _PUT for request in requests):
            self._room_looked_for = now
            self._look_for_room()
        if not self._full:
            return requests
        puts = [request for request in requests if request.kind is _PUT]
        for request in puts:
            request.error = StoreFull(NO_ROOM)
        self._reply(puts)
        return [request for request in requests if request.kind is not _PUT]

    def _make_room(self, answered: list[Request], now: float) -> list[Request]:
        """Something found no room. Where it is not a put, take the room that is kept back, and do it again."""
        self._shard.found_full = False
        again = [request for request in answered if _can_redo(request)]
        if self._checkpoint() and not again:
            return answered
        self._open_reserve()
        for request in again:
            request.error = None
            request.redone = True
        done = self._shard.write(again, now) if again else []
        self._shard.found_full = False
        return [request for request in answered if request not in again] + done

    def _open_reserve(self) -> None:
        self._full = True
        self._file.release()
        self._checkpoint()

    def _free(self, chore: Callable[[], bool]) -> bool:
        """Do what frees a piece of space, and needs a little itself; True where there may be more of it."""
        more = _unless_full(chore)
        if more is None and not self._checkpoint():
            self._open_reserve()
        return bool(more)

    def _look_for_room(self) -> None:
        """Give back what is free in the database, and see whether as much is there as is to be kept back."""
        if self._checkpoint():
            self._free(self._shard.purge)
            self._vacuum()
            self._checkpoint()
        self._full = not self._file.reserve()

    # The house

    def _keep_house(self) -> None:
        """A piece of what nobody waits for: free space, and give it back to the disk."""
        self._patience = 0.0
        if not self._chores:
            self._patience = None
        elif self._full:
            self._look_for_room()
            self._patience = _LOOK_FOR_ROOM
        elif not (
            (self._shard.buried and self._free(self._shard.purge))
            or self._free(self._shard.drop_empty)
            or self._vacuum()
        ):
            # A log whose pages are all in the database is still read after a crash: none is left where it might rot.
            self._checkpoint(shorten=True)
            self._chores = self._full

    def _vacuum(self) -> bool:
        """Give a piece of what is free back; True where there may be more."""
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        if free <= _SLACK:
            return False
        pages = min(free - _SLACK, _VACUUM)
        # A script, since `execute` would stop at the first page.
        if _unless_full(lambda: self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")) is None:
            return False
        self._shard.rows += pages
        return True

    def _checkpoint(self, shorten: bool = False) -> bool:
        """Move what is in the log into the database, after which the log starts anew; False where there is no room.

        Not left to SQLite, which would do it before it says that a commit is done, and ignore a sync that failed.
        """
        # A log that is cut back costs a little more when it grows again; its room is needed where there is no other.
        mode = "TRUNCATE" if shorten or self._full else "PASSIVE"
        done = _unless_full(lambda: self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone())
        if done is None:
            return False
        _, pages, _ = done
        shard = self._shard
        if shard.rows > _ENOUGH_ROWS and pages:
            self._pages_per_row = max(_LEAST_PER_ROW, (pages - shard.body_bytes / PAGE) / shard.rows)
        shard.checkpointed()
        return True

    # The end

    def _finish(self) -> None:
        self._connection.close()  # moves the log into the database, and removes it
        self._file.close()

    def _give_up(self, why: str) -> None:
        """Acknowledge nothing any more."""
        with self._inbox_lock:
            self._closing = True
            self._failure = f"the store stopped: {why}"
            waiting = self._in_hand + self._left + self._inbox
            self._inbox = []
        self._broken(why)
        self._refuse(waiting + self._shard.abandon())

    def _refuse(self, requests: Sequence[Request]) -> None:
        for request in requests:
            request.error = StoreFailed(self._failure)
        self._reply(list(requests))


def _unless_full(do: Callable[[], _Done]) -> _Done | None:
    """What it answers; None where the disk has no room for it."""
    try:
        return do()
    except sqlite3.Error as error:
        if error_name(error) != "SQLITE_FULL":
            raise
        return None


def _can_redo(request: Request) -> bool:
    """Whether it found no room, and is to be tried again, once, in the room that is kept back."""
    return isinstance(request.error, StoreFull) and request.kind is not _PUT and not request.redone


def _resolve(requests: list[Request]) -> None:
    """On the loop that asked."""
    for request in requests:
        try:
            if request.error is None:
                request.resolve(request.value)
            else:
                request.fail(request.error)
        except Exception:  # one listener's failure is not the next one's
            _log.exception("the answer of the store could not be told")
