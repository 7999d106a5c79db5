"""Clients that put, claim and delete at random until they are stopped or the server is gone; a ledger keeps book."""

from __future__ import annotations

import http.client
import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from support.ledger import ACCOUNT, HIDE, Ledger, path_of
from support.web import PATIENCE, Answer, Client

WRITERS = 4
SHARED = "shared"  # the queue of all writers; each has one of its own, too


def own(writer: int) -> str:
    return f"own-{writer}"


QUEUES = [SHARED, *map(own, range(WRITERS))]


class Load:
    """A load that is running."""

    def __init__(self, ledger: Ledger, goal: int) -> None:
        self._ledger = ledger
        self._goal = goal
        self._acknowledged = 0
        self._reached = threading.Event()
        self._failed = threading.Event()
        self._failure = "none failed"
        self._lock = threading.Lock()  # guards the count
        self._dying = False
        self._dead_from = math.inf  # monotonic seconds
        self.stopped = threading.Event()

    def wait(self) -> None:
        """Until so many operations as are the goal have been acknowledged."""
        reached = self._reached.wait(PATIENCE)
        assert reached, f"{self._acknowledged} of {self._goal} operations were acknowledged; the last: {self._failure}"

    def wait_for_failure(self) -> None:
        """Until an operation was not: an error of the server, or no answer."""
        assert self._failed.wait(PATIENCE), "the server goes on as if nothing had happened"

    @contextmanager
    def dying(self) -> Iterator[None]:
        """For a block that takes from the server what it stores in.

        What is under way meanwhile remains unknown, whatever the server says: a cut-off ext4 tells an fdatasync that
        it has just interrupted, about once in ten times, that it was done. After a loss of power nobody would have been
        there to be told. What begins later can't be done any more, and it is a violation where it is acknowledged.
        """
        self._dying = True
        yield
        self._dead_from = time.monotonic()

    def counts(self, began: float, reply: Answer) -> bool:
        """Whether the answer to a request, sent at `began` or later, is to be believed."""
        if not self._dying:
            return True
        if reply.status >= 500:
            self.fail(f"{reply}")
        elif reply.status < 300 and began >= self._dead_from:
            self._ledger.surprises.append(f"{reply} came for a request that was made when nothing could be stored")
        return False

    def acknowledge(self) -> None:
        with self._lock:
            self._acknowledged += 1
            if self._acknowledged == self._goal:
                self._reached.set()

    def fail(self, how: str) -> None:
        self._failure = how
        self._failed.set()


@contextmanager
def load(ledger: Ledger, port: int, acknowledgements: int) -> Iterator[Load]:
    """Put a load on a server, which is stopped with the block; `acknowledgements` are what `Load.wait` waits for."""
    running = Load(ledger, acknowledgements)
    threads = [threading.Thread(target=_Writer(ledger, port, number, running).run) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        running.stopped.set()
        for thread in threads:
            thread.join()


class _Writer:
    """One client, which does one thing after the other."""

    def __init__(self, ledger: Ledger, port: int, number: int, running: Load) -> None:
        self._ledger = ledger
        self._client = Client(port)
        self._number = number
        self._running = running
        self._chance = random.Random()
        self._mine = [(one.queue, one.id) for one in ledger.mine(number)]

    def run(self) -> None:
        # Whatever has begun when the connection breaks remains unknown.
        try:
            while not self._running.stopped.is_set():
                self._step()
        except (OSError, http.client.HTTPException) as error:
            self._running.fail(f"no answer: {error!r}")
        self._client.close()

    def _step(self) -> None:
        what = self._chance.random()
        queue = self._chance.choice([SHARED, own(self._number)])
        if what < 0.6:
            self._put(queue)
        elif what < 0.75:
            if self._mine:
                self._delete(*self._mine.pop(self._chance.randrange(len(self._mine))))
        else:
            self._claim(queue)

    def _put(self, queue: str) -> None:
        id = self._ledger.next_id(self._number)
        self._ledger.begin_put(queue, id)
        reply = self._ask("PUT", path_of(queue, id) + "?ttl=0", self._ledger.body(queue, id))
        if reply is not None and self._count(self._ledger.end_put(queue, id, reply.status), reply):
            self._mine.append((queue, id))

    def _delete(self, queue: str, id: str) -> None:
        self._ledger.begin_delete(queue, id)
        reply = self._ask("DELETE", path_of(queue, id))
        if reply is not None:
            self._count(self._ledger.end_delete(queue, id, reply.status), reply)

    def _claim(self, queue: str) -> None:
        began = self._ledger.begin_claim(queue)
        reply = self._ask("POST", f"/v1.0/{ACCOUNT}/{queue}?limit=1&hide={HIDE}&detail=all")
        if reply is None:
            return
        claimed = self._ledger.end_claim(queue, began, reply)
        if reply.status == 404:
            return
        # Half of what is claimed stays hidden, for the check to see.
        if self._count(reply.status == 200, reply) and claimed is not None and self._chance.random() < 0.5:
            self._delete(queue, claimed.id)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Answer | None:
        """The answer, unless it is not to be believed: then the operation remains unknown."""
        began = time.monotonic()
        reply = self._client(method, path, body)
        return reply if self._running.counts(began, reply) else None

    def _count(self, acknowledged: bool, reply: Answer) -> bool:
        if acknowledged:
            self._running.acknowledge()
        else:
            self._running.fail(f"{reply}")
        return acknowledged
