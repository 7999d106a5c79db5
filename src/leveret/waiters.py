"""Parked long polls. Knows queues and loops; knows nothing of HTTP or of stores.

A waiter is registered before it looks a second time, so nothing that happens in between is missed. A wake-up goes to
every reader, and once all of them have looked, to one consumer. It is passed on to the next consumer by one that is
gone, by one that found something (there may be more, now or when a hide ends), and by one whose filter may have missed
what another's would not.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from scalestack.clock import Clock
from scalestack.event.deadlines import Handle
from scalestack.event.loops import LoopThread
from scalestack.event.pending import Answer, Pending

T = TypeVar("T")
Key: TypeAlias = tuple[str, str]  # account, queue

_SHORTEST_TIMER = 0.001  # seconds; loops count in milliseconds, and one that rang early would ring again at once


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """What a look at the queue brought."""

    found: T
    empty: bool  # nothing matched
    next_at: float | None = None  # where empty: the wall time at which something hidden may match


class Interest(Protocol[T]):
    """What a poll waits for."""

    @property
    def nothing(self) -> T:
        """The answer when the wait ends."""

    @property
    def consumes(self) -> bool:
        """Whether it takes what it finds away from the others."""

    @property
    def sees_hidden(self) -> bool:
        """Whether hidden messages match as well."""

    @property
    def narrow(self) -> bool:
        """Whether it may find nothing where another finds something."""

    def look(self) -> Answer[Look[T]]:
        """Look at the queue, and take what matches where it consumes."""


class _State(Enum):
    SLEEPING = "sleeping"  # in its queue's collection
    WOKEN = "woken"  # holds a wake-up, and has not looked yet
    LOOKING = "looking"
    ENDED = "ended"


class _Waiter(Pending[T]):
    """One parked poll, and its answer: one object, as there are many. Only its own thread calls its methods and changes
    what isn't guarded by the parked lock."""

    __slots__ = (
        "deadline", "ended", "expired", "interest", "looking", "queue", "seen", "slept", "state", "thread", "wake"
    )  # fmt: skip

    parked = True

    def __init__(
        self, queue: _Parked, thread: LoopThread, interest: Interest[T], ended: Callable[[], object] | None
    ) -> None:
        super().__init__()
        self.queue = queue
        self.thread = thread
        self.interest = interest
        self.ended = ended
        self.state = _State.WOKEN
        self.seen = -1  # the queue's count of wake-ups when it last began to look
        self.slept = False
        self.looking: Pending[Look[T]] | None = None  # the answer of the look under way
        self.expired = False
        self.deadline: Handle | None = None
        self.wake: _Wake | None = None  # the wake-up on its way to it, where others wait for it to have looked

    @property
    def takes_turns(self) -> bool:
        """Whether one wake-up is for one of its kind only. Consumers that see hidden messages are rare: all wake up."""
        return self.interest.consumes and not self.interest.sees_hidden

    def due(self) -> None:
        """Its time is up."""
        self.queue.waiters.expire(self)

    def _call_back(self) -> bool:
        if self._came:
            return super()._call_back()  # of what follows
        self.queue.waiters.leave(self)
        return True


@dataclass(slots=True)
class _Wake:
    """One wake-up, of which consumers have their share when no reader has still to look. Guarded by the parked lock."""

    readers_left: int
    consumers: list[_Waiter[Any]]


@dataclass(slots=True, eq=False)
class _Parked:
    """The waiters of one queue. Guarded by the parked lock."""

    waiters: Waiters
    key: Key
    thread: LoopThread  # keeps the timer
    members: int = 0
    wakes: int = 0  # how many wake-ups there were
    readers: dict[_Waiter[Any], None] = field(default_factory=dict)
    watchers: dict[_Waiter[Any], None] = field(default_factory=dict)  # those that see hidden messages
    consumers: OrderedDict[_Waiter[Any], None] = field(default_factory=OrderedDict)  # the first is woken next
    due: float | None = None  # wall time at which something hidden becomes visible
    timer: asyncio.TimerHandle | None = None  # touched by `thread` only

    def sleepers_of(self, waiter: _Waiter[Any]) -> dict[_Waiter[Any], None]:
        if waiter.takes_turns:
            return self.consumers
        return self.watchers if waiter.interest.sees_hidden else self.readers


