"""What clients asked of a server and what they were told, by one clock for all. Knows no HTTP, and judges nothing.

A client logs an operation before it sends the request, and says what came of it after it has read the answer: `ok`,
`fail` (it certainly was not done), or nothing, where it is unknown. So where one operation had ended before another
began, the server did them in this order.

    history = History()
    put = history.put("jobs", ("1", b"resize cat.jpg"))
    put.ok()
    claim = history.claim("jobs", hide=60)
    claim.ok([Handed("1", b"resize cat.jpg", receipt)])
    history.delete("jobs", ["1"], [receipt]).ok()
    drain = history.drain("jobs")
    drain.ok([], None)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

Outcome: TypeAlias = Literal["ok", "failed", "unknown"]
Answer: TypeAlias = Literal["done", "gone", "held"]  # 2xx, 404 and 409, of one message by its id

DONE: Final = ("done",)


class Handed(NamedTuple):
    """A message as a claim or a pop answers it."""

    id: str
    body: bytes
    receipt: str | None = None


class Found(NamedTuple):
    """A message as a drain finds it."""

    id: str
    body: bytes
    hide: int = 0  # seconds that remain


class Counts(NamedTuple):
    """What a server says of a queue."""

    messages: int
    hidden: int
    bytes: int


class Got(NamedTuple):
    """What is kept of a message that was answered."""

    id: str
    mark: int
    receipt: str | None
    hide: int
    size: int


def mark_of(body: bytes) -> int:
    """Stands for a body, which would take more room."""
    return hash(body)


class Operation:
    """What one client asked for. Moments are monotonic seconds; one that has not ended may yet happen."""

    __slots__ = ("_clock", "began", "ended", "outcome", "queue", "strange")

    def __init__(self, clock: Callable[[], float], queue: str) -> None:
        self._clock = clock
        self.queue = queue
        self.outcome: Outcome = "unknown"
        self.ended = math.inf
        self.strange = ""
        self.began = clock()

    def fail(self) -> None:
        """It certainly was not done."""
        self.ended = self._clock()
        self.outcome = "failed"

    def surprise(self, said: str) -> None:
        """An answer that no server may give here: it remains unknown what was done, and is a violation by itself."""
        self.strange = said

    def _end(self) -> None:
        self.ended = self._clock()
        self.outcome = "ok"

    def crash(self, now: float) -> None:
        self.ended = min(self.ended, now)


class Put(Operation):
    """One message or many, all or none. An id is put once only."""

    __slots__ = ("ids", "marks")

    def __init__(self, clock: Callable[[], float], queue: str, messages: Sequence[tuple[str, bytes]]) -> None:
        self.ids = tuple([id for id, _ in messages])
        self.marks = tuple([mark_of(body) for _, body in messages])
        super().__init__(clock, queue)

    def ok(self) -> None:
        self._end()


class Take(Operation):
    """A claim or a pop of the first that are visible; a pop hides for ever."""

    __slots__ = ("got", "hide", "limit")

    def __init__(self, clock: Callable[[], float], queue: str, hide: float, limit: int) -> None:
        self.hide = hide
        self.limit = limit
        self.got: tuple[Got, ...] = ()
        super().__init__(clock, queue)

    @property
    def pops(self) -> bool:
        return self.hide == math.inf

    def ok(self, handed: Sequence[Handed]) -> None:
        """With what it answered; nothing, where it answered that nothing is visible."""
        self.got = tuple([Got(each.id, mark_of(each.body), each.receipt, 0, len(each.body)) for each in handed])
        self._end()


class Change(Operation):
    """Messages by their ids: deleted, where `seconds` is None, or hidden for so long, which extends a lease or, with
    0, releases it."""

    __slots__ = ("answers", "ids", "receipts", "seconds")

    def __init__(
        self,
        clock: Callable[[], float],
        queue: str,
        ids: Sequence[str],
        receipts: Sequence[str] | None,
        seconds: float | None,
    ) -> None:
        self.ids = tuple(ids)
        self.receipts = None if receipts is None else tuple(receipts)
        self.seconds = seconds
        self.answers: tuple[Answer, ...] = ()
        super().__init__(clock, queue)

    def ok(self, answers: Sequence[Answer] = DONE) -> None:
        """With what became of each."""
        assert len(answers) == len(self.ids), f"{len(answers)} answers for {len(self.ids)} messages"
        self.answers = tuple(answers)
        self._end()


class Drain(Operation):
    """All that a queue has, hidden or not, is taken out while nobody else is there."""

    __slots__ = ("counts", "found")

    def __init__(self, clock: Callable[[], float], queue: str) -> None:
        self.found: tuple[Got, ...] = ()
        self.counts: Counts | None = None
        super().__init__(clock, queue)

    def ok(self, found: Sequence[Found], counts: Counts | None) -> None:
        """With what was found, and what the server said before; None where it did not list the queue."""
        self.found = tuple([Got(each.id, mark_of(each.body), None, each.hide, len(each.body)) for each in found])
        self.counts = counts
        self._end()


class History:
    """All operations, by queue. Any thread may log; nothing is locked but by the interpreter."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._queues: dict[str, list[Operation]] = {}

    def put(self, queue: str, *messages: tuple[str, bytes]) -> Put:
        """Messages by id and body."""
        operation = Put(self._clock, queue, messages)
        self._of(queue).append(operation)
        return operation

    def claim(self, queue: str, hide: float, limit: int = 1) -> Take:
        operation = Take(self._clock, queue, hide, limit)
        self._of(queue).append(operation)
        return operation

    def pop(self, queue: str, limit: int = 1) -> Take:
        return self.claim(queue, math.inf, limit)

    def delete(self, queue: str, ids: Sequence[str], receipts: Sequence[str] | None = None) -> Change:
        return self._change(queue, ids, receipts, None)

    def hide(self, queue: str, ids: Sequence[str], receipts: Sequence[str] | None, seconds: float) -> Change:
        """Extend a lease, or release it."""
        return self._change(queue, ids, receipts, seconds)

    def drain(self, queue: str) -> Drain:
        operation = Drain(self._clock, queue)
        self._of(queue).append(operation)
        return operation

    def crash(self) -> None:
        """The server is dead, and no client is under way: what is unknown has happened by now, or never will."""
        now = self._clock()
        for operations in self._queues.values():
            for operation in operations:
                operation.crash(now)

    def queues(self) -> list[str]:
        return sorted(self._queues)

    def of(self, queue: str) -> list[Operation]:
        """What was asked of a queue, in the order in which it was logged."""
        return self._queues.get(queue, [])

    def copy(self) -> History:
        """What was logged so far; what is logged in the copy is not in this one."""
        copied = History(self._clock)
        copied._queues = {queue: list(operations) for queue, operations in self._queues.items()}
        return copied

    def forget(self, queue: str) -> None:
        """A queue that was drained and checked: what is in it from now on was put from now on."""
        self._queues.pop(queue, None)

    def _change(self, queue: str, ids: Sequence[str], receipts: Sequence[str] | None, seconds: float | None) -> Change:
        operation = Change(self._clock, queue, ids, receipts, seconds)
        self._of(queue).append(operation)
        return operation

    def _of(self, queue: str) -> list[Operation]:
        operations = self._queues.get(queue)
        return self._queues.setdefault(queue, []) if operations is None else operations
