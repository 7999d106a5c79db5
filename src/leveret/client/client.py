"""Accounts, queues and messages for programs that may wait. Drives operations; knows no transport and no protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, Self, TypeVar

from leveret.client.calls import Call, Found, Operation, Pause, Reply, Retry, Stream
from leveret.client.claim import Claim
from leveret.client.errors import ClientClosed, TooManyRequests, Unavailable
from leveret.client.keeper import LeaseKeeper
from leveret.client.lease import Lease
from leveret.client.operations import QueueCalls, ServiceCalls, later
from leveret.client.values import Backoff, Draft, Message, Outcome, Policy, QueueStats

T = TypeVar("T")

ENDLESS_WAIT = 20  # seconds that one request waits, of what waits without an end


class Transport(Protocol):
    """How a service is reached, from any thread."""

    def send(self, call: Call) -> Reply:
        """The answer, whatever its status; `Unsent` or `Unanswered` where there is none.

        After `close`, and where that comes while it waits, it is a `ClientClosed`.
        """

    def close(self) -> None:
        """End, also what waits in other threads; harmless when called again."""


class Client:
    """A queue service. Every call may be made from any thread, and blocks until it is done.

    A context manager: it is closed with the block. What fails is a `LeveretError`, of a class of its own where a
    caller may do something about it.
    """

    def __init__(
        self, transport: Transport, retry: Retry | None = None, sleep: Callable[[float], object] | None = None
    ) -> None:
        """`sleep` takes the place of waiting between attempts, which `close` interrupts."""
        self._transport = transport
        self._closed = threading.Event()
        self.sleep = sleep or self._closed.wait
        self.retry = retry or Retry()
        self._calls = ServiceCalls(self.retry)
        self.keeper = LeaseKeeper()  # for claims

    def queue(self, account: str, name: str) -> Queue:
        """A queue, which is there with its first message; `InvalidName` for a name that can't be. Asks nothing."""
        return Queue(self, account, name)

    def accounts(self) -> Iterator[str]:
        """The names of all accounts that have queues, in the order in which they came."""
        return self.stream(self._calls.accounts())

    def queues(self, account: str) -> Iterator[str]:
        """The names of the account's queues that have messages, in the order in which they came."""
        return self.stream(self._calls.queues(account))

    def queue_stats(self, account: str, names: Iterable[str] | None = None) -> list[QueueStats]:
        """The account's queues in numbers, all or those with these names; without those that have no messages."""
        return self.perform(self._calls.queue_stats(account, names))

    def versions(self) -> list[str]:
        """The versions of the API that the service knows."""
        return self.perform(self._calls.versions())

    def delete_account(self, account: str) -> bool:
        """Delete all of its queues with all messages; False where it has none."""
        return self.perform(self._calls.delete_account(account))

    def close(self) -> None:
        """Let go of everything; harmless when called again. What waits in other threads is a `ClientClosed` there."""
        self._closed.set()
        self._transport.close()
        self.keeper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # For queues and claims.

    def perform(self, operation: Operation[T]) -> T:
        """Do it, and answer its value."""
        try:
            step = next(operation)
            while True:
                try:
                    reply = self._take(step)
                except Exception as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(reply)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def stream(self, operation: Stream[T]) -> Iterator[T]:
        """Do it while somebody asks for more."""
        try:
            step = next(operation)
            while True:
                if isinstance(step, Found):
                    yield from step.items
                    step = next(operation)
                    continue
                try:
                    reply = self._take(step)
                except Exception as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(reply)
        except StopIteration:
            return

    def _take(self, step: Call | Pause) -> Reply | None:
        if isinstance(step, Call):
            return self._transport.send(step)
        self.sleep(step.seconds)
        if self._closed.is_set():
            raise ClientClosed.now()
        return None


