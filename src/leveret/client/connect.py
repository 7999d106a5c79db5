"""From a URL to a client: `sqlite:///jobs.db` or `memory://`, in this process and without a server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar, cast

from leveret.client.client import Client
from leveret.service import QueueConfig, QueueService
from leveret.store.base import Store, StoreFailed
from leveret.store.memory import MemoryStore
from leveret.store.sqlite import Durability, InvalidUrl, SqliteStore, path_of
from scalestack.clock import steady_clock
from scalestack.event.loops import LoopThread
from scalestack.event.makers import loop_maker
from scalestack.event.pending import Answer, Pending

T = TypeVar("T")


def connect(url: str, durability: str = "full") -> Client:
    """Open the queues at `url`, in this process: `sqlite:///relative.db`, `sqlite:////absolute.db` or `memory://`.

    `durability` is full, normal or off, as in the server's settings. Raises `InvalidUrl` for another URL, and
    `leveret.store.base.Unusable` for a file that can't be opened, such as one that a server has open.
    """
    if url == "memory://":
        return Client(InProcess(MemoryStore()))
    if url.startswith("sqlite://"):
        # A small program is not to take room from the disk that it may never need.
        return Client(InProcess(SqliteStore(path_of(url), Durability(durability), reserve=0)))
    raise InvalidUrl(
        f"'{url}' can't be connected to; known are sqlite:///relative.db, sqlite:////absolute.db, memory://"
    )


class InProcess:
    """A queue service in this process, with a loop of its own, over a store that nobody else has."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = LoopThread("leveret", loop_maker("auto"))
        self._asking_lock = threading.Lock()  # guards the two that follow
        self._closed = False
        self._asking: set[Future[Any]] = set()  # what is under way
        self._loop.start()
        self._service = QueueService(store, steady_clock(), QueueConfig(), self._loop)
        try:
            self._service.start()
        except BaseException:
            self._loop.stop()
            raise

    def ask(self, call: Callable[[QueueService], Answer[T]]) -> T:
        """The answer of the call, from any thread but the loop's own."""
        answered: Future[T] = Future()
        under_way: list[Pending[T]] = []

        def tell(value: T | None, error: BaseException | None) -> None:
            if error is not None:
                answered.set_exception(error)
            else:
                answered.set_result(cast("T", value))

        def run() -> None:
            try:
                answer = call(self._service)
            except Exception as error:
                answered.set_exception(error)
                return
            if isinstance(answer, Pending):
                under_way.append(answer)
                answer.listen(tell)
            else:
                answered.set_result(answer)

        def give_up() -> None:
            """Who asked was interrupted: a poll takes nothing any more."""
            if any(answer.cancel() for answer in under_way):
                answered.set_exception(StoreFailed("interrupted"))

        with self._asking_lock:
            if self._closed:
                raise StoreFailed("the client is closed")
            self._asking.add(answered)
        answered.add_done_callback(self._forget)
        self._loop.post(run)
        try:
            return answered.result()
        except BaseException:
            if not answered.done():
                self._loop.post(give_up)
            raise

    def _forget(self, answered: Future[Any]) -> None:
        with self._asking_lock:
            self._asking.discard(answered)

    def close(self) -> None:
        with self._asking_lock:
            self._closed = True
            asking = list(self._asking)
        self._service.drain()
        wait(asking)
        self._store.close()
        self._loop.stop()
