"""A function that works off a queue: claims are handed to it, as many at a time as it may, until it is to stop.

It polls in short waits, and so it stops without leaving a message claimed that nobody works on.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias, cast, overload

from leveret.client.aio import AsyncClaim, AsyncQueue
from leveret.client.claim import Claim, ClaimedMessage
from leveret.client.client import Queue
from leveret.client.errors import (
    Forbidden,
    LeaseLost,
    LeveretError,
    ServerFailed,
    Unauthorized,
    Unavailable,
)
from leveret.client.operations import PAGE, later
from leveret.client.values import Backoff, Message, exponential

_log = logging.getLogger("leveret.worker")

_POLL: Final = 1  # seconds that one claim waits, and so about the longest until a stop is seen
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

Work: TypeAlias = Callable[[Message], object]
AsyncWork: TypeAlias = Callable[[Message], Awaitable[object]]


class _Working:
    """What both kinds of worker are made of."""

    def __init__(
        self, function: Callable[[Message], Any], name: str, concurrency: int, seconds: int, backoff: Backoff
    ) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), function)
        self.function = function
        self._name = name  # of the queue
        self._concurrency = concurrency
        self._seconds = seconds
        self._backoff = backoff
        self._stopping = False

    def __call__(self, message: Message) -> Any:
        """What the function answers, called by hand."""
        return self.function(message)

    def stop(self) -> None:
        """Take nothing more; `run` and `serve` return when what is running has ended. From any thread; doesn't wait."""
        # Not more than that: it is called by a signal handler, which can't wait for a lock.
        self._stopping = True

    def _report(self, claim: ClaimedMessage, error: Exception) -> None:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        refused = isinstance(error, Unauthorized | Forbidden) and not claim.over
        if refused or isinstance(error, LeaseLost | Unavailable):
            # That is what became of the delete: what could not be told is handed out again when its lease ends.
            _log.warning("%s: message '%s' may be worked on again: %s", self._name, claim.id, said)
            return
        _log.error(
            "%s: message '%s' failed, and is released to be tried again: %s", self._name, claim.id, said, exc_info=error
        )

    def _report_away(self, error: LeveretError, seconds: float) -> None:
        _log.warning("%s: can't be claimed from, next try in %.1f seconds: %s", self._name, seconds, error)


class Worker(_Working):
    """A function and the queue that it works off, in threads of its own."""

    def __init__(
        self, function: Work, queue: Queue, concurrency: int = 8, seconds: int = 60, backoff: Backoff = exponential
    ) -> None:
        super().__init__(function, queue.name, concurrency, seconds, backoff)
        self.queue = queue

    def run(self) -> None:
        """Work until `stop`, or, where this is the main thread, until SIGTERM or SIGINT; then finish what is running.

        A second signal does what it did before. Where the service can't be reached, or asks for a pause, it tries again
        without an end; where it takes the key not or no more (`Unauthorized`, `Forbidden`), that is raised.
        """
        self._stopping = False
        free = threading.Semaphore(self._concurrency)
        prefix = f"leveret-{self.queue.name}"
        with _stopped_by_signals(self.stop), ThreadPoolExecutor(self._concurrency, prefix) as threads:
            failed = 0
            while not self._stopping:
                free.acquire()
                room = 1
                while room < min(self._concurrency, PAGE) and free.acquire(blocking=False):
                    room += 1
                claims: list[Claim] = []
                try:
                    if not self._stopping:
                        claims = self.queue.claim_many(room, self._seconds, wait=_POLL, backoff=self._backoff)
                    failed = 0
                except (Unavailable, ServerFailed) as error:
                    self._rest(error, failed)
                    failed += 1
                for _ in range(room - len(claims)):
                    free.release()
                for claim in claims:
                    threads.submit(self._work, claim, free)

    def _work(self, claim: Claim, free: threading.Semaphore) -> None:
        try:
            with claim:
                self.function(claim.message)
        except Exception as error:
            self._report(claim, error)
        finally:
            free.release()

    def _rest(self, error: LeveretError, failed: int) -> None:
        left = later(self.queue.client.retry, failed, error).seconds
        self._report_away(error, left)
        while left > 0 and not self._stopping:
            self.queue.client.sleep(min(left, _POLL))
            left -= _POLL


