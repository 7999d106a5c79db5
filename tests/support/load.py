"""Clients that put, claim, extend, release, pop and delete at random until they are stopped or the server is gone.

All that they do is logged, before it is asked for and after it was answered. They live on over restarts of the server,
with the receipts that they hold. REST v1.1.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import random
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

from faults.history import Change, Handed, History, Operation, Put, Take
from support.draining import ACCOUNT
from support.queues import body_of as body_in
from support.web import PATIENCE, Answer, Raw

T = TypeVar("T")

CLIENTS = 4
SHARED = "shared"  # the queue of all clients; each has one of its own, too
LEASES = (1, 600, 600)  # seconds: some end during a trial, and most outlive it
_REMEMBERED = 50  # of what each client holds, and of what it has put
_BURST = 20  # requests sent together, at most
_MANY = 50  # messages in one PUT, at most


def own(client: int) -> str:
    return f"own-{client}"


QUEUES = [SHARED, *map(own, range(CLIENTS))]


def body_of(queue: str, id: str) -> bytes:
    """The body of a message. Most fit into a page of a database, some take several, and some are no text."""
    name = f"{queue}/{id}".encode()
    kind = zlib.crc32(name)
    size = 5000 if kind % 32 == 0 else kind % 500
    stream = hashlib.shake_128(name)
    return stream.digest(size) if kind % 8 == 1 else stream.hexdigest(size).encode()


class Connection(Raw):
    """Tells an answer that was cut off from one that is wrong."""

    def answer(self, to_head: bool = False) -> Answer:
        try:
            answer = super().answer(to_head)
            if answer.status != 204 and len(answer.body) != int(answer.headers["content-length"]):
                raise ValueError("there is less of the body than was announced")
        except (AssertionError, ValueError, LookupError) as error:
            if self.at_end():
                raise ConnectionError("the answer was cut off") from error
            raise
        return answer


class Load:
    """A load that is running."""

    def __init__(self, goal: int = 0) -> None:
        self._goal = goal
        self._acknowledged = 0
        self._reached = threading.Event()
        self._failed = threading.Event()
        self._failure = "none failed"
        self._lock = threading.Lock()  # guards the count
        self._dying = False
        self._dead_from = math.inf  # monotonic seconds
        self.stopped = threading.Event()
        self.broken: list[BaseException] = []  # what clients could make nothing of

    def wait(self) -> None:
        """Until so many messages as are the goal have been put, and acknowledged."""
        reached = self._reached.wait(PATIENCE)
        assert reached, f"{self._acknowledged} of {self._goal} PUTs were acknowledged; the last: {self._failure}"

    def wait_for_failure(self) -> None:
        """Until something was not: an error of the server, or no answer."""
        assert self._failed.wait(PATIENCE), "the server goes on as if nothing had happened"

    @contextmanager
    def dying(self) -> Iterator[None]:
        """For a block that takes from the server what it stores in.

        What is under way meanwhile remains unknown, whatever the server says: a cut-off ext4 tells an fdatasync that
        it has just interrupted, about once in ten times, that it was done. After a loss of power nobody would have been
        there to be told. What begins later can't be done any more; where it is acknowledged all the same, it is lost.
        """
        self._dying = True
        yield
        self._dead_from = time.monotonic()

    def believes(self, operation: Operation) -> bool:
        return not self._dying or operation.began >= self._dead_from

    def acknowledge(self, messages: int) -> None:
        with self._lock:
            self._acknowledged += messages
            if self._acknowledged >= self._goal:
                self._reached.set()

    def fail(self, how: str) -> None:
        self._failure = how
        self._failed.set()


class Clients:
    """Those who put a load on one server after another, all on the same messages."""

    def __init__(self, history: History, count: int = CLIENTS) -> None:
        self._clients = [Client(history, number) for number in range(count)]

    @contextmanager
    def on(self, port: int, puts: int) -> Iterator[Load]:
        """Put a load on a server, which is stopped with the block; so many `puts` are what `Load.wait` waits for."""
        load = Load(puts)
        threads = [threading.Thread(target=client.run, args=(port, load)) for client in self._clients]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            load.stopped.set()
            for thread in threads:
                thread.join()
        if load.broken:
            raise load.broken[0]


class Call(NamedTuple):
    """A request, and what is to be made of its answer where it is 2xx, 404 or 409."""

    operation: Operation
    data: bytes
    read: Callable[[Answer], None]


class Client:
    """Does one thing after the other, or several at once in one connection."""

    def __init__(self, history: History, number: int) -> None:
        self._history = history
        self._number = number
        self._chance = random.Random()
        self._count = 0  # of the ids that it took
        self._mine: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED)  # queue and id of what it put
        self._held: deque[tuple[str, str, str]] = deque(maxlen=_REMEMBERED)  # with a receipt, which may be stale by now

    def run(self, port: int, load: Load) -> None:
        # What has begun when the connection breaks remains unknown.
        try:
            with Connection(port) as connection:
                while not load.stopped.is_set():
                    self.exchange(connection, load, self._next_calls())
        except OSError as error:
            load.fail(f"no answer: {error!r}")
        except BaseException as error:
            load.broken.append(error)
            load.fail(repr(error))

    def exchange(self, connection: Connection, load: Load, calls: Sequence[Call]) -> None:
        if not calls:
            return
        connection.send(b"".join([call.data for call in calls]))
        for operation, _, read in calls:
            answer = connection.answer()
            if answer.status >= 500:
                load.fail(f"{answer}")
            if not load.believes(operation):
                continue
            if answer.status in {412, 429, 507}:
                operation.fail()
            elif answer.status < 300 or answer.status in {404, 409}:
                read(answer)
                if isinstance(operation, Put) and operation.outcome == "ok":
                    load.acknowledge(len(operation.ids))
            elif answer.status < 500:
                operation.surprise(f"{operation} was answered with {answer}")

    def _next_calls(self) -> list[Call]:
        chance = self._chance
        queue = chance.choice([SHARED, own(self._number)])
        what = chance.random()
        if what < 0.25:
            return [self.put(queue)]
        if what < 0.40:
            return [self.put(queue) for _ in range(chance.randint(2, _BURST))]
        if what < 0.50:
            return [self.put_many(queue, chance.randint(2, _MANY))]
        if what < 0.65:
            return [self.claim(queue, chance.randint(1, 5), chance.choice(LEASES))]
        if what < 0.70:
            return [self.pop(queue, chance.randint(1, 5))]
        if what < 0.80:
            return self._delete_one()
        return self._use_receipts()

    def _delete_one(self) -> list[Call]:
        """By its id alone: it may be another's by now, or gone."""
        if not self._mine:
            return []
        queue, id = self._pick(self._mine)
        return [self.delete(queue, [id], None)]

    def _use_receipts(self) -> list[Call]:
        """Of what it holds, or has held; some are tried again, when they must be stale."""
        if not self._held:
            return []
        queue, id, receipt = self._pick(self._held)
        what = self._chance.random()
        if what < 0.4:
            return [self.delete(queue, [id], [receipt])]
        if what < 0.6:
            same = [(queue, id, receipt), *(each for each in self._held if each[0] == queue and each[1] != id)][:10]
            same = list({each[1]: each for each in same}.values())
            return [self.delete(queue, [each[1] for each in same], [each[2] for each in same])]
        self._held.append((queue, id, receipt))
        return [self.hide(queue, id, receipt, self._chance.choice(LEASES) if what < 0.8 else 0)]

    def _pick(self, remembered: deque[T]) -> T:
        remembered.rotate(self._chance.randrange(len(remembered)))
        return remembered.pop()

    # Each kind of request.

    def put(self, queue: str) -> Call:
        id = self._next_id()
        body = body_of(queue, id)
        operation = self._history.put(queue, (id, body))
        return Call(operation, _request("PUT", queue, id, "ttl=0", body), self._stored(operation))

    def put_many(self, queue: str, count: int) -> Call:
        messages = [(id, body_of(queue, id)) for id in [self._next_id() for _ in range(count)]]
        operation = self._history.put(queue, *messages)
        listed = [{"id": id, "body": _in_json(body), "ttl": 0} for id, body in messages]
        data = _request("PUT", queue, body=json.dumps({"messages": listed}).encode())
        return Call(operation, data, self._stored(operation))

    def claim(self, queue: str, limit: int = 1, hide: int = 600) -> Call:
        operation = self._history.claim(queue, hide, limit)
        data = _request("POST", queue, query=f"limit={limit}&hide={hide}&detail=all")
        return Call(operation, data, self._handed(operation))

    def pop(self, queue: str, limit: int = 1) -> Call:
        operation = self._history.pop(queue, limit)
        return Call(operation, _request("DELETE", queue, query=f"limit={limit}&detail=all"), self._handed(operation))

    def delete(self, queue: str, ids: Sequence[str], receipts: Sequence[str] | None) -> Call:
        operation = self._history.delete(queue, ids, receipts)
        if len(ids) > 1:
            query = urlencode([("id", id) for id in ids] + [("receipt", each) for each in receipts or ()])
            return Call(operation, _request("DELETE", queue, query=query), _each(operation))
        query = "" if receipts is None else f"receipt={receipts[0]}"
        return Call(operation, _request("DELETE", queue, ids[0], query), _alone(operation))

    def hide(self, queue: str, id: str, receipt: str, seconds: int) -> Call:
        operation = self._history.hide(queue, [id], [receipt], seconds)
        return Call(operation, _request("POST", queue, id, f"hide={seconds}&receipt={receipt}"), _alone(operation))

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._number}.{self._count}"

    def _stored(self, put: Put) -> Callable[[Answer], None]:
        def read(answer: Answer) -> None:
            if answer.status != 201:
                put.surprise(f"a PUT of {put.ids[0]}, the first, was answered with {answer}")
                return
            put.ok()
            self._mine.append((put.queue, put.ids[0]))

        return read

    def _handed(self, take: Take) -> Callable[[Answer], None]:
        def read(answer: Answer) -> None:
            found = [] if answer.status == 404 else answer.json
            take.ok([Handed(each["id"], body_in(each["body"]), each.get("receipt")) for each in found])
            self._held += [(take.queue, each["id"], each["receipt"]) for each in found if "receipt" in each]

        return read


def _each(change: Change) -> Callable[[Answer], None]:
    return lambda answer: change.ok([each["status"] for each in answer.json])


def _alone(change: Change) -> Callable[[Answer], None]:
    return lambda answer: change.ok(["gone" if answer.status == 404 else "held" if answer.status == 409 else "done"])


def _request(method: str, queue: str, id: str = "", query: str = "", body: bytes = b"") -> bytes:
    path = f"/v1.1/{ACCOUNT}/{queue}{'/' if id else ''}{id}{'?' if query else ''}{query}"
    head = f"{method} {path} HTTP/1.1\r\nHost: leveret\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _in_json(body: bytes) -> str | dict[str, str]:
    return body.decode() if body.isascii() else {"base64": base64.b64encode(body).decode()}
