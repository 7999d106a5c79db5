"""Runs a command for each message, while it holds the lease. Knows no service: what it claims from is given to it.

A command that has not ended is never left alone with a lease that is lost, and a message is deleted only after its
command ended with 0, under a lease that was held all the time.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar, cast

from leveret.client import LeaseLost, LeveretError, Message, ServerFailed, TooManyRequests, Unavailable
from leveret.client.errors import PASSING
from leveret.client.operations import MAX_ASKED

T = TypeVar("T")

_WAIT: Final = 20  # seconds of one long poll
_LONGEST_PAUSE: Final = 30.0  # seconds between attempts to reach a service that is away
_AWAY: Final = {None, *PASSING}  # what it answers then
_GRACE: Final = 5.0  # seconds from SIGTERM to SIGKILL, for a command that is to end
_LOOK: Final = 0.05  # seconds until it is looked again whether all has ended that a command started
_LOST: Final = "its lease was lost"
_STOPPED: Final = "a second signal ended it"


class Held(Protocol):
    """A claimed message."""

    @property
    def message(self) -> Message: ...
    async def delete(self) -> None: ...
    async def release(self, seconds: int = 0) -> None: ...
    async def extend(self, seconds: int) -> None: ...


class Source(Protocol):
    """What messages are claimed from."""

    async def claim(self, seconds: int, *, wait: int, keep: bool) -> Held | None: ...


class Watch(Protocol):
    """What ends commands, which lead a process group each, where we are killed."""

    def watch(self, group: int) -> None: ...
    def forget(self, group: int) -> None: ...


@dataclass(frozen=True)
class Orders:
    """What is to be run, and how."""

    command: Sequence[str]
    environ: Mapping[str, str]
    concurrency: int = 1
    seconds: int = 60  # of a lease, which is extended while its command runs
    timeout: float | None = None  # seconds that a command may take
    backoff: int = 1  # seconds until a message is there again that failed once; twice as long each time it fails again
    max_backoff: int = 600  # seconds
    until_empty: bool = False

    def pause_after(self, deliveries: int) -> int:
        """Seconds until a message may be claimed again that has been handed out so often."""
        return min(self.max_backoff, self.backoff << min(max(deliveries - 1, 0), 32))


def environment_of(message: Message, base: Mapping[str, str]) -> dict[str, str]:
    """What a command is told of its message, besides the body."""
    # Of a message whose command we may be ourselves, nothing is passed on.
    environ = {name: text for name, text in base.items() if not name.startswith("LEVERET_HEADER_")}
    environ["LEVERET_ID"] = message.id
    environ["LEVERET_DELIVERIES"] = str(message.deliveries)
    environ["LEVERET_CONTENT_TYPE"] = message.content_type or ""
    for name, value in message.headers.items():
        environ[f"LEVERET_HEADER_{re.sub('[^A-Z0-9]', '_', name.upper())}"] = value
    return environ


class _Process(asyncio.SubprocessProtocol):
    """A command's own process. What it started may hold its standard input for longer, and is not waited for."""

    def __init__(self) -> None:
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)