class Queue:
    """One queue of one account. Seconds are whole; a body is bytes, and text is given as UTF-8."""

    def __init__(self, client: Client, account: str, name: str) -> None:
        self.client = client
        self.account = account
        self.name = name
        self._calls = QueueCalls(account, name, client.retry)

    def __repr__(self) -> str:
        return f"Queue({self.account!r}, {self.name!r})"

    # Putting.

    def put(
        self,
        body: bytes | str,
        id: str | None = None,
        *,
        ttl: int | None = None,
        hide: int | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        only_new: bool = False,
    ) -> str:
        """Store a message at the end of the queue; answers its id.

        With the id of a message that is there, it takes that one's place; with `only_new` that is an `Exists`, and
        nothing changes. `ttl` is the seconds that it lives (0: for ever), `hide` the seconds until it is visible; None
        is the default of the queue or the service. `headers` and `content_type` are kept beside it. `QueueFull` where
        the queue's policy allows no more, `TooLarge` where the service does not.
        """
        return self.client.perform(self._calls.put(Draft(body, id, ttl, hide, content_type, headers), only_new))

    def put_many(self, messages: Iterable[bytes | str | Draft]) -> list[str]:
        """Store any number of messages, in order; answers their ids.

        In requests of up to 1,000 messages and 4 MiB: where one fails, all before it are stored, and nothing of it is.
        """
        return self.client.perform(self._calls.put_many(messages))

    # Reading, which changes nothing.

    def get(self, id: str) -> Message | None:
        """The message with this id, hidden or not; None where there is none."""
        return self.client.perform(self._calls.get(id))

    def get_many(self, ids: Iterable[str]) -> list[Message | None]:
        """The messages with these ids, in their order, as `get` answers each."""
        return self.client.perform(self._calls.get_many(ids))

    def messages(
        self, limit: int | None = None, *, after: str | None = None, hidden: bool = False, newest_first: bool = False
    ) -> Iterator[Message]:
        """The messages that are there now, in order, or the other way round; at most `limit`.

        `after` is the marker of a message: only those that come after it, also where it is gone. Those that are hidden
        come only where asked. They are fetched up to 1,000 at a time, as they are asked for.
        """
        return self.client.stream(self._calls.messages(limit, after, hidden, newest_first))

    def follow(self, after: str | None = None, *, hidden: bool = True) -> Iterator[Message]:
        """The messages that are there and all that come, in order, without an end; nothing is taken.

        `after` is the marker of the last message that is not wanted again. With `hidden` those that a worker has
        claimed come too, so that none is missed; without, what is hidden when its turn comes is left out for good. Once
        the service has answered, this goes on when it can't be reached any more, and asks again for as long as it
        takes; before that, it is an `Unavailable`.
        """
        return self.client.stream(self._calls.follow(after, hidden))

    # Taking.

    def claim(self, seconds: int = 60, *, wait: int = 0, backoff: Backoff = 0, keep: bool = True) -> Claim | None:
        """Take the first message, and hide it from all others for so many seconds; None where there is none.

        `wait` is how many seconds to wait for one. The claim is a context manager, which deletes the message or
        releases it: then after `backoff` seconds, or what such a function of the message says. With `keep`
        the lease is extended while its block runs. Where the answer is lost (`Unavailable`), a message may have been
        taken; it is there again when its lease has ended.
        """
        claims = self.claim_many(1, seconds, wait=wait, backoff=backoff, keep=keep)
        return claims[0] if claims else None

    def claim_many(
        self, limit: int, seconds: int = 60, *, wait: int = 0, backoff: Backoff = 0, keep: bool = True
    ) -> list[Claim]:
        """As `claim`, for the first messages, at most `limit` and 1,000; waits for one, not for all."""
        found = self.client.perform(self._calls.claim(limit, seconds, wait))
        return [Claim(self.client, Lease(self._calls, message, seconds, backoff, keep)) for message in found]

    def claims(self, seconds: int = 60, *, backoff: Backoff = 0, keep: bool = True) -> Iterator[Claim]:
        """One claim after the other, without an end: waits for each next.

        It goes on when the service can't be reached any more, as `follow` does.
        """
        reached = False
        failed = 0
        while True:
            try:
                claim = self.claim(seconds, wait=ENDLESS_WAIT, backoff=backoff, keep=keep)
            except Unavailable as error:
                if not reached and not isinstance(error, TooManyRequests):
                    raise
                self.client.perform(_rest(later(self.client.retry, failed, error)))
                failed += 1
                continue
            reached, failed = True, 0
            if claim is not None:
                yield claim

    def pop(self, wait: int = 0) -> Message | None:
        """Take the first message and delete it; None where there is none, after `wait` seconds.

        Where the answer is lost (`Unavailable`), a message may be lost with it; a claim loses none.
        """
        popped = self.pop_many(1, wait)
        return popped[0] if popped else None

    def pop_many(self, limit: int, wait: int = 0) -> list[Message]:
        """As `pop`, for the first messages, at most `limit` and 1,000; waits for one, not for all."""
        return self.client.perform(self._calls.pop(limit, wait))

    # By id.

    def delete(self, id: str, receipt: str | None = None) -> bool:
        """Delete a message; False where it isn't there, `LeaseLost` where the receipt is not good any more."""
        return self.client.perform(self._calls.delete(id, receipt))

    def delete_many(self, ids: Iterable[str], receipts: Iterable[str] | None = None) -> list[Outcome]:
        """Delete messages, each with its receipt where there are receipts; says for each id what became of it."""
        return self.client.perform(self._calls.delete_many(ids, receipts))

    def change(
        self, id: str, *, ttl: int | None = None, hide: int | None = None, receipt: str | None = None
    ) -> Message | None:
        """Give a message a new ttl or hide, in seconds from now; None where it isn't there.

        To hide it without a receipt begins a new lease, and ends the one that it had.
        """
        return self.client.perform(self._calls.change(id, ttl, hide, receipt))

    def extend(self, id: str, seconds: int, receipt: str) -> Message | None:
        """Make a lease last so many seconds from now; None where the message isn't there, `LeaseLost` where the
        receipt is not good any more."""
        return self.client.perform(self._calls.change(id, None, seconds, receipt))

    # The queue itself.

    def purge(self) -> bool:
        """Delete all messages, hidden ones too; False where there are none."""
        return self.client.perform(self._calls.purge())

    def stats(self) -> QueueStats | None:
        """The queue in numbers; None where it has no messages."""
        found = self.client.queue_stats(self.account, [self.name])
        return found[0] if found else None

    def policy(self) -> Policy:
        """The rules that are set."""
        return self.client.perform(self._calls.policy({}))

    def set_policy(self, **members: int | str | None) -> Policy:
        """Set rules, by the names that `Policy` has; None removes one, and what isn't named stays. Answers all that
        are in force then; `BadRequest` for what can't be."""
        return self.client.perform(self._calls.policy(members))

    def remove_policy(self) -> None:
        """Remove all rules."""
        self.client.perform(self._calls.policy(None))


def _rest(pause: Pause) -> Operation[None]:
    yield pause
