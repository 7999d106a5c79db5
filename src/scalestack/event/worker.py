"""A thread for calls that block, one at a time and in order, so that no loop waits for them. Knows not what they do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from scalestack.event.loops import LoopThread
from scalestack.event.pending import Pending
from scalestack.log import Logger

T = TypeVar("T")

_log = Logger("scalestack.event")


class Worker:
    """Makes calls in a thread of its own, which begins with the first of them. Any thread may hand them over."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._worker_lock = threading.Lock()  # guards the two above, so that nothing is queued behind the end

    def do(self, call: Callable[[], object]) -> None:
        """Have it called, soon. An error of it is logged. Once the worker has ended, it is called here and now."""
        with self._worker_lock:
            if not self._closed:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    self._thread.start()
                self._calls.put(call)
                return
        call()

    def ask(self, thread: LoopThread, call: Callable[[], T]) -> Pending[T]:
        """What it answers, or raises; the answer comes on the loop of `thread`, where this is called."""
        answer: Pending[T] = Pending()

        def run() -> None:
            try:
                value = call()
            except Exception as error:
                thread.post(answer.fail, error)
            else:
                thread.post(answer.resolve, value)

        self.do(run)
        return answer

    def close(self) -> None:
        """Take no more calls; those that were taken are still made."""
        with self._worker_lock:
            if not self._closed:
                self._closed = True
                self._calls.put(None)

    def join(self) -> None:
        """Close, and block until all that was taken is done; harmless when called again."""
        self.close()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        for call in iter(self._calls.get, None):
            try:
                call()
            except Exception as error:
                _log.error("a call failed", thread=self._name, exc_info=error)
