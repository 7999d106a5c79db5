"""What clients asked of a server and what they were told, and what must therefore be there. Knows only REST v1.0."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from support import queues

ACCOUNT = "faults"
HIDE = 600  # seconds for which a claim hides
PAGE = 100  # messages read at once


class Reply(Protocol):
    """What is read of an answer."""

    status: int
    body: bytes


class Ask(Protocol):
    """A client: one request, and its answer."""

    def __call__(self, method: str, path: str, body: bytes | None = None) -> Reply: ...


class Found(NamedTuple):
    """A message as a server shows it."""

    id: str
    hide: int
    body: bytes


Seen: TypeAlias = dict[str, list[Found]]


def body_of(queue: str, id: str) -> bytes:
    """The body of a message. Most fit into a page of a database, some take several, and some are no text."""
    name = f"{queue}/{id}".encode()
    kind = zlib.crc32(name)
    size = 10_000 if kind % 16 == 0 else kind % 500
    stream = hashlib.shake_128(name)
    return stream.digest(size) if kind % 8 == 1 else stream.hexdigest(size).encode()


def path_of(queue: str, id: str) -> str:
    return f"/v1.0/{ACCOUNT}/{queue}/{id}"


def found_in(reply: Reply) -> list[Found]:
    """The messages of an answer with detail=all."""
    if reply.status == 404:
        return []
    assert reply.status == 200, f"{reply.status} {reply.body[:200]!r}"
    return [Found(one["id"], one["hide"], queues.body_of(one["body"])) for one in json.loads(reply.body)]


@dataclass(slots=True)
class Record:
    """One message. Moments are ticks of the ledger; what has no moment is unknown: it may have happened or not.

    An operation begins before its request is sent and is done after its answer is read. So where one was done before
    another had begun, the server did them in this order.
    """

    queue: str
    id: str
    put_begun: int
    put_done: int | None = None
    refused: bool = False
    deletes: int = 0  # begun
    deletes_done: int = 0
    gone: int | None = None  # since when it is known to be deleted
    claimed: int | None = None
    hidden_until: float = 0.0  # at least, by the ledger's clock

    def __str__(self) -> str:
        return f"{self.id} in {self.queue}"

    @property
    def must_be_there(self) -> bool:
        return self.put_done is not None and self.deletes == 0


class Ledger:
    """All that was asked of one database, over many restarts. An id is put once only; `clock` is in seconds."""

    def __init__(
        self, body: Callable[[str, str], bytes] = body_of, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.body = body
        self.clock = clock
        self.surprises: list[str] = []  # answers that no server may give that keeps what it has acknowledged
        self._records: dict[str, dict[str, Record]] = {}  # by queue and id
        self._over: set[tuple[str, str]] = set()  # ids that a check has found gone
        self._open_claims: Counter[str] = Counter()  # by queue: begun and not answered, so each may have hidden one
        self._numbers: Counter[int] = Counter()  # by writer: the last that it took
        self._ticks = itertools.count(1)
        self._lock = threading.Lock()  # guards all of the above

    # What writers say, before each request and after each answer.

    def next_id(self, writer: int) -> str:
        with self._lock:
            self._numbers[writer] += 1
            return f"{writer}.{self._numbers[writer]}"

    def begin_put(self, queue: str, id: str) -> None:
        with self._lock:
            self._records.setdefault(queue, {})[id] = Record(queue, id, next(self._ticks))

    def end_put(self, queue: str, id: str, status: int) -> bool:
        """Answers whether it was acknowledged."""
        with self._lock:
            record = self._records[queue][id]
            if status == 201:
                record.put_done = record.put_done or next(self._ticks)
            elif status == 507:
                record.refused = True
            elif status < 500:  # other errors of the server leave it unknown
                self.surprises.append(f"{record}: its PUT, the first, was answered with {status}")
            return status == 201

    def begin_delete(self, queue: str, id: str) -> None:
        with self._lock:
            self._records[queue][id].deletes += 1

    def end_delete(self, queue: str, id: str, status: int) -> bool:
        """Answers whether it was acknowledged."""
        with self._lock:
            record = self._records[queue][id]
            if status == 204:
                record.deletes_done += 1
                if record.deletes_done > 1:
                    self.surprises.append(f"{record}: two DELETEs were told that they deleted it")
            elif status == 404 and record.deletes == 1:
                self.surprises.append(f"{record}: its DELETE found nothing, though nobody else deleted it")
            elif status != 404:  # a 404 while another deletes it says that the other one did
                if status < 500:
                    self.surprises.append(f"{record}: its DELETE was answered with {status}")
                return False
            if record.gone is None:
                record.gone = next(self._ticks)
            return True

    def begin_claim(self, queue: str) -> float:
        """Answers the time, which the end of the claim is to name."""
        with self._lock:
            self._open_claims[queue] += 1
            return self.clock()

    def end_claim(self, queue: str, began: float, reply: Reply) -> Found | None:
        """Answers what was claimed, if it is the ledger's."""
        if reply.status not in {200, 404}:
            if reply.status < 500:
                self.surprises.append(f"a claim in {queue} was answered with {reply.status}")
            return None
        found = found_in(reply)
        with self._lock:
            self._open_claims[queue] -= 1
            known = [message for message in found if self._claimed(queue, message, began)]
        return known[0] if known else None

    def _claimed(self, queue: str, message: Found, began: float) -> bool:
        record = self._records.get(queue, {}).get(message.id)
        if record is None or record.refused:
            self.surprises.append(f"{message.id} in {queue} was handed out, and can't be there")
            return False
        if message.body != self.body(queue, message.id):
            self.surprises.append(f"{record} was handed out, and its body isn't intact: {_extract(message.body)}")
        if began < record.hidden_until:
            self.surprises.append(f"{record} was handed out twice")
        record.claimed = next(self._ticks)
        record.hidden_until = max(record.hidden_until, began + HIDE - 1)  # clocks may differ a little
        record.put_done = record.put_done or record.claimed  # whoever was handed it knows that it is there
        return True

    def mine(self, writer: int) -> list[Record]:
        """What a writer put that must be there."""
        with self._lock:
            return [one for one in self._all() if one.id.startswith(f"{writer}.") and one.must_be_there]

    # What a check needs.

    def _all(self) -> Iterator[Record]:
        return (record for records in self._records.values() for record in records.values())

    def losses(self, seen: Seen) -> list[str]:
        """Where what was acknowledged isn't so any more."""
        return [sentence for _, sentence in self._losses(seen)]

    def _losses(self, seen: Seen) -> list[tuple[int, str]]:
        """Each with the moment from which it was acknowledged."""
        losses = []
        shown = _by_name(seen)
        now = self.clock()
        for record in self._all():
            found = shown.get((record.queue, record.id))
            if found is None:
                if record.must_be_there:
                    done = record.put_done or 0
                    losses.append((done, f"{record} is missing: its PUT was acknowledged, and nobody deleted it"))
            elif record.gone is not None:
                losses.append((record.gone, f"{record} has come back: its DELETE was acknowledged"))
            elif record.claimed is not None and found.hide == 0 and now < record.hidden_until:
                losses.append((record.claimed, f"{record} is visible: an acknowledged claim hides it for {HIDE} s"))
        losses.extend((0, f"{id} in {queue} has come back: it had gone") for queue, id in shown.keys() & self._over)
        return losses

    def inconsistencies(self, seen: Seen) -> list[str]:
        """What is wrong even where the last of what was acknowledged may be lost."""
        wrong = []
        for queue, messages in seen.items():
            for id, times in Counter(message.id for message in messages).items():
                if times > 1:
                    wrong.append(f"{id} in {queue} is there {times} times")
            for message in messages:
                wrong += self._spoiled(queue, message)
            wrong += self._disordered(queue, messages)
            wrong += self._hidden_by_nobody(queue, messages)
        return [*wrong, *self._no_prefix(seen)]

    def _spoiled(self, queue: str, message: Found) -> Iterator[str]:
        record = self._records.get(queue, {}).get(message.id)
        if record is None:
            if (queue, message.id) not in self._over:
                yield f"{message.id} in {queue} is there, and was never sent"
            return
        if record.refused:
            yield f"{record} is there, and its PUT was refused"
        if message.body != self.body(queue, message.id):
            yield f"the body of {record} isn't intact: {_extract(message.body)}"

    def _disordered(self, queue: str, messages: list[Found]) -> Iterator[str]:
        latest: Record | None = None  # of those before
        for message in messages:
            record = self._records.get(queue, {}).get(message.id)
            if record is None:
                continue
            if latest is not None and record.put_done is not None and record.put_done < latest.put_begun:
                yield f"{record} comes after {latest.id}, which was put when it had been acknowledged"
            if latest is None or record.put_begun > latest.put_begun:
                latest = record

    def _hidden_by_nobody(self, queue: str, messages: list[Found]) -> Iterator[str]:
        records = self._records.get(queue, {})
        hidden = [one.id for one in messages if one.hide and one.id in records and not records[one.id].hidden_until]
        if len(hidden) > self._open_claims[queue]:
            claims = self._open_claims[queue]
            yield f"{', '.join(hidden)} in {queue} are hidden, and only {claims} claims can have done so"

    def _no_prefix(self, seen: Seen) -> Iterator[str]:
        """A database that lost something has lost all that came later, too."""
        losses = self._losses(seen)
        shown = _by_name(seen)
        kept = [one for one in self._all() if (one.queue, one.id) in shown]
        if losses and kept:
            done, loss = min(losses)
            last = max(kept, key=lambda record: record.put_begun)
            if done < last.put_begun:
                yield f"{last} is there, and was put when that which is lost had been acknowledged: {loss}"

    def settle(self, seen: Seen) -> None:
        """From here on, what was found is what there is: nothing is unknown any more."""
        with self._lock:
            shown = _by_name(seen)
            for record in list(self._all()):
                found = shown.get((record.queue, record.id))
                if found is None:
                    self._over.add((record.queue, record.id))
                    del self._records[record.queue][record.id]
                    continue
                record.put_done = record.put_done or next(self._ticks)
                record.deletes = record.deletes_done = 0
                record.gone = None
                if found.hide and not record.hidden_until:
                    record.claimed = next(self._ticks)
                    record.hidden_until = self.clock() + found.hide - 1  # it was rounded up
            self._open_claims.clear()
            self.surprises.clear()

    def queues(self) -> set[str]:
        with self._lock:
            return set(self._records)


