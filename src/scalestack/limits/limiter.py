"""Refuses a request that is more than its account may use. Who is asked for is told from the path, not from the sender.

It is charged to the account that the path names: whoever may not touch that account is to be refused by a layer before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from scalestack.auth.guard import ACCOUNT
from scalestack.event.loops import arrival
from scalestack.event.pending import Answer, Pending, then
from scalestack.http.message import Answered, Handler, Request, Response
from scalestack.http.router import Route
from scalestack.limits.budget import CONNECTIONS, STREAMS, Budget, Excess
from scalestack.limits.budgets import Budgets
from scalestack.limits.refusals import Refusals, refusal
from scalestack.net.connection import Connection

_LONGEST_PAUSE: Final = 1.0  # seconds that a stream in debt sleeps before it looks whether the server ends


class Limiter:
    """The layer that charges requests, and refuses them."""

    def __init__(self, budgets: Budgets, refusals: Refusals, monotonic: Callable[[], float]) -> None:
        self._budgets = budgets
        self._refusals = refusals
        self._now = monotonic
        self._visits: dict[Connection, _Visit] = {}  # connections that something is counted for
        self.draining = False  # streams pause no more

    def __call__(self, route: Route, handler: Handler) -> Handler:
        if ACCOUNT not in route.parameters:
            return handler
        place = route.parameters.index(ACCOUNT)
        answers_much = route.method != "PUT"  # what a PUT is answered with is not worth charging
        budgets, clock = self._budgets, self._now

        def limited(request: Request, *parameters: str) -> Answered:
            account = parameters[place]
            now = clock()
            budget = budgets.of(account, now)
            if budget is None:
                return handler(request, *parameters)
            if not budget.admits_all:
                if budget.counts:
                    excess = self._admit(request, budget, now)
                else:
                    excess = budget.admit(len(request.body), now, False)
                if excess is not None:
                    return self._refuse(request, account, budget, excess)
            answer = handler(request, *parameters)
            if not (answers_much and budget.meters):
                return answer
            connection = request.connection
            if isinstance(answer, Response):
                if not answer.body and answer.stream is None:
                    return answer
                return self._meter(connection, account, answer)
            if isinstance(answer, Pending):
                return answer.then(partial(self._meter, connection, account))
            return self._meter_later(connection, account, answer)

        return limited

    def _admit(self, request: Request, budget: Budget, now: float) -> Excess | None:
        connection = request.connection
        if connection is None or connection.transport.is_closing():  # its end would not be seen
            return budget.admit(len(request.body), now, False)
        visit = self._visits.get(connection)
        new = visit is None or budget not in visit.budgets
        excess = budget.admit(len(request.body), now, new)
        if new and excess is None:
            self._visit(connection).budgets.add(budget)
        return excess

    def _refuse(self, request: Request, account: str, budget: Budget, excess: Excess) -> Answer[Response]:
        request.body = b""  # not to be kept while the refusal is
        if excess.kind == CONNECTIONS:
            request.end_connection()
        response = refusal(excess)
        return then(self._refusals.hold(account, excess.kind, budget, request.connection), lambda _: response)

    def _meter(self, connection: Connection | None, account: str, response: Response) -> Answer[Response]:
        """Charge an answer that is about to be sent."""
        now = self._now()
        # It may have come long after its request, and the account been forgotten and found again.
        budget = self._budgets.of(account, now)
        if budget is None:
            return response
        if response.stream is None:
            if response.body:
                budget.owe(len(response.body), now)
            return response
        if connection is None or connection.transport.is_closing():
            return response  # it will not be sent, and its end would not be seen
        excess = budget.enter(STREAMS)
        if excess is not None:
            return then(self._refusals.hold(account, STREAMS, budget, connection), lambda _: refusal(excess))
        stream = _Stream(response.stream, self, budget)
        self._visit(connection).stream = stream
        return Response(response.status, b"", response.content_type, response.headers, stream)

    async def _meter_later(self, connection: Connection | None, account: str, answer: Awaitable[Response]) -> Response:
        return await arrival(self._meter(connection, account, await answer))

    def _visit(self, connection: Connection) -> _Visit:
        visit = self._visits.get(connection)
        if visit is None:
            visit = self._visits[connection] = _Visit()
            connection.on_end(partial(self._end, connection))
        return visit

    def _end(self, connection: Connection) -> None:
        visit = self._visits.pop(connection)
        for budget in visit.budgets:
            budget.leave(CONNECTIONS)
        if visit.stream is not None:
            visit.stream.leave()

    async def pause(self, budget: Budget) -> None:
        """Let a stream wait until its account is out of debt."""
        while not self.draining and (wait := budget.debt(self._now())):  # noqa: ASYNC110 - it waits for time alone
            await asyncio.sleep(min(wait, _LONGEST_PAUSE))

    def charge(self, budget: Budget, size: int) -> None:
        """Charge a piece of a stream."""
        budget.owe(size, self._now())


class _Visit:
    """What is counted for one connection until it ends. Only its loop touches it."""

    __slots__ = ("budgets", "stream")

    def __init__(self) -> None:
        self.budgets: set[Budget] = set()  # those of which it is a connection
        self.stream: _Stream | None = None  # the last, which alone can be open


class _Stream:
    """A stream that is charged as it is sent, and is sent no faster than its account may."""

    def __init__(self, stream: AsyncIterator[bytes], limiter: Limiter, budget: Budget) -> None:
        self._stream = stream
        self._limiter = limiter
        self._budget = budget
        self._open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await self._limiter.pause(self._budget)
        data = await anext(self._stream)
        self._limiter.charge(self._budget, len(data))
        return data

    async def aclose(self) -> None:
        """End it, whether it was begun or not."""
        self.leave()
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()

    def leave(self) -> None:
        """Count it no more: it has ended, or its connection has."""
        if self._open:
            self._open = False
            self._budget.leave(STREAMS)
