"""Accounts, queues and messages as Python programs like to have them. Knows no store and no protocol."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from leveret.model import Change, Filters, Message, Page, check_name
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
        self._ask = backend.ask
        self.account = account
        self.name = name

    def put(self, body: bytes | str, id: str | None = None, ttl: int | None = None, hide: int | None = None) -> str:
        """Store a message at the end of the queue; answers its id.

        With the id of a message that is there, it takes that one's place. `ttl` is the seconds that it lives (0: for
        ever), `hide` the seconds until it is visible; None is the default of the service.
        """
        given = check_name("message", make_id() if id is None else id)
        data = body.encode() if isinstance(body, str) else body
        self._ask(lambda service: service.put(self.account, self.name, given, data, ttl, hide))
        return given

    def get(self, id: str) -> Message | None:
        """The message with this id, hidden or not; None where there is none."""
        return self._ask(lambda service: service.get(self.account, self.name, id))

    def messages(self, limit: int | None = None, hidden: bool = False) -> list[Message]:
        """The first of the messages, in order; those that are hidden only where asked."""
        filters = Filters(limit=limit, match_hidden=hidden)
        return self._ask(lambda service: service.select(self.account, self.name, filters))

    def claim(self, seconds: int = 60, wait: int = 0) -> Claim | None:
        """Take the first message, and hide it from all others for so many seconds; None where there is none.

        `wait` is how many seconds to wait for one. The claim is a context manager: left normally, the message is
        deleted; left by an exception, it is released at once.
        """
        change = Change(hide=seconds)
        claimed = self._ask(lambda service: service.update_matching(self.account, self.name, _FIRST, change, wait))
        return Claim(self, claimed[0]) if claimed else None

    def pop(self, wait: int = 0) -> Message | None:
        """Take the first message and delete it; None where there is none, after `wait` seconds."""
        taken = self._ask(lambda service: service.delete_matching(self.account, self.name, _FIRST, wait))
        return taken[0] if taken else None

    def change(self, id: str, ttl: int | None = None, hide: int | None = None) -> Message | None:
        """Give a message new attributes, from now on; None where it isn't there."""
        return self._ask(lambda service: service.update(self.account, self.name, id, Change(ttl, hide)))

    def delete(self, id: str) -> bool:
        """Delete a message; False where it isn't there."""
        return self._ask(lambda service: service.delete(self.account, self.name, id)) is not None


class Claim:
    """A message that is this worker's until the lease ends."""

    def __init__(self, queue: Queue, message: Message) -> None:
        self.queue = queue
        self.message = message

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def body(self) -> bytes:
        return self.message.body

    def delete(self) -> None:
        """The work is done."""
        self.queue.delete(self.id)

    def release(self, seconds: int = 0) -> None:
        """Give it back, for others to take in so many seconds."""
        self.queue.change(self.id, hide=seconds)

    def extend(self, seconds: int) -> None:
        """Keep it for so many seconds more, from now on."""
        self.queue.change(self.id, hide=seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.delete()
        else:
            self.release()


def make_id() -> str:
    """An id that nobody else makes; later ones sort after earlier ones, to the millisecond."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"
