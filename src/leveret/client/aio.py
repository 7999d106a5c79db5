"""Accounts, queues and messages for asyncio. Drives the operations of `client`, and adds nothing but the waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self, TypeVar

from leveret.client.calls import Call, Found, Operation, Pause, Reply, Retry, Stream
from leveret.client.claim import ClaimedMessage
from leveret.client.client import ENDLESS_WAIT
from leveret.client.errors import (
    ClientClosed,
    Forbidden,
    LeaseLost,
    LeveretError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from leveret.client.lease import EXTEND_AFTER, TRY_AGAIN_AFTER, Lease
from leveret.client.operations import QueueCalls, ServiceCalls, later
from leveret.client.values import Backoff, Draft, Message, Outcome, Policy, QueueStats

T = TypeVar("T")


class AsyncTransport(Protocol):
    """How a service is reached, from one event loop."""

    async def send(self, call: Call) -> Reply:
        """As `leveret.client.client.Transport.send`; to cancel it ends a wait, and takes nothing that comes later."""

    async def close(self) -> None:
        """End; harmless when called again."""


class AsyncClient:
    """A queue service, for asyncio: as `Client`, with the same names. `async with` closes it."""

    def __init__(
        self,
        transport: AsyncTransport,
        retry: Retry | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`sleep` takes the place of waiting between attempts, and between the extensions of a lease."""
        self._transport = transport
        self._closed = False
        self.sleep = sleep
        self.retry = retry or Retry()
        self._calls = ServiceCalls(self.retry)

    def queue(self, account: str, name: str) -> AsyncQueue:
        """As `Client.queue`; asks nothing, and so is not awaited."""
        return AsyncQueue(self, account, name)

    def accounts(self) -> AsyncIterator[str]:
        """As `Client.accounts`."""
        return self.stream(self._calls.accounts())

    def queues(self, account: str) -> AsyncIterator[str]:
        """As `Client.queues`."""
        return self.stream(self._calls.queues(account))

    async def queue_stats(self, account: str, names: Iterable[str] | None = None) -> list[QueueStats]:
        """As `Client.queue_stats`."""
        return await self.perform(self._calls.queue_stats(account, names))

    async def versions(self) -> list[str]:
        """As `Client.versions`."""
        return await self.perform(self._calls.versions())

    async def delete_account(self, account: str) -> bool:
        """As `Client.delete_account`."""
        return await self.perform(self._calls.delete_account(account))

    async def close(self) -> None:
        """Let go of everything; harmless when called again."""
        self._closed = True
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    # For queues and claims.

    async def perform(self, operation: Operation[T]) -> T:
        """Do it, and answer its value."""
        try:
            step = next(operation)
            while True:
                try:
                    reply = await self._take(step)
                except Exception as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(reply)
        except StopIteration as stop:
            value: T = stop.value
            return value

    async def stream(self, operation: Stream[T]) -> AsyncIterator[T]:
        """Do it while somebody asks for more."""
        try:
            step = next(operation)
            while True:
                if isinstance(step, Found):
                    for item in step.items:
                        yield item
                    step = next(operation)
                    continue
                try:
                    reply = await self._take(step)
                except Exception as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(reply)
        except StopIteration:
            return

    async def _take(self, step: Call | Pause) -> Reply | None:
        if self._closed:
            raise ClientClosed.now()
        if isinstance(step, Call):
            return await self._transport.send(step)
        await self.sleep(step.seconds)
        return None


