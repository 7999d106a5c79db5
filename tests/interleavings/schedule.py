"""Real threads, of which one runs at a time, and the schedule says which: the same schedule is the same run.

A thread may be interrupted before each line of the files that are watched, and before it takes a lock. Not by
pytest-run-parallel: there the operating system chooses, so that what fails once fails never again.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

PATIENCE = 30  # seconds until a run that stands still has failed
LONGEST = 20_000  # choices in one run; one with more goes round in circles


class Abort(BaseException):
    """The run is over, and this thread with it."""


class Deadlock(AssertionError):
    """Some thread waits for a lock for ever."""


@dataclass
class Choice:
    """A moment at which another thread might have gone on."""

    options: list[int]
    chosen: int
    forced: bool  # the one that ran could not go on


class Schedule(Protocol):
    def choose(self, step: int, options: Sequence[int], running: int | None) -> int:
        """Which of the threads that can goes on; `running` is None where the one that ran can't."""


@dataclass
class Interrupted:
    """Each thread runs as long as it can, but for these choices, by their number."""

    choices: dict[int, int] = field(default_factory=dict)

    def choose(self, step: int, options: Sequence[int], running: int | None) -> int:
        chosen = self.choices.get(step)
        if chosen is not None and chosen in options:
            return chosen
        return options[0] if running is None else running


class Shuffled:
    """Interrupted at random, by a seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._often = self._chance.choice([0.02, 0.1, 0.3])

    def choose(self, step: int, options: Sequence[int], running: int | None) -> int:
        if running is None or self._chance.random() < self._often:
            return self._chance.choice(list(options))
        return running


class Task:
    def __init__(self, number: int, body: Callable[[], object], ends: bool) -> None:
        self.number = number
        self.body = body
        self.ends = ends  # a loop never does
        self.go = threading.Semaphore(0)
        self.waits_for: Callable[[], bool] | None = None
        self.for_a_lock = False
        self.done = False

    @property
    def ready(self) -> bool:
        return not self.done and (self.waits_for is None or self.waits_for())


class Scheduler:
    """One run. `idle` is asked when no thread can go on, and says whether one can now: time may have passed."""

    def __init__(self, schedule: Schedule, watched: Sequence[str], idle: Callable[[], bool]) -> None:
        self.choices: list[Choice] = []
        self.error: BaseException | None = None
        self._schedule = schedule
        self._watched = frozenset(watched)
        self._idle = idle
        self._tasks: list[Task] = []
        self._current: Task | None = None
        self._over = False
        self._ended = threading.Semaphore(0)

    def add(self, body: Callable[[], object], ends: bool = True) -> None:
        self._tasks.append(Task(len(self._tasks), body, ends))

    def run(self) -> None:
        """Until nobody can go on; raises what a thread raised."""
        threads = [threading.Thread(target=self._run, args=[task], daemon=True) for task in self._tasks]
        for thread in threads:
            thread.start()
        self._hand_over(None)
        assert self._ended.acquire(timeout=PATIENCE), "the run stands still"
        stuck = [task.number for task in self._tasks if not task.done and (task.ends or task.for_a_lock)]
        self._over = True
        for task in self._tasks:
            task.go.release()
        for thread in threads:
            thread.join(PATIENCE)
        self._current = None
        if self.error is not None:
            raise self.error
        if stuck:
            raise Deadlock(f"threads {stuck} wait for ever")

    def _run(self, task: Task) -> None:
        task.go.acquire()
        try:
            if not self._over:
                sys.settrace(self._trace)
                task.body()
        except Abort:
            pass
        except BaseException as error:
            self.error = self.error or error
        finally:
            sys.settrace(None)
        task.done = True
        if not self._over:
            self._hand_over(None)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self._line if frame.f_code.co_filename in self._watched else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self.point()
        return self._line

    def point(self) -> None:
        """Another may go on here."""
        task = self._current
        if task is None or self._over:
            return
        self._hand_over(task)

    def wait(self, condition: Callable[[], bool], for_a_lock: bool = False) -> None:
        """Go on when the condition holds."""
        task = self._current
        assert task is not None, "only a thread of the run can wait"
        task.waits_for, task.for_a_lock = condition, for_a_lock
        if not condition():
            self._hand_over(None, task)
        task.waits_for, task.for_a_lock = None, False

    def _hand_over(self, running: Task | None, waiting: Task | None = None) -> None:
        options = [task.number for task in self._tasks if task.ready]
        while not options and self.error is None and self._idle():
            options = [task.number for task in self._tasks if task.ready]
        if not options or self.error is not None or len(self.choices) > LONGEST:
            self._current = None
            self._ended.release()
            me = running or waiting
            if me is not None:
                me.go.acquire()
                raise Abort
            return
        chosen = options[0]
        if len(options) > 1:
            chosen = self._schedule.choose(len(self.choices), options, None if running is None else running.number)
            self.choices.append(Choice(options, chosen, running is None))
        me = running or waiting
        following = self._tasks[chosen]
        self._current = following
        if following is not me:
            following.go.release()
            if me is not None:
                me.go.acquire()
                if self._over:
                    raise Abort


class ScheduledLock:
    """A lock of the run: who waits for it can't be chosen. Outside of a run it is free."""

    def __init__(self, scheduler: Callable[[], Scheduler | None]) -> None:
        self._scheduler = scheduler
        self._held = False

    def __enter__(self) -> bool:
        scheduler = self._scheduler()
        if scheduler is not None and scheduler._current is not None and not scheduler._over:
            scheduler.point()
            while self._held:
                scheduler.wait(lambda: not self._held, for_a_lock=True)
        self._held = True
        return True

    def __exit__(self, *_: object) -> None:
        self._held = False


def explore(
    run: Callable[[Schedule], list[Choice]], preemptions: int, most: int, seed: int = 0
) -> Iterator[dict[int, int]]:
    """Run with every schedule of at most so many preemptions; of more than `most`, with so many by chance.

    Yields each schedule when its run is over (as CHESS explores: Musuvathi and Qadeer, PLDI 2007).
    """
    chance = random.Random(seed)
    left: list[tuple[dict[int, int], int]] = [({}, 0)]
    for _ in range(most):
        if not left:
            return
        number = chance.randrange(len(left))
        left[number], left[-1] = left[-1], left[number]
        choices, used = left.pop()
        made = run(Interrupted(choices))
        yield choices
        for step in range(max(choices, default=-1) + 1, len(made)):
            cost = used + (not made[step].forced)
            if cost <= preemptions:
                others = [option for option in made[step].options if option != made[step].chosen]
                left += [({**choices, step: option}, cost) for option in others]