@dataclass(eq=False)
class _Run:
    """A command under way."""

    process: asyncio.SubprocessTransport
    ended: str = ""  # why we ended it, where we did
    killed: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)  # that are of no use once it has ended

    def signal(self, number: int) -> bool:
        """To the command and all that it started; False where nothing is left of it."""
        # It leads a group of its own, and while that has members, no other process gets its number.
        try:
            os.killpg(self.process.get_pid(), number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


class Workforce:
    """So many commands at once, until it is told to stop."""

    def __init__(
        self,
        source: Source,
        orders: Orders,
        say: Callable[[str], None],
        *,
        guard: Watch | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`say` gets a line for each thing that went wrong."""
        self._source = source
        self._orders = orders
        self._say = say
        self._guard = guard
        self._sleep = sleep
        self._clock = clock
        self._stopping = False
        self._killing = False  # whether a second signal came
        self._reached = False  # whether the service ever answered
        self._unanswered = False  # whether it ended a connection before that
        self._away = False  # whether it was said that it doesn't any more
        self._waits: set[asyncio.Future[Any]] = set()  # what is given up at a stop
        self._runs: set[_Run] = set()
        self._busy = 0  # messages that are held
        self._one_ended = asyncio.Event()
        self._fatal: Exception | None = None
        self.done = 0  # messages that were deleted
        self.failed: set[str] = set()  # ids whose last attempt failed
        self.killed = False  # whether commands were ended by a second signal

    async def run(self) -> None:
        """Work until it is stopped, or all is done. Raises what makes it impossible, once what ran has ended."""
        await asyncio.gather(*(self._serve() for _ in range(self._orders.concurrency)))
        if self._fatal is not None:
            raise self._fatal

    def stop(self) -> None:
        """Claim no more, and let run what is running; called again, end that."""
        if self._stopping:
            self._killing = True
            for run in self._runs:
                self._end(run, _STOPPED)
        self._stopping = True
        for wait in self._waits:
            wait.cancel()

    async def _serve(self) -> None:
        """One after the other."""
        pause = 1.0
        while not self._stopping:
            try:
                wait = 0 if self._orders.until_empty else _WAIT
                claiming = self._source.claim(self._orders.seconds, wait=wait, keep=False)
                held = await self._or_stop(claiming)
            except (Unavailable, ServerFailed) as error:
                if self._orders.until_empty and error.code == "store-error":  # it takes somebody to mend that
                    self._give_up(error)
                    return
                busy = isinstance(error, TooManyRequests)
                if not (self._reached or busy):
                    if error.code == "unanswered" and not self._unanswered:
                        self._unanswered = True  # as where a key ends while it waits: the next time it is said
                        continue
                    self._give_up(error)
                    return
                if not self._away:
                    what = "says to come later" if busy else "is away" if error.status in _AWAY else "fails"
                    self._say(f"the server {what}: {error}")
                self._away = True
                asked = (error.retry_after or 0) if isinstance(error, TooManyRequests) else 0
                await self._or_stop(self._slept(max(pause, min(asked, MAX_ASKED))))
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            except Exception as error:
                self._give_up(error)
                return
            pause = 1.0
            self._reached, self._away = True, False
            if held is not None:
                await self._hold(held)
            elif self._orders.until_empty:
                if not self._busy:
                    return
                await self._or_stop(self._one_ended.wait())

    def _give_up(self, error: Exception) -> None:
        """Nothing more can be done; what runs may end."""
        if self._fatal is None:
            self._fatal = error
        if not self._stopping:
            self.stop()

    async def _slept(self, seconds: float) -> None:
        await self._sleep(seconds)

    async def _or_stop(self, wait: Coroutine[Any, Any, T]) -> T | None:
        """What it answers; None where it was given up for a stop."""
        task = asyncio.ensure_future(wait)
        self._waits.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self._stopping and task.cancelled():
                return None
            raise
        finally:
            self._waits.discard(task)

    async def _hold(self, held: Held) -> None:
        self._busy += 1
        try:
            if self._stopping:
                await self._settle(held, held.release(), "released")
            else:
                await self._work(held)
        finally:
            self._busy -= 1
            # Whoever is about to wait has this one, and one that is set doesn't miss the end that came before the wait.
            self._one_ended.set()
            self._one_ended = asyncio.Event()

    async def _work(self, held: Held) -> None:
        """Run the command, and have the message gone, or there again."""
        id = held.message.id
        began = self._clock()
        try:
            process, protocol = await asyncio.get_running_loop().subprocess_exec(
                _Process,
                *self._orders.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=None,
                stderr=None,
                env=environment_of(held.message, self._orders.environ),
                start_new_session=True,  # Ctrl-C is for us alone, and to end it ends what it started
            )
        except (FileNotFoundError, PermissionError) as error:
            await self._settle(held, held.release(), "released")
            self._give_up(error)
            return
        except (OSError, ValueError) as error:  # such as headers that are too long for an environment
            await self._fail(held, f"can't be run: {error}")
            return
        group = process.get_pid()
        if self._guard is not None:
            self._guard.watch(group)  # before the command is given its message
        run = _Run(process)
        self._runs.add(run)
        run.tasks.append(asyncio.create_task(self._keep(held, run, began + self._orders.seconds)))
        if self._orders.timeout is not None:
            run.tasks.append(asyncio.create_task(self._limit(run, self._orders.timeout)))
        if self._killing:  # since the command was begun
            self._end(run, _STOPPED)
        stdin = cast("asyncio.WriteTransport", process.get_pipe_transport(0))
        stdin.write(held.message.body)
        stdin.close()  # once all is written
        try:
            await protocol.exited
            # What it started is given the same time to end.
            while run.ended and not run.killed and run.signal(0):  # noqa: ASYNC110 - nobody tells when a group ends
                await asyncio.sleep(_LOOK)
        finally:
            self._runs.discard(run)
            if self._guard is not None:
                self._guard.forget(group)
            for task in run.tasks:
                task.cancel()
            await asyncio.gather(*run.tasks, return_exceptions=True)
            if stdin.get_write_buffer_size():  # nobody is to read it any more
                stdin.abort()
            process.close()
        if run.ended == _LOST:
            self._say(f"message '{id}': {_LOST}, and its command was ended; another worker may have it")
            self.failed.add(id)
        elif run.ended == _STOPPED:
            await self._settle(held, held.release(), "released")
        elif run.ended or process.get_returncode():
            await self._fail(held, run.ended or _ending(process.get_returncode()))
        elif await self._settle(held, held.delete(), "deleted"):
            self.done += 1
            self.failed.discard(id)
        else:
            self.failed.add(id)

    async def _fail(self, held: Held, why: str) -> None:
        pause = self._orders.pause_after(held.message.deliveries)
        self.failed.add(held.message.id)
        if await self._settle(held, held.release(pause), "released"):
            self._say(f"message '{held.message.id}': {why}; it is there again in {pause} s")

    async def _settle(self, held: Held, doing: Awaitable[None], done: str) -> bool:
        """Whether it could be done."""
        try:
            await doing
        except LeaseLost:
            self._say(f"message '{held.message.id}': {_LOST} before it was {done}; another worker may have it")
        except LeveretError as error:
            self._say(
                f"message '{held.message.id}' could not be {done}, and is there again when its lease ends: {error}"
            )
        else:
            return True
        return False

    async def _keep(self, held: Held, run: _Run, end: float) -> None:
        """Extend the lease in time; where that can't be done, end the command before another worker begins."""
        seconds = self._orders.seconds
        pause = seconds / 3
        while True:
            await self._sleep(pause)
            asked = self._clock()
            try:
                async with asyncio.timeout(end - asked):
                    await held.extend(seconds)
            except LeaseLost:
                break
            except (LeveretError, TimeoutError):
                left = end - self._clock()
                if left <= 0:
                    break
                pause = min(seconds / 3, left / 2 + 0.1)
            else:
                end = asked + seconds
                pause = seconds / 3
        self._end(run, _LOST)

    async def _limit(self, run: _Run, seconds: float) -> None:
        await self._sleep(seconds)
        self._end(run, f"took longer than {seconds:g} s, and was ended")

    def _end(self, run: _Run, why: str) -> None:
        """Have a command end, first by SIGTERM, then by SIGKILL."""
        if run.ended:
            return
        run.ended = why
        self.killed = self.killed or why == _STOPPED
        run.signal(signal.SIGTERM)
        run.tasks.append(asyncio.create_task(self._kill(run)))

    async def _kill(self, run: _Run) -> None:
        await self._sleep(_GRACE)
        run.signal(signal.SIGKILL)
        run.killed = True


def _ending(code: int | None) -> str:
    """How a command ended, in words."""
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"exited with {code}"
