"""A fetch has a time limit, whatever its provider does. Knows threads and sockets, and nothing of what is fetched."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class FetchError(Exception):
    """The keys could not be had; one line that says why."""


class Line:
    """The sockets of one fetch. Any thread may cut them: then who reads or writes them fails at once."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._is_cut = False
        self._lock = threading.Lock()  # guards both

    def add(self, opened: socket.socket) -> None:
        with self._lock:
            self._sockets.append(opened)
            if self._is_cut:
                _cut(opened)

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            for each in self._sockets:
                _cut(each)


def _cut(opened: socket.socket) -> None:
    # Not closed, which would wake nobody, and give its number to another while it is still being read. And not by the
    # method of an SSLSocket, which would take the encryption from under its reader.
    with suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


class Limited(Generic[T]):
    """A fetch, again and again, each time in a thread of its own: when its time is over it is cut, and nobody waits for
    it any more. What can't be cut, such as a look-up of a name, ends when it likes; until then there is no other, so
    that there never is more than one."""

    def __init__(self, fetch: Callable[[Line], T], seconds: float) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._given_up: threading.Thread | None = None
        self._result: Future[T] | None = None
        self._ended = False
        self._lock = threading.Lock()  # guards the last two

    def __call__(self) -> T:
        """What the fetch answers or raises; `FetchError` where that takes too long. By one thread at a time."""
        if self._given_up is not None and self._given_up.is_alive():
            raise FetchError("the fetch before has not ended yet")
        result: Future[T] = Future()
        with self._lock:
            if self._ended:
                raise FetchError("no keys are fetched any more")
            self._result = result
        line = Line()
        thread = threading.Thread(target=self._run, args=(line, result), name="jwks-fetch", daemon=True)
        thread.start()
        try:
            return result.result(self._seconds)
        except (TimeoutError, CancelledError):
            if not result.cancel():  # it came after all
                return result.result()
        self._given_up = thread
        line.cut()
        raise FetchError(f"the provider did not answer within {self._seconds:g} seconds")

    def end(self) -> None:
        """Give up the fetch that is under way, and begin no other. Does not wait; harmless when called again."""
        with self._lock:
            self._ended = True
            if self._result is not None:
                self._result.cancel()

    def _run(self, line: Line, result: Future[T]) -> None:
        with suppress(InvalidStateError):  # it was given up
            try:
                found = self._fetch(line)
            except Exception as error:
                result.set_exception(error)
            else:
                result.set_result(found)
