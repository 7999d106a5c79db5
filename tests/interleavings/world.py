"""A store in memory, a service and loops, for threads that a schedule runs, or for threads that run as they will.

Time moves on when nobody can: what is hidden for seconds reappears at once, and the polls' own ends are never reached.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from interleavings.schedule import Choice, Schedule, ScheduledLock, Scheduler
from leveret import service, waiters
from leveret.model import Change, Filters, Message
from leveret.service import QueueConfig, QueueService
from leveret.store import accounts, agenda, ledger, memory, roll
from leveret.store.memory import MemoryStore
from leveret.waiters import Waiters
from model.drivers import StoreDriver
from scalestack.event import loops
from scalestack.event.loops import Loops, LoopThread
from scalestack.event.makers import loop_maker
from scalestack.event.pending import Pending
from support.subject import START, at_once
from support.web import PATIENCE

WATCHED = [f"{module.__file__}" for module in (accounts, agenda, loops, memory, roll, service, waiters)]
WAIT = 3600  # seconds of a poll
HORIZON = 60.0  # seconds that may pass by themselves


class Timer:
    def __init__(self, at: float, call: Callable[[], object]) -> None:
        self.at = at
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self.call = None


class ScheduledLoop:
    """What a `LoopThread` needs of a loop. Each call that is ready is run for itself."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ready: deque[Callable[[], object]] = deque()
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self._world.now

    def call_soon(self, call: Callable[..., object], *args: Any) -> None:
        self._ready.append(lambda: call(*args))

    call_soon_threadsafe = call_soon

    def call_later(self, seconds: float, call: Callable[..., object], *args: Any) -> Timer:
        timer = Timer(self._world.now + seconds, lambda: call(*args))
        self.timers.append(timer)
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]

    def ring(self) -> None:
        """What is due is ready."""
        for timer in [timer for timer in self.timers if timer.at <= self._world.now]:
            self.timers.remove(timer)
            if timer.call is not None:
                self._ready.append(timer.call)

    def run_forever(self) -> None:
        scheduler = self._world.scheduler
        assert scheduler is not None
        while True:
            scheduler.wait(lambda: bool(self._ready))
            self._ready.popleft()()


class ScheduledLoopThread(LoopThread):
    """A loop thread that a schedule runs."""

    @staticmethod
    def _finish(loop: Any) -> None:
        """Nothing is left of it."""


class Client(StoreDriver):
    """A twin of a store, for one thread, in the words of the reference; what it is asked is noted."""

    def __init__(self, world: World, store: MemoryStore) -> None:
        self._world = world
        self._settle = at_once
        self._store = store
        self._quotas = world.quotas

    @property
    def now(self) -> float:  # type: ignore[override]
        return self._world.now

    @now.setter
    def now(self, now: float) -> None:
        self._world.now = now

    def call(self, name: str, *args: Any) -> None:
        """Ask, and note when it began, when it was over and what was answered."""
        began = self._world.tick()
        answer = getattr(self, name)(*args)
        self._world.history.append((began, self._world.tick(), name, args, answer))


class Poll:
    """A poll that is parked where nothing is there, and what it was answered."""

    def __init__(self, world: World, number: int, kind: str, filters: Filters) -> None:
        self.kind = kind
        self.filters = filters
        self.answers: list[list[Message]] = []
        self.cancelled = False
        self._world = world
        self._loop = world.loops[number % len(world.loops)]
        self._pending: Pending[Any] | None = None

    def begin(self) -> None:
        """Ask, on its loop."""
        self._loop.post(self._ask)

    def leave(self) -> None:
        """Hang up."""
        self._loop.post(self._cancel)

    def _ask(self) -> None:
        own = self._world.service
        if self.kind == "claim":
            answer = own.update_matching("a", "q", self.filters, Change(hide=600), WAIT)
        elif self.kind == "pop":
            answer = own.delete_matching("a", "q", self.filters, WAIT)
        else:
            answer = own.select("a", "q", self.filters, WAIT)
        if isinstance(answer, Pending):
            self._pending = answer
            answer.listen(lambda value, error: self.answers.append(value or []))
        else:
            self.answers.append(answer)

    def _cancel(self) -> None:
        self.cancelled = self._pending is not None and self._pending.cancel()

    @property
    def waits(self) -> bool:
        return not (self.answers or self.cancelled)


