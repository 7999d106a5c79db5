"""A service in this process: calls are handed to the REST front end's handlers, on a loop of their own.

No sockets, and no other difference to a server: so every URL behaves alike. Names no concrete store.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from functools import partial
from typing import Final

from leveret.client.calls import Call, Reply
from leveret.client.errors import ClientClosed, Unavailable
from leveret.frontend.rest import Rest, translate
from leveret.service import QueueConfig, QueueService
from leveret.store.base import Store, StoreError
from scalestack.clock import steady_clock
from scalestack.event.loops import LoopThread
from scalestack.event.makers import loop_maker
from scalestack.event.pending import Cancelled, Pending
from scalestack.http.message import Request, Response, header_text
from scalestack.http.problem import CONTENT_TYPE, HttpError
from scalestack.http.router import Router

_NO_MATCH: Final = 404  # what parked polls are answered when the service ends


class LocalService:
    """A queue service, with a loop of its own, over a store that nobody else has."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = LoopThread("leveret", loop_maker("auto"))
        self._asking_lock = threading.Lock()  # guards the two that follow
        self._closed = False
        self._pid = os.getpid()  # a fork has neither the loop's thread nor the store's
        self._asking: set[Future[Reply]] = set()  # what is under way
        self._tasks: set[asyncio.Task[None]] = set()  # of the loop's thread
        self._loop.start()
        self.service = QueueService(store, steady_clock(), QueueConfig(), self._loop)
        self._router = Router(Rest(self.service).routes())
        try:
            self.service.start()
        except StoreError as error:
            self._loop.stop()
            raise Unavailable("store-unusable", None, str(error)) from error
        except BaseException:
            self._loop.stop()
            raise

    def begin(self, call: Call) -> Future[Reply]:
        """The answer to come, from any thread. Where it is cancelled, a poll that waits takes nothing any more."""
        if os.getpid() != self._pid:
            raise ClientClosed.forked()
        answered: Future[Reply] = Future()
        with self._asking_lock:
            if self._closed:
                raise ClientClosed.now()
            self._asking.add(answered)
        answered.add_done_callback(self._forget)
        self._loop.post(self._run, call, answered)
        return answered

    def close(self) -> None:
        """Answer what waits, and end. Blocks; harmless when called again."""
        if os.getpid() != self._pid:
            return
        with self._asking_lock:
            self._closed = True
            asking = list(self._asking)
        self.service.drain()
        wait(asking)
        self._store.close()
        self._loop.stop()

    @property
    def closed(self) -> bool:
        return self._closed

    def _forget(self, answered: Future[Reply]) -> None:
        if answered.cancelled():
            answered.set_running_or_notify_cancel()  # else `close` would wait for it for ever
        with self._asking_lock:
            self._asking.discard(answered)

    def _give_up(self, cancel: Callable[[], object], answered: Future[Reply]) -> None:
        if answered.cancelled():
            self._loop.post(cancel)

    # On the loop's thread.

    def _run(self, call: Call, answered: Future[Reply]) -> None:
        if answered.done():
            return
        target = call.target.encode()
        request = Request(call.method.encode(), target, list(call.headers), call.body, True, False)
        try:
            entry, parameters = self._router.find(request.line)
            answer = entry.handler(request, *parameters)
        except Exception as error:
            self._tell(answered, None, error)
            return
        if isinstance(answer, Pending):
            answer.listen(partial(self._tell, answered))
            answered.add_done_callback(partial(self._give_up, answer.cancel))
        elif isinstance(answer, Response):
            self._tell(answered, answer, None)
        else:
            task = self._loop.loop.create_task(self._await(answer, answered))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            answered.add_done_callback(partial(self._give_up, task.cancel))

    async def _await(self, answer: Awaitable[Response], answered: Future[Reply]) -> None:
        try:
            response = await answer
        except Exception as error:
            self._tell(answered, None, error)
        else:
            self._tell(answered, response, None)

    @staticmethod
    def _tell(answered: Future[Reply], response: Response | None, error: BaseException | None) -> None:
        # Who asked may have been interrupted in the meantime.
        with suppress(InvalidStateError):
            try:
                reply = _reply(_problem(error)) if response is None else _reply(response)
            except BaseException as unknown:
                answered.set_exception(unknown)
            else:
                answered.set_result(reply)


class LocalTransport:
    """For the blocking client."""

    def __init__(self, store: Store) -> None:
        self.local = LocalService(store)

    def send(self, call: Call) -> Reply:
        answered = self.local.begin(call)
        try:
            reply = answered.result()
        except BaseException:
            answered.cancel()
            raise
        return _unless_closed(self.local, call, reply)

    def close(self) -> None:
        self.local.close()


class AsyncLocalTransport:
    """For the asynchronous client: whatever loop that one runs in, it is not held up."""

    def __init__(self, store: Store) -> None:
        self.local = LocalService(store)

    async def send(self, call: Call) -> Reply:
        # A future that is cancelled here cancels the one of the service.
        reply = await asyncio.wrap_future(self.local.begin(call))
        return _unless_closed(self.local, call, reply)

    async def close(self) -> None:
        await asyncio.to_thread(self.local.close)


def _unless_closed(local: LocalService, call: Call, reply: Reply) -> Reply:
    """The answer, but where it is only that nothing waits any more."""
    if call.wait and reply.status == _NO_MATCH and local.closed:
        raise ClientClosed.now()
    return reply


def _problem(error: BaseException | None) -> Response:
    known = error if isinstance(error, HttpError) else translate(error) if error is not None else None
    if known is None:
        raise error if error is not None else Cancelled()
    return Response(known.status, known.body(), CONTENT_TYPE, known.headers)


def _reply(response: Response) -> Reply:
    headers = {name.decode("latin-1").lower(): header_text(value) for name, value in response.headers}
    if response.content_type is not None:
        headers["content-type"] = header_text(response.content_type)
    return Reply(response.status, headers, response.body)