class Waiters:
    """All parked polls of a process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parked_lock = threading.Lock()  # guards what follows, and every _Parked
        self.queues: dict[Key, _Parked] = {}  # to others, whether any poll is parked
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether nothing waits any more."""
        return self._draining

    def __len__(self) -> int:
        """How many polls are parked."""
        with self._parked_lock:
            return sum(parked.members for parked in self.queues.values())

    def park(
        self, key: Key, seconds: float, interest: Interest[T], ended: Callable[[], object] | None = None
    ) -> Pending[T]:
        """Wait until `interest` finds something in the queue, at most so many seconds. Called on a loop thread.

        `ended` is called there, once, when it waits no more, in whichever way that ends.
        """
        thread = LoopThread.current()
        if thread is None:
            raise RuntimeError("a poll can only be parked on a loop thread")
        with self._parked_lock:
            parked = self.queues.get(key)
            if parked is None:
                parked = self.queues[key] = _Parked(self, key, thread)
            parked.members += 1
            draining = self._draining
        waiter = _Waiter(parked, thread, interest, ended)
        waiter.expired = draining
        if not draining:
            waiter.deadline = thread.own.deadlines.add(seconds, waiter)
        self._look(waiter)
        return waiter

    def signal(self, key: Key, at: float) -> None:
        """A message of the queue is visible at `at`, which may be in the future. From any thread; cheap without polls.

        To be called after the change is made: a poll that looked before it is registered by now, and found here.
        """
        parked = self.queues.get(key)
        if parked is None:
            return
        if at <= self._clock():
            self._wake(parked)
            return
        self._wake(parked, visible=False)
        self._arm(parked, at)

    def drain(self) -> None:
        """Answer all that are parked as if their time were up, and from now on let none wait."""
        with self._parked_lock:
            self._draining = True
            waiters = [
                waiter
                for parked in self.queues.values()
                for sleepers in (parked.readers, parked.watchers, parked.consumers)
                for waiter in sleepers
            ]
        for waiter in waiters:
            waiter.thread.post(self.expire, waiter)

    # Wake-ups, from any thread.

    def _wake(self, parked: _Parked, visible: bool = True) -> None:
        """Wake those whom a message concerns that is visible, or else hidden."""
        with self._parked_lock:
            parked.wakes += 1
            woken = self._take(parked.watchers)
            if visible:
                woken += self._take(parked.readers)
                if parked.consumers:
                    consumer, _ = parked.consumers.popitem(last=False)
                    consumer.state = _State.WOKEN
                    woken.append(consumer)
            readers = [waiter for waiter in woken if not waiter.interest.consumes]
            consumers = [waiter for waiter in woken if waiter.interest.consumes]
            if readers and consumers:
                wake = _Wake(len(readers), consumers)
                for reader in readers:
                    reader.wake = wake
        self._post_looks(readers or consumers)

    def _has_looked(self, reader: _Waiter[Any]) -> None:
        """Let the consumers look, where this was the last reader that they had to wait for."""
        with self._parked_lock:
            wake, reader.wake = reader.wake, None
            if wake is None:
                return
            wake.readers_left -= 1
            consumers = [] if wake.readers_left else wake.consumers
        self._post_looks(consumers)

    def _pass_on(self, parked: _Parked) -> None:
        """Wake the next consumer, where it has not looked since the last wake-up."""
        with self._parked_lock:
            consumer = next(iter(parked.consumers), None)
            if consumer is None or consumer.seen == parked.wakes:
                return
            del parked.consumers[consumer]
            consumer.state = _State.WOKEN
        consumer.thread.post(self._look, consumer)

    @staticmethod
    def _take(sleepers: dict[_Waiter[Any], None]) -> list[_Waiter[Any]]:
        woken = list(sleepers)
        sleepers.clear()
        for waiter in woken:
            waiter.state = _State.WOKEN
        return woken

    def _post_looks(self, waiters: Iterable[_Waiter[Any]]) -> None:
        for waiter in waiters:
            waiter.thread.post(self._look, waiter)

    # What a waiter does, on its own thread.

    def _look(self, waiter: _Waiter[T]) -> None:
        if waiter.state is _State.ENDED:
            self._has_looked(waiter)
            return  # it left with its wake-up, and has passed it on
        waiter.state = _State.LOOKING
        with self._parked_lock:
            waiter.seen = waiter.queue.wakes
        try:
            answer = waiter.interest.look()
        except Exception as error:  # the poll's answer, whatever it is
            self._looked(waiter, None, error)
            return
        if isinstance(answer, Pending):
            waiter.looking = answer
            answer.listen(lambda look, error: self._looked(waiter, look, error))
        else:
            self._looked(waiter, answer, None)

    def _looked(self, waiter: _Waiter[T], look: Look[T] | None, error: BaseException | None) -> None:
        waiter.looking = None
        if waiter.wake is not None:
            self._has_looked(waiter)
        interest = waiter.interest
        if waiter.state is _State.ENDED:  # it left while the store worked
            self._pass_on(waiter.queue)
        elif look is None:
            self._end(waiter)
            waiter.fail(error or RuntimeError("a look brought no answer"))
            self._pass_on(waiter.queue)
        elif not look.empty:
            self._end(waiter)
            waiter.resolve(look.found)
            if waiter.takes_turns:
                self._pass_on(waiter.queue)
        elif waiter.expired:
            self._end(waiter)
            waiter.resolve(interest.nothing)
            if interest.narrow:
                self._pass_on(waiter.queue)
        else:
            self._sleep(waiter, look)

    def _sleep(self, waiter: _Waiter[T], look: Look[T]) -> None:
        """There was nothing: wait for the next wake-up, unless there was one meanwhile."""
        parked = waiter.queue
        narrow = waiter.interest.narrow
        with self._parked_lock:
            missed = parked.wakes != waiter.seen
            waiter.state = _State.WOKEN if missed else _State.SLEEPING
            if not missed:
                parked.sleepers_of(waiter)[waiter] = None
                if waiter.takes_turns and waiter.slept and not narrow:
                    parked.consumers.move_to_end(waiter, last=False)  # it was woken for nothing, and keeps its turn
                waiter.slept = True
            expire = self._draining
        if missed:
            waiter.thread.post(self._look, waiter)
        else:
            if look.next_at is not None:
                self._arm(parked, look.next_at)
            if waiter.takes_turns and narrow:
                self._pass_on(parked)
        if expire:
            self.expire(waiter)

    def expire(self, waiter: _Waiter[T]) -> None:
        """Its time is up. One that holds a wake-up still looks."""
        waiter.expired = True
        with self._parked_lock:
            if waiter.state is not _State.SLEEPING:
                return
        self.leave(waiter)
        waiter.resolve(waiter.interest.nothing)

    def leave(self, waiter: _Waiter[T]) -> None:
        """It takes nothing, and a wake-up that it holds goes to the next."""
        held_wake_up = self._end(waiter) is _State.WOKEN
        if waiter.looking is not None:
            waiter.looking.withdraw()
        if held_wake_up:
            self._pass_on(waiter.queue)

    def _end(self, waiter: _Waiter[T]) -> _State:
        """Forget it; answers what it was doing."""
        if waiter.deadline is not None:
            waiter.thread.own.deadlines.discard(waiter.deadline, waiter)
            waiter.deadline = None
        parked = waiter.queue
        with self._parked_lock:
            before = waiter.state
            if before is _State.ENDED:
                return before
            waiter.state = _State.ENDED
            if before is _State.SLEEPING:
                del parked.sleepers_of(waiter)[waiter]
            parked.members -= 1
            last = not parked.members
            if last:
                del self.queues[parked.key]
        if last and parked.due is not None:
            parked.thread.post(self._set_timer, parked)
        if waiter.ended is not None:
            waiter.ended()
        return before

    # The timer of a queue, for hidden messages whose time comes.

    def _arm(self, parked: _Parked, at: float) -> None:
        with self._parked_lock:
            if parked.due is not None and parked.due <= at:
                return
            parked.due = at
        parked.thread.post(self._set_timer, parked)

    def _set_timer(self, parked: _Parked) -> None:
        if parked.timer is not None:
            parked.timer.cancel()
            parked.timer = None
        if parked.due is not None and parked.members:
            delay = max(_SHORTEST_TIMER, parked.due - self._clock())
            parked.timer = parked.thread.later(delay, self._ring, parked)

    def _ring(self, parked: _Parked) -> None:
        parked.timer = None
        with self._parked_lock:
            parked.due = None
        self._wake(parked)