class World:
    """What a scenario happens in."""

    def __init__(self, make_waiters: type[Waiters], make_store: type[MemoryStore]) -> None:
        self.now = START
        self.scheduler: Scheduler | None = None
        self.loops: list[Any] = []
        self.history: list[tuple[int, int, str, tuple[Any, ...], Any]] = []
        self.quotas: dict[str, Any] = {}
        self.polls: list[Poll] = []
        self._ticks = 0
        self._tick_lock = threading.Lock()
        self._make_waiters = make_waiters
        self.store = make_store()
        self.service: QueueService

    def tick(self) -> int:
        with self._tick_lock:
            self._ticks += 1
            return self._ticks

    def serve(self) -> None:
        """Begin, with the loops that there are."""
        self.service = QueueService(self.store, lambda: self.now, QueueConfig(), self.loops[0])
        self.service._waiters = self._make_waiters(lambda: self.now)
        self.service._parked = self.service._waiters.queues
        self.service.start()

    def client(self) -> Client:
        return Client(self, self.store.twin(self.service))

    def poll(self, kind: str, **filters: Any) -> Poll:
        poll = Poll(self, len(self.polls), kind, Filters(limit=1, **filters))
        self.polls.append(poll)
        return poll

    def _pass_time(self) -> bool:
        """To the next timer, where that is not far."""
        timers = [timer for loop in self.loops for timer in loop.loop.timers if timer.call is not None]
        soon = [timer.at for timer in timers if timer.at <= START + HORIZON]
        if not soon:
            return False
        self.now = max(self.now, min(soon))
        for loop in self.loops:
            loop.loop.ring()
        return True


Begun = tuple[list[Callable[[], object]], Callable[[], object]]  # what is done at once, and what must hold after it
Scenario = Callable[[World], Begun]


class Runner:
    """Runs scenarios; `make_waiters` and `make_store` are for those that are wrong on purpose."""

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        make_waiters: type[Waiters] = Waiters,
        make_store: type[MemoryStore] = MemoryStore,
    ) -> None:
        self._patch = patch
        self._make = (make_waiters, make_store)

    def scheduled(self, scenario: Scenario, schedule: Schedule) -> list[Choice]:
        """One run by a schedule, and what was chosen; `AssertionError` where something doesn't hold."""
        with self._patch.context() as patch:
            world = World.__new__(World)

            def make_lock() -> ScheduledLock:
                return ScheduledLock(lambda: world.scheduler)

            world.scheduler = None
            for module in (accounts, agenda, ledger):
                patch.setattr(module, "Lock", make_lock)
            world.__init__(*self._make)  # type: ignore[misc]
            for number in range(2):
                thread = ScheduledLoopThread(f"loop {number}", lambda: ScheduledLoop(world))  # type: ignore[arg-type,return-value]
                thread._post_lock = make_lock()  # type: ignore[assignment]
                thread.loop = ScheduledLoop(world)  # type: ignore[assignment]
                loop = thread.loop
                thread._make_loop = lambda loop=loop: loop  # type: ignore[misc]
                world.loops.append(thread)
            world.serve()
            world.service._waiters._parked_lock = make_lock()  # type: ignore[assignment]
            calls, check = scenario(world)
            scheduler = Scheduler(schedule, WATCHED, world._pass_time)
            world.scheduler = scheduler
            for call in calls:
                scheduler.add(call)
            if world.polls:
                for each in world.loops:
                    scheduler.add(each._run, ends=False)
            scheduler.run()
            world.scheduler = None
            check()
        return scheduler.choices

    @contextmanager
    def parallel(self) -> Iterator[Callable[[Scenario], None]]:
        """To run with threads as the system runs them."""
        running = Loops(2, loop_maker("auto"))
        running.start()

        def run(scenario: Scenario) -> None:
            world = World(*self._make)
            world.loops = list(running.threads)
            world.serve()
            calls, check = scenario(world)
            barrier = threading.Barrier(len(calls))
            errors: list[BaseException] = []

            def body(call: Callable[[], object]) -> None:
                try:
                    barrier.wait(PATIENCE)
                    call()
                except BaseException as error:
                    errors.append(error)

            threads = [threading.Thread(target=body, args=[call]) for call in calls]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            for _ in range(6):  # what was posted has run, and what that posted, and so on
                for loop in world.loops:
                    loop.call(lambda: None).result(PATIENCE)
            assert not errors, errors
            check()
            world.service.drain()

        try:
            yield run
        finally:
            running.stop()
