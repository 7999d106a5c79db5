"""Lets a request pass to its handler where its sender may do what the route says. Decides by names alone.

Who has no good credentials gets the same 401 whatever is wrong with them, and who has no right gets the same 403
whether what was asked for exists or not: neither the answer nor its timing tells anything of others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, replace
from functools import partial
from hmac import compare_digest
from math import inf
from typing import Final

from scalestack.auth.authority import Authority, Denied
from scalestack.auth.principal import Authorized
from scalestack.auth.slow import Failures
from scalestack.event.pending import Answer, Pending
from scalestack.http.message import Answered, Handler, Request, Response
from scalestack.http.problem import HttpError
from scalestack.http.router import PUBLIC, Route
from scalestack.log import Logger
from scalestack.net.connection import Connection

_log = Logger("scalestack.auth")

ACCOUNT: Final = "account"  # the parameter of a path that names the account; the one after it names the resource


@dataclass(slots=True)
class _Known:
    """What is remembered on a connection: these very credentials were good, and still are while nothing changes."""

    evidence: Request  # the request that they came with, without what else it said
    place: int  # of the Authorization among the headers; -1 where the credentials were no header
    name: bytes  # of that header, as it was spelled
    authorization: bytes
    epoch: int
    version: Hashable
    granted: Authorized
    expires: float
    # What was allowed last, and is asked for again nearly always.
    action: str = ""
    names: tuple[str, ...] = ()


class Guard:
    """The layer that asks for credentials, and for rights."""

    def __init__(
        self,
        authority: Authority,
        failures: Failures,
        refusals: Failures,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """`failures` holds back refusals of bad credentials, and `refusals` all others. `clock`: wall seconds, for what
        expires; `monotonic`: seconds, for what is held back."""
        self._authority = authority
        self._failures = failures
        self._refusals = refusals
        self._clock = clock
        self._monotonic = monotonic

    def __call__(self, route: Route, handler: Handler) -> Handler:
        if route.action == PUBLIC or self._authority.open:
            return handler
        action = route.action
        place = route.parameters.index(ACCOUNT) if ACCOUNT in route.parameters else len(route.parameters)
        named = slice(place, place + 2)  # the account and the resource, as far as the path has them

        authority, clock = self._authority, self._clock

        def guarded(request: Request, *parameters: str) -> Answered:
            # Nearly always the request before it on this connection had the same credentials, in the same place, and
            # nothing has changed since. It is all in one function, because each request pays for it.
            known = None if request.connection is None else request.connection.identity
            if type(known) is not _Known or not 0 <= known.place < len(request.headers):
                return self._identify(request, partial(passing, request, parameters))
            name, value = request.headers[known.place]
            # In constant time: a proxy may send the requests of several clients over one connection.
            if (
                name != known.name
                or not compare_digest(value, known.authorization)
                or known.epoch != authority.epoch
                or known.version != authority.version()
                or (known.expires != inf and clock() >= known.expires)
            ):
                return self._identify(request, partial(passing, request, parameters))
            if known.action == action and known.names == parameters[named]:
                request.grant = known.granted
                return handler(request, *parameters)
            return passing(request, parameters, known)

        def passing(request: Request, parameters: tuple[str, ...], known: _Known) -> Answered:
            request.grant = known.granted  # also where it is refused: the audit log says who was
            names = parameters[named]
            if not known.granted.allows(action, *names, *[None] * (2 - len(names))):
                return self._hold(request, self._refusals, known.granted.name, forbidden(action))
            known.action, known.names = action, names
            return handler(request, *parameters)

        return guarded

    def _identify(self, request: Request, proceed: Callable[[_Known], Answered]) -> Answered:
        # Before it is asked: what changes meanwhile counts as changed.
        epoch, version = self._authority.epoch, self._authority.version()
        evidence = _evidence_of(request)  # before it is asked: who signs URLs takes the signature out of them
        try:
            found = self._authority.identify(request)
        except Denied as error:
            return self._refuse(request, error)
        if not isinstance(found, Pending):
            return self._identified(request, evidence, epoch, version, proceed, found)

        def step(found: Authorized | Denied | None) -> Answer[Response]:
            return _answer_of(request, self._identified(request, evidence, epoch, version, proceed, found))

        return _with_denial(found).then(step)

    def _identified(
        self,
        request: Request,
        evidence: Request,
        epoch: int,
        version: Hashable,
        proceed: Callable[[_Known], Answered],
        found: Authorized | Denied | None,
    ) -> Answered:
        if found is None:
            assert request.connection is not None
            return self._hold(request, self._refusals, request.connection.peer, self._unauthenticated())
        if isinstance(found, Denied):
            return self._refuse(request, found)
        if self._clock() >= found.principal.expires:
            return self._refuse(request, Denied("it has expired"))
        place, name, value = _authorization_of(request)
        known = _Known(evidence, place, name, value, epoch, version, found, found.principal.expires)
        if request.connection is not None:
            request.connection.identity = known
        return proceed(known)

    def recheck(self, connections: Collection[Connection]) -> None:
        """Cut those of a loop's connections whose credentials are good no more: polls that wait and streams that go on
        were let pass when they began. Who waits for nothing is asked at the next request.

        To be called on that loop, now and then."""
        epoch, version, now = self._authority.epoch, self._authority.version(), self._clock()
        for connection in connections:
            known = connection.identity
            if (
                type(known) is _Known
                and connection.is_answering()
                and (known.epoch != epoch or known.version != version or now >= known.expires)
            ):
                self._recheck(connection, known, epoch, version)

    def cut_strangers(self, connections: Collection[Connection]) -> None:
        """Cut those of a loop's connections that wait for an answer, and of which nobody asked who they are: they were
        let pass when nobody had to say that."""
        for connection in connections:
            if connection.identity is None and connection.is_answering():
                connection.transport.abort()

    def _recheck(self, connection: Connection, known: _Known, epoch: int, version: Hashable) -> None:
        def came(found: Authorized | None, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, Denied):
                return  # nobody can tell for now: it is asked again the next time
            if found is not None and self._clock() < found.principal.expires and _still_allows(found, known):
                if connection.identity is known:
                    connection.identity = replace(
                        known, epoch=epoch, version=version, granted=found, expires=found.principal.expires
                    )
                return
            if connection.identity is known:
                connection.identity = None
                _log.debug("a connection is cut: its credentials are no good any more", peer=connection.peer)
                connection.transport.abort()

        try:
            found = self._authority.identify(_evidence_of(known.evidence))
        except Exception as error:
            came(None, error)
            return
        if isinstance(found, Pending):
            found.listen(came)
        else:
            came(found, None)

    def _refuse(self, request: Request, denied: Denied) -> Answer[Response]:
        """401, held back where there were too many from this address: whoever has good credentials is not held up."""
        connection = request.connection
        assert connection is not None
        connection.identity = None
        _log.debug("credentials are no good", peer=connection.peer, why=str(denied))
        return self._hold(request, self._failures, connection.peer, self._unauthenticated())

    def _hold(self, request: Request, counted: Failures, whose: str, error: HttpError) -> Answer[Response]:
        """Fails with the error: at once, or later where there were many, so that a flood of them costs little."""
        delay = counted.delay(whose, self._monotonic())
        if not delay:
            raise error
        assert request.connection is not None
        request.body = b""  # not to be kept for as long as the refusal is
        refusal: Pending[Response] = Pending(_let_go)
        refusal.parked = refusal.held_back = True
        request.connection.thread.later(delay, refusal.fail, error)
        return refusal

    def _unauthenticated(self) -> HttpError:
        return HttpError(
            401,
            "unauthenticated",
            "credentials are needed that are good here, as 'Authorization: Bearer …': none came, or they are unknown, "
            "expired or revoked",
            tuple((b"WWW-Authenticate", challenge) for challenge in self._authority.challenges),
        )


def _evidence_of(request: Request) -> Request:
    """A request with the credentials of this one, and no more."""
    headers = [(name, value) for name, value in request.headers if name.lower() == b"authorization"]
    evidence = Request(request.method, request.target, headers, b"", True, False)
    evidence.connection = request.connection
    return evidence


def _authorization_of(request: Request) -> tuple[int, bytes, bytes]:
    """Where the Authorization is among the headers, how it is spelled, and what it says; -1 where there is none."""
    for place, (name, value) in enumerate(request.headers):
        if name.lower() == b"authorization":
            return place, name, value
    return -1, b"", b""


def _still_allows(found: Authorized, known: _Known) -> bool:
    """Whether what was asked for last is allowed by what was found now."""
    return not known.action or found.allows(known.action, *known.names, *[None] * (2 - len(known.names)))


def _let_go() -> bool:
    """A refusal may be given up at any time; its timer then finds nobody."""
    return True


def forbidden(action: str) -> HttpError:
    """403 for whoever may not do it, the same whether there is anything of that name or not."""
    return HttpError(403, "forbidden", f"this takes the right to '{action}', which these credentials don't give here")


def _with_denial(found: Pending[Authorized | None]) -> Pending[Authorized | Denied | None]:
    """The same answer, in which a denial is a value: steps that follow are to see it."""
    answer: Pending[Authorized | Denied | None] = Pending(found.cancel)

    def came(granted: Authorized | None, error: BaseException | None) -> None:
        if error is None or isinstance(error, Denied):
            answer.resolve(granted if error is None else error)
        else:
            answer.fail(error)

    found.listen(came)
    return answer


def _answer_of(request: Request, answered: Answered) -> Answer[Response]:
    """A handler's answer without the form of a coroutine, which no pending answer can go on with."""
    if isinstance(answered, Response | Pending):
        return answered
    assert request.connection is not None
    task = asyncio.ensure_future(answered, loop=request.connection.thread.loop)
    answer: Pending[Response] = Pending(task.cancel)

    def done(task: asyncio.Future[Response]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            answer.resolve(task.result())
        else:
            answer.fail(error)

    task.add_done_callback(done)
    return answer
