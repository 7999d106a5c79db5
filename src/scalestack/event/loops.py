"""Threads with one event loop each. Knows nothing of sockets and nothing of what runs on the loops."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

from scalestack.event.deadlines import Deadlines
from scalestack.event.makers import LoopMaker
from scalestack.event.pending import Answer, Pending
from scalestack.event.turn import Turn

T = TypeVar("T")

_here = threading.local()


class LoopError(Exception):
    """A loop that could not be made or started."""


class Own:
    """What a thread has for itself, and has made itself: on a free-threaded Python each use of an object that another
    thread has made costs more."""

    __slots__ = ("clock", "deadlines", "tally", "turn")

    def __init__(self, clock: Callable[[], float], deadlines: Deadlines, turn: Turn) -> None:
        self.clock = clock  # the loop's, in seconds
        self.deadlines = deadlines
        self.turn = turn
        self.tally: Any = None  # what is counted of the work on this thread, where somebody counts: without a lock


class LoopThread:
    """One thread and the loop that runs in it, and ways to reach them from outside."""

    def __init__(self, name: str, make_loop: LoopMaker) -> None:
        self.name = name
        self.loop: asyncio.AbstractEventLoop
        self.own: Own  # what this thread alone may use
        self._make_loop = make_loop
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started: Future[None] = Future()
        self._post_lock = threading.Lock()  # guards the posts, and whether the loop was woken for them
        self._posts: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._woken = False
        self._closed = False

    @staticmethod
    def current() -> LoopThread | None:
        """The loop thread that the caller runs in, or None outside of all of them."""
        return getattr(_here, "thread", None)

    def start(self) -> None:
        """Returns when the loop runs; `LoopError` where it could not be made."""
        self._thread.start()
        try:
            self._started.result()
        except Exception as error:
            self._thread.join()
            raise LoopError(f"the loop of thread '{self.name}' did not start: {error}") from error

    def stop(self) -> None:
        """End the loop and its thread; what was posted before still runs. Blocks; harmless when called again."""
        with self._post_lock:
            if self._closed or not self._thread.is_alive():
                return
            self._closed = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function` on the loop, soon and in order. From any thread; the loop is woken once per batch.

        What is posted to a loop that has ended is dropped.
        """
        with self._post_lock:
            if self._closed:
                return
            self._posts.append((function, args))
            if self._woken:
                return
            self._woken = True
            # Under the lock: a loop that is not closed yet can't be closed before this.
            self.loop.call_soon_threadsafe(self._run_posts)

    def call(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Call `function` on the loop, and give its result. From any thread; never wait for it on the loop itself."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)

        with self._post_lock:
            closed = self._closed
        if closed:
            future.set_exception(LoopError(f"thread '{self.name}' has ended"))
        else:
            self.post(run)
        return future

    def soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function` at the loop's next turn, after what is ready in this one. Only from this thread."""
        self.loop.call_soon(function, *args)

    def later(self, seconds: float, function: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call `function` in so many seconds, unless the handle is cancelled first. Only from this thread."""
        return self.loop.call_later(max(0.0, seconds), function, *args)

    def _run_posts(self) -> None:
        with self._post_lock:
            batch = self._posts
            self._posts = deque()
            self._woken = False
        for function, args in batch:
            try:
                function(*args)
            except Exception as error:  # one post's failure is not the next one's
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.loop.call_exception_handler({"message": f"a call on '{self.name}' failed", "exception": error})

    def _run(self) -> None:
        try:
            loop = self._make_loop()
            self.loop = loop
            self.own = Own(
                loop.time, Deadlines(loop.time, self.later, self._failed), Turn(loop.call_soon, self._failed)
            )
        except BaseException as error:
            self._started.set_exception(error)
            return
        _here.thread = self
        loop.call_soon(self._started.set_result, None)
        try:
            loop.run_forever()
        finally:
            self._run_posts()
            self._finish(loop)

    @staticmethod
    def _finish(loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what still runs, and close the loop."""
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def arrival(answer: Answer[T]) -> T:
    """The answer, for a coroutine on the loop that it comes by. Who is cancelled meanwhile cancels it."""
    if not isinstance(answer, Pending):
        return answer
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def tell(value: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("T", value))

    answer.listen(tell)
    try:
        return await future
    except asyncio.CancelledError:
        answer.cancel()
        raise


class Loops:
    """All the loop threads of a process."""

    def __init__(self, count: int, make_loop: LoopMaker) -> None:
        self.threads = tuple(LoopThread(f"loop-{index}", make_loop) for index in range(count))

    def start(self) -> None:
        """Start them all, or none."""
        started: list[LoopThread] = []
        try:
            for thread in self.threads:
                thread.start()
                started.append(thread)
        except LoopError:
            for thread in reversed(started):
                thread.stop()
            raise

    def stop(self) -> None:
        for thread in reversed(self.threads):
            thread.stop()