class AsyncQueue:
    """One queue of one account, for asyncio: as `Queue`, with the same names."""

    def __init__(self, client: AsyncClient, account: str, name: str) -> None:
        self.client = client
        self.account = account
        self.name = name
        self._calls = QueueCalls(account, name, client.retry)

    def __repr__(self) -> str:
        return f"AsyncQueue({self.account!r}, {self.name!r})"

    async def put(
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
        """As `Queue.put`."""
        draft = Draft(body, id, ttl, hide, content_type, headers)
        return await self.client.perform(self._calls.put(draft, only_new))

    async def put_many(self, messages: Iterable[bytes | str | Draft]) -> list[str]:
        """As `Queue.put_many`."""
        return await self.client.perform(self._calls.put_many(messages))

    async def get(self, id: str) -> Message | None:
        """As `Queue.get`."""
        return await self.client.perform(self._calls.get(id))

    async def get_many(self, ids: Iterable[str]) -> list[Message | None]:
        """As `Queue.get_many`."""
        return await self.client.perform(self._calls.get_many(ids))

    def messages(
        self, limit: int | None = None, *, after: str | None = None, hidden: bool = False, newest_first: bool = False
    ) -> AsyncIterator[Message]:
        """As `Queue.messages`."""
        return self.client.stream(self._calls.messages(limit, after, hidden, newest_first))

    def follow(self, after: str | None = None, *, hidden: bool = True) -> AsyncIterator[Message]:
        """As `Queue.follow`."""
        return self.client.stream(self._calls.follow(after, hidden))

    async def claim(
        self, seconds: int = 60, *, wait: int = 0, backoff: Backoff = 0, keep: bool = True
    ) -> AsyncClaim | None:
        """As `Queue.claim`. To cancel it while it waits takes no message, unless one comes at that moment: then that is
        there again when its lease has ended."""
        claims = await self.claim_many(1, seconds, wait=wait, backoff=backoff, keep=keep)
        return claims[0] if claims else None

    async def claim_many(
        self, limit: int, seconds: int = 60, *, wait: int = 0, backoff: Backoff = 0, keep: bool = True
    ) -> list[AsyncClaim]:
        """As `Queue.claim_many`."""
        found = await self.client.perform(self._calls.claim(limit, seconds, wait))
        return [AsyncClaim(self.client, Lease(self._calls, message, seconds, backoff, keep)) for message in found]

    async def claims(self, seconds: int = 60, *, backoff: Backoff = 0, keep: bool = True) -> AsyncIterator[AsyncClaim]:
        """As `Queue.claims`."""
        reached = False
        failed = 0
        while True:
            try:
                claim = await self.claim(seconds, wait=ENDLESS_WAIT, backoff=backoff, keep=keep)
            except Unavailable as error:
                if not reached and not isinstance(error, TooManyRequests):
                    raise
                await self.client.sleep(later(self.client.retry, failed, error).seconds)
                failed += 1
                continue
            reached, failed = True, 0
            if claim is not None:
                yield claim

    async def pop(self, wait: int = 0) -> Message | None:
        """As `Queue.pop`. To cancel it may lose a message that comes at that moment; a claim loses none."""
        popped = await self.pop_many(1, wait)
        return popped[0] if popped else None

    async def pop_many(self, limit: int, wait: int = 0) -> list[Message]:
        """As `Queue.pop_many`."""
        return await self.client.perform(self._calls.pop(limit, wait))

    async def delete(self, id: str, receipt: str | None = None) -> bool:
        """As `Queue.delete`."""
        return await self.client.perform(self._calls.delete(id, receipt))

    async def delete_many(self, ids: Iterable[str], receipts: Iterable[str] | None = None) -> list[Outcome]:
        """As `Queue.delete_many`."""
        return await self.client.perform(self._calls.delete_many(ids, receipts))

    async def change(
        self, id: str, *, ttl: int | None = None, hide: int | None = None, receipt: str | None = None
    ) -> Message | None:
        """As `Queue.change`."""
        return await self.client.perform(self._calls.change(id, ttl, hide, receipt))

    async def extend(self, id: str, seconds: int, receipt: str) -> Message | None:
        """As `Queue.extend`."""
        return await self.client.perform(self._calls.change(id, None, seconds, receipt))

    async def purge(self) -> bool:
        """As `Queue.purge`."""
        return await self.client.perform(self._calls.purge())

    async def stats(self) -> QueueStats | None:
        """As `Queue.stats`."""
        found = await self.client.queue_stats(self.account, [self.name])
        return found[0] if found else None

    async def policy(self) -> Policy:
        """As `Queue.policy`."""
        return await self.client.perform(self._calls.policy({}))

    async def set_policy(self, **members: int | str | None) -> Policy:
        """As `Queue.set_policy`."""
        return await self.client.perform(self._calls.policy(members))

    async def remove_policy(self) -> None:
        """As `Queue.remove_policy`."""
        await self.client.perform(self._calls.policy(None))


class AsyncClaim(ClaimedMessage):
    """A message that is this worker's until the lease ends: as `Claim`, for `async with`."""

    def __init__(self, client: AsyncClient, lease: Lease) -> None:
        super().__init__(lease)
        self._client = client
        self._lock = asyncio.Lock()  # held for each operation of the lease
        self._keeper: asyncio.Task[None] | None = None

    async def delete(self) -> None:
        """As `Claim.delete`."""
        async with self._lock:
            await self._client.perform(self._lease.delete())

    async def release(self, seconds: int = 0) -> None:
        """As `Claim.release`."""
        async with self._lock:
            await self._client.perform(self._lease.release(seconds))

    async def extend(self, seconds: int) -> None:
        """As `Claim.extend`."""
        async with self._lock:
            await self._client.perform(self._lease.extend(seconds))
            if self._keeper is not None:  # from now on, and by its new length
                self._keeper.cancel()
                self._keeper = self._start_keeper()

    async def _keep(self) -> None:
        pause = EXTEND_AFTER
        while True:
            await self._client.sleep(self._lease.seconds * pause)
            async with self._lock:
                if not self._lease.held:
                    return
                try:
                    await self._client.perform(self._lease.prolong())
                except (LeaseLost, Unauthorized, Forbidden):
                    return
                except LeveretError:
                    pause = TRY_AGAIN_AFTER
                else:
                    pause = EXTEND_AFTER

    async def __aenter__(self) -> Self:
        if self._lease.keep and self._lease.held:
            self._keeper = self._start_keeper()
        return self

    def _start_keeper(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._keep(), name=f"leveret: keeps {self.id}")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._lock:  # so that no extension is under way
            keeper, self._keeper = self._keeper, None
            if keeper is not None:
                keeper.cancel()
            if self._lease.over:
                return
            if error is None:
                await self._client.perform(self._lease.finish())
            elif not self._lease.lost:
                with suppress(LeveretError):  # the error within the block is what matters
                    await self._client.perform(self._lease.give_back())
