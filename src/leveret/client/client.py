"""Accounts, queues and messages as Python programs like to have them. Knows no store and no protocol."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from leveret.model import MAX_SECONDS, Change, Filters, Message, Page, check_name
from leveret.service import QueueService
from scalestack.event.pending import Answer

T = TypeVar("T")

_FIRST: Final = Filters(limit=1)


class Backend(Protocol):
    """Where a queue service runs, and how to reach it from a thread that may wait."""

    def ask(self, call: Callable[[QueueService], Answer[T]]) -> T:
        """The answer of the call; raises what it raises."""

    def close(self) -> None:
        """End; harmless when called again."""


class Client:
    """A queue service. Every call may be made from any thread, and blocks until it is done.

    A context manager: it is closed with the block.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def queue(self, account: str, name: str) -> Queue:
        """A queue, which is there with its first message; `InvalidName` for a name that can't be."""
        check_name("account", account)
        check_name("queue", name)
        return Queue(self._backend, account, name)

    def accounts(self) -> list[str]:
        """The names of all accounts that have queues, in the order in which they came."""
        return self._backend.ask(lambda service: service.list_accounts(Page()))

    def queues(self, account: str) -> list[str]:
        """The names of the account's queues that have messages, in the order in which they came."""
        return self._backend.ask(lambda service: service.list_queues(check_name("account", account), Page()))

    def close(self) -> None:
        """Let go of everything; harmless when called again."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Queue:
    """One queue of one account. Seconds are whole; a message is bytes, and text is given as UTF-8."""

    def __init__(self, backend: Backend, account: str, name: str) -> None:
        self.ask = backend.ask
        self.account = account
        self.name = name

    def put(self, body: bytes | str, id: str | None = None, ttl: int | None = None, hide: int | None = None) -> str:
        """Store a message at the end of the queue; answers its id.

        With the id of a message that is there, it takes that one's place. `ttl` is the seconds that it lives (0: for
        ever), `hide` the seconds until it is visible; None is the default of the service.
        """
        given = check_name("message", make_id() if id is None else id)
        if not isinstance(body, bytes | bytearray | memoryview | str):
            raise TypeError(f"a body is bytes, or text that is stored as UTF-8, and not {type(body).__name__}")
        data = body.encode() if isinstance(body, str) else bytes(body)
        _check_seconds(ttl=ttl, hide=hide)
        self.ask(lambda service: service.put(self.account, self.name, given, data, ttl, hide))
        return given

    def get(self, id: str) -> Message | None:
        """The message with this id, hidden or not; None where there is none."""
        return self.ask(lambda service: service.get(self.account, self.name, id))

    def messages(self, limit: int | None = None, hidden: bool = False) -> list[Message]:
        """The first of the messages, in order; those that are hidden only where asked."""
        filters = Filters(limit=limit, match_hidden=hidden)
        return self.ask(lambda service: service.select(self.account, self.name, filters))

    def claim(self, seconds: int = 60, wait: int = 0) -> Claim | None:
        """Take the first message, and hide it from all others for so many seconds; None where there is none.

        `wait` is how many seconds to wait for one. The claim is a context manager: left normally, the message is
        deleted; left by an exception, it is released at once.
        """
        _check_seconds(seconds=seconds, wait=wait)
        change = Change(hide=seconds)
        claimed = self.ask(lambda service: service.update_matching(self.account, self.name, _FIRST, change, wait))
        return Claim(self, claimed[0]) if claimed else None

    def pop(self, wait: int = 0) -> Message | None:
        """Take the first message and delete it; None where there is none, after `wait` seconds."""
        _check_seconds(wait=wait)
        taken = self.ask(lambda service: service.delete_matching(self.account, self.name, _FIRST, wait))
        return taken[0] if taken else None

    def change(self, id: str, ttl: int | None = None, hide: int | None = None) -> Message | None:
        """Give a message new attributes, from now on; None where it isn't there."""
        _check_seconds(ttl=ttl, hide=hide)
        return self.ask(lambda service: service.update(self.account, self.name, id, Change(ttl, hide)))

    def delete(self, id: str) -> bool:
        """Delete a message; False where it isn't there."""
        return self.ask(lambda service: service.delete(self.account, self.name, id)) is not None


class LeaseEnded(Exception):
    """The lease of a claim has ended: another worker may have the message, and it was left alone."""


class Claim:
    """A message that is this worker's until the lease ends. What is done after that is a `LeaseEnded`."""

    def __init__(self, queue: Queue, message: Message) -> None:
        self.queue = queue
        self.message = message
        self._until = message.visible_at

    def __repr__(self) -> str:
        return f"Claim({self.id!r}, {len(self.body)} bytes, of {self.queue.account}/{self.queue.name})"

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def body(self) -> bytes:
        return self.message.body

    def delete(self) -> None:
        """The work is done."""
        self._while_held(lambda service: service.delete(self.queue.account, self.queue.name, self.id))

    def release(self, seconds: int = 0) -> None:
        """Give it back, for others to take in so many seconds."""
        self._hide(seconds)

    def extend(self, seconds: int) -> None:
        """Keep it for so many seconds more, from now on."""
        self._hide(seconds)

    def _hide(self, seconds: int) -> None:
        _check_seconds(seconds=seconds)
        change = Change(hide=seconds)
        changed = self._while_held(lambda service: service.update(self.queue.account, self.queue.name, self.id, change))
        self._until = 0.0 if changed is None else changed.visible_at

    def _while_held(self, call: Callable[[QueueService], Answer[Message | None]]) -> Message | None:
        """Do it, where the lease has not ended: by the clock that ends it, nobody else has the message then."""

        def check(service: QueueService) -> Answer[Message | None]:
            if service.clock() >= self._until:
                raise LeaseEnded(f"the lease of '{self.id}' has ended; claim for longer, or extend it in time")
            return call(service)

        return self.queue.ask(check)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.delete()
        else:
            with suppress(LeaseEnded):  # the error within the block is what matters
                self.release()


def _check_seconds(**given: int | None) -> None:
    for name, seconds in given.items():
        if seconds is not None and (type(seconds) is not int or not 0 <= seconds <= MAX_SECONDS):
            raise ValueError(f"{name} is {seconds!r}; whole seconds from 0 to {MAX_SECONDS} are expected")


def make_id() -> str:
    """An id that nobody else makes; later ones sort after earlier ones, to the millisecond."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"