class AsyncWorker(_Working):
    """A coroutine function and the queue that it works off, in tasks of its own."""

    def __init__(
        self,
        function: AsyncWork,
        queue: AsyncQueue,
        concurrency: int = 8,
        seconds: int = 60,
        backoff: Backoff = exponential,
    ) -> None:
        super().__init__(function, queue.name, concurrency, seconds, backoff)
        self.queue = queue

    def run(self) -> None:
        """Work in an event loop of its own until `stop`, or, where this is the main thread, until SIGTERM or SIGINT;
        then finish what is running, and close the queue's client, which ends with its loop.

        A second signal does what it would without this. Where the service can't be reached, or asks for a pause, it
        tries again without an end; where it takes the key not or no more (`Unauthorized`, `Forbidden`), that is raised.
        """
        asyncio.run(self._run())

    async def serve(self) -> None:
        """Work in the running event loop until `stop`; then finish what is running. It has no eye on signals.

        Where it is cancelled, what is running is too, and its messages are released.
        """
        self._stopping = False
        free = asyncio.Semaphore(self._concurrency)
        failed = 0
        refusal: LeveretError | None = None
        async with asyncio.TaskGroup() as tasks:
            while not self._stopping:
                await free.acquire()
                room = 1
                while room < min(self._concurrency, PAGE) and not free.locked():
                    await free.acquire()
                    room += 1
                claims: list[AsyncClaim] = []
                try:
                    if not self._stopping:
                        claims = await self.queue.claim_many(room, self._seconds, wait=_POLL, backoff=self._backoff)
                    failed = 0
                except (Unavailable, ServerFailed) as error:
                    await self._rest(error, failed)
                    failed += 1
                except LeveretError as error:
                    refusal = error  # to raise it here would cancel what is running
                    break
                for _ in range(room - len(claims)):
                    free.release()
                for claim in claims:
                    tasks.create_task(self._work(claim, free))
        if refusal is not None:
            raise refusal

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            for number in installed:
                loop.remove_signal_handler(number)
            self.stop()

        installed = _SIGNALS if threading.current_thread() is threading.main_thread() else ()
        async with self.queue.client:
            for number in installed:
                loop.add_signal_handler(number, stop)
            try:
                await self.serve()
            finally:
                for number in installed:
                    loop.remove_signal_handler(number)

    async def _work(self, claim: AsyncClaim, free: asyncio.Semaphore) -> None:
        try:
            async with claim:
                await self.function(claim.message)
        except Exception as error:
            self._report(claim, error)
        finally:
            free.release()

    async def _rest(self, error: LeveretError, failed: int) -> None:
        left = later(self.queue.client.retry, failed, error).seconds
        self._report_away(error, left)
        while left > 0 and not self._stopping:
            await self.queue.client.sleep(min(left, _POLL))
            left -= _POLL


@overload
def worker(
    queue: Queue, *, concurrency: int = 8, seconds: int = 60, backoff: Backoff = exponential
) -> Callable[[Work], Worker]: ...


@overload
def worker(
    queue: AsyncQueue, *, concurrency: int = 8, seconds: int = 60, backoff: Backoff = exponential
) -> Callable[[Callable[[Message], Coroutine[Any, Any, object]]], AsyncWorker]: ...


def worker(
    queue: Queue | AsyncQueue, *, concurrency: int = 8, seconds: int = 60, backoff: Backoff = exponential
) -> Callable[[Any], Any]:
    """Make a function the worker of a queue: it is called with each `Message`, up to `concurrency` at a time.

    A function takes a `Queue` and runs in threads, a coroutine function takes an `AsyncQueue` and runs in tasks; else
    it is a `TypeError`. A message is leased for `seconds`, again and again while its function runs, and deleted when it
    returns. Where it raises, the message is released, after `backoff` seconds or what such a function of the message
    says: by default 1, 2, 4 and so on, at most 300. What is made has `run` and `stop`, and may be called by hand.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency is {concurrency!r}; 1 or more is expected")

    def make(function: Any) -> Worker | AsyncWorker:
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object may have a coroutine as its call
        )
        if isinstance(queue, AsyncQueue):
            if not is_async:
                raise TypeError(
                    f"{_name(function)} is no coroutine function; with a queue of connect_async it has to be"
                )
            return AsyncWorker(function, queue, concurrency, seconds, backoff)
        if is_async:
            raise TypeError(f"{_name(function)} is a coroutine function; it takes a queue of connect_async")
        return Worker(function, queue, concurrency, seconds, backoff)

    return make


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block, the first signal calls `stop`, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def put_back() -> None:
        for number, handler in before.items():
            with suppress(TypeError):  # one that was not set from Python can't be put back
                signal.signal(number, handler)

    def caught(*_: object) -> None:
        put_back()
        stop()

    for number in _SIGNALS:
        signal.signal(number, caught)
    try:
        yield
    finally:
        put_back()


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", function))
