"""Writes log lines in a thread of its own, so that whoever logs never waits for a disk, a pipe or a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, TextIO

from scalestack.log.render import Event

_BATCH: Final = 512  # records that are written at once


class Writer:
    """A bounded queue of records, and the thread that renders and writes them.

    Where the queue is full, a record is dropped and counted, and the count is written as soon as there is room. The
    bound is checked without a lock, so it can be passed by as many records as there are threads that log.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # A SimpleQueue, since its `put` is reentrant: a finalizer that logs may run in the midst of another `put`.
        self._queue: SimpleQueue[Event | None] = SimpleQueue()
        self._dropped = 0
        self._dropped_lock = threading.RLock()  # reentrant for the same reason
        self._thread: threading.Thread | None = None

    def put(self, event: Event) -> None:
        """Have a record written, or dropped. Never blocks; any thread may call it."""
        if self._queue.qsize() < self._capacity:
            self._queue.put(event)
        else:
            self._drop(1)

    def start(self, stream: TextIO, render: Callable[[Event], str]) -> None:
        """Begin to write, with what was put before."""
        self._thread = threading.Thread(target=self._run, args=(stream, render), name="log", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Write what is queued, and end; harmless when called again.

        Blocks for `timeout` seconds at most: a reader that is stuck must not keep the process from ending.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(timeout)

    def _drop(self, count: int) -> None:
        with self._dropped_lock:
            self._dropped += count

    def _take_dropped(self) -> int:
        with self._dropped_lock:
            count, self._dropped = self._dropped, 0
        return count

    def _run(self, stream: TextIO, render: Callable[[Event], str]) -> None:
        going = True
        while going:
            batch = [self._queue.get()]
            try:
                while batch[-1] is not None and len(batch) < _BATCH:
                    batch.append(self._queue.get_nowait())
            except Empty:
                pass
            going = batch[-1] is not None
            events = [event for event in batch if event is not None]
            dropped = self._take_dropped()
            if dropped:
                events.append(_dropped(dropped))
            try:
                stream.write("".join(f"{render(event)}\n" for event in events))
                stream.flush()
            except Exception:
                # There is nowhere to complain. What can't be written counts as dropped, should it ever work again.
                self._drop(dropped + len(events) - bool(dropped))


def _dropped(count: int) -> Event:
    return {
        "time": time.time(),
        "level": "warning",
        "logger": "scalestack.log",
        "event": "log records were dropped, since they came faster than they could be written",
        "count": count,
    }
