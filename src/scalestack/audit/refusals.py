"""The layer that writes down who was refused what few may do. Stands before the guard; lets everything pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Final

from scalestack.audit.trail import Audit
from scalestack.event.pending import Pending
from scalestack.http.message import Answered, Handler, Request, Response
from scalestack.http.problem import HttpError
from scalestack.http.router import Route
from scalestack.log.render import hide_tokens

_FORBIDDEN: Final = 403
_AT_ONCE: Final = 10  # refusals of one caller that are written down in a `_WHILE`; the others are counted
_WHILE: Final = 60.0  # seconds
_MOST: Final = 10_000  # callers that are counted
_LENGTH: Final = 255  # characters of a name that are written down


class Refusals:
    """Watches the routes of some actions. Whoever is refused all the time doesn't fill the disk by that."""

    def __init__(self, audit: Audit, actions: Collection[str], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._actions = frozenset(actions)
        self._monotonic = monotonic
        self._counts: dict[str, tuple[float, int]] = {}  # by caller: until when it is counted, and its refusals
        self._counts_lock = threading.Lock()  # guards the table

    def __call__(self, route: Route, handler: Handler) -> Handler:
        if route.action not in self._actions:
            return handler

        def watched(request: Request, *parameters: str) -> Answered:
            try:
                answer = handler(request, *parameters)
            except HttpError as error:
                self._tell(route, request, parameters, error)
                raise
            if isinstance(answer, Response):
                return answer
            if isinstance(answer, Pending) and answer.parked and not answer.held_back:
                return answer  # who may wait for something has been let pass: nothing is kept for a refusal
            tell = partial(self._tell, route, request, parameters)
            return answer.overhear(tell) if isinstance(answer, Pending) else _awaited(answer, tell)

        return watched

    def _tell(self, route: Route, request: Request, parameters: tuple[str, ...], error: BaseException) -> None:
        if isinstance(error, HttpError) and error.status == _FORBIDDEN:
            self._refused(route, request, parameters)

    def _refused(self, route: Route, request: Request, parameters: tuple[str, ...]) -> None:
        who = "" if request.grant is None else request.grant.name
        left_out = self._count(who)
        if left_out is not None:
            names = {name: hide_tokens(text)[:_LENGTH] for name, text in zip(route.parameters, parameters, strict=True)}
            method = request.method.decode("latin-1")
            self._audit.note(
                request, route.action, "refused", method=method, route=route.path, **names, left_out=left_out or None
            )

    def _count(self, who: str) -> int | None:
        """How many refusals were left out since the last that was written down; None where this one is to be, too."""
        now = self._monotonic()
        with self._counts_lock:
            end, count = self._counts.get(who, (now, 0))
            if now >= end:
                self._counts.pop(who, None)
                if len(self._counts) >= _MOST:
                    del self._counts[next(iter(self._counts))]
                self._counts[who] = now + _WHILE, 1
                return max(0, count - _AT_ONCE)
            self._counts[who] = end, count + 1
            return 0 if count < _AT_ONCE else None


async def _awaited(answer: Awaitable[Response], tell: Callable[[BaseException], object]) -> Response:
    try:
        return await answer
    except HttpError as error:
        tell(error)
        raise