def _by_name(seen: Seen) -> dict[tuple[str, str], Found]:
    return {(queue, message.id): message for queue, messages in seen.items() for message in messages}


def _extract(body: bytes) -> str:
    return f"{len(body)} bytes, {body[:20]!r}"


def read(ledger: Ledger, client: Ask) -> Seen:
    """All messages of all queues, those that the ledger knows and those that the server lists."""
    listed: list[str] = []
    reply = client("GET", f"/v1.0/{ACCOUNT}")
    if reply.status != 404:
        listed = json.loads(reply.body)
    seen: Seen = {}
    for queue in sorted({*listed, *ledger.queues()}):
        seen[queue] = []
        while True:
            marker = f"&marker={seen[queue][-1].id}" if seen[queue] else ""
            path = f"/v1.0/{ACCOUNT}/{queue}?match_hidden=true&detail=all&limit={PAGE}{marker}"
            page = found_in(client("GET", path))
            seen[queue] += page
            if len(page) < PAGE:
                break
    if sorted(listed) != (full := [queue for queue, messages in seen.items() if messages]):
        ledger.surprises.append(f"{full} have messages, and listed are {listed}")
    return seen


def check(ledger: Ledger, client: Ask) -> list[str]:
    """Read all that a server has after its restart; answers, in plain sentences, where it is not what it must be.

    What was unknown is known from here on, so the ledger can carry on.
    """
    seen = read(ledger, client)
    violations = ledger.surprises + ledger.losses(seen) + ledger.inconsistencies(seen)
    ledger.settle(seen)
    return violations


def assert_whole(ledger: Ledger, client: Ask, when: str = "") -> None:
    """Fail where the check finds violations, and name them."""
    violations = check(ledger, client)
    assert not violations, "\n".join([f"{len(violations)} violations {when}", *violations[:20]])


def drain(ledger: Ledger, client: Ask, queue: str) -> None:
    """Delete all messages of a queue, while nobody else is there."""
    reply: Any = client("DELETE", f"/v1.0/{ACCOUNT}/{queue}?match_hidden=true&detail=id")
    if reply.status != 404:
        assert reply.status == 200, reply
        for id in json.loads(reply.body):
            ledger.begin_delete(queue, id)
            ledger.end_delete(queue, id, 204)
