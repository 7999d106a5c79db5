"""Writes down who did what, and what came of it, before whoever did it hears of that. Never in the way of doing it.

A line is in the file when the answer leaves, so that it outlives the process, however that ends. It isn't synced: a
loss of power may take the lines of the last seconds. A line that can't be written goes to the log as an error, and the
answer leaves all the same: what was done is done, and to say anything else would have it done again.
"""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from scalestack.audit.file import AppendFile
from scalestack.clock import timestamp
from scalestack.event.pending import Answer, Cancelled, Pending
from scalestack.event.worker import Worker
from scalestack.http.message import Request
from scalestack.http.problem import HttpError
from scalestack.log import Logger
from scalestack.log.render import hide_tokens

T = TypeVar("T")

Outcome: TypeAlias = Literal["done", "refused", "failed"]

ANYONE: Final = "anyone"  # where nobody is asked who they are

_log = Logger("scalestack.audit")


class Audit:
    """The interface of the audit module. Details are names and numbers, in lists and dicts: no secrets, no bodies."""

    def __init__(
        self, file: AppendFile, worker: Worker, anyone: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        """`anyone`: write down also what is done where nobody is asked who they are. `clock`: wall seconds."""
        self._file = file
        self._worker = worker
        self._anyone = anyone
        self._clock = clock

    def record(
        self, who: str, action: str, outcome: Outcome = "done", peer: str | None = None, /, **details: Any
    ) -> None:
        """Write a line, now: blocks while it is written. Details that are None are left out."""
        entry = {
            "time": timestamp(self._clock()),
            "who": who,
            "action": action,
            "peer": peer,
            "outcome": outcome,
            "details": {name: _without_tokens(value) for name, value in details.items() if value is not None},
        }
        try:
            self._file.append(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            _log.error("the audit log can't be written, and misses this", error=str(error), entry=entry)

    def recorded(
        self,
        request: Request,
        action: str,
        act: Callable[[], Answer[T]],
        told: Callable[[T], Mapping[str, Any] | None],
        /,
        **details: Any,
    ) -> Answer[T]:
        """What `act` answers, once that is written down, with what `told` makes of the answer beside the details: None
        where nothing was done after all, and so nothing is to be written. Errors are passed on."""
        if not self.knows(request):
            return act()

        def failed(error: BaseException) -> None:
            self.note(request, action, "failed", **details, error=_code(error))

        def done(value: T) -> Answer[T]:
            more = told(value)
            if more is None:
                return value
            connection = request.connection
            assert connection is not None
            write = partial(self.record, _who(request), action, "done", connection.peer, **details, **more)
            return self._worker.ask(connection.thread, write).then(lambda _: value)

        try:
            answer = act()
        except Exception as error:
            failed(error)
            raise
        if isinstance(answer, Pending):
            return overheard(cast("Pending[T]", answer), failed).then(done)
        return done(answer)

    def note(self, request: Request, action: str, outcome: Outcome, /, **details: Any) -> None:
        """Have a line written, soon: of what changed nothing, and so is not waited for."""
        if self.knows(request):
            peer = None if request.connection is None else request.connection.peer
            self._worker.do(partial(self.record, _who(request), action, outcome, peer, **details))

    def knows(self, request: Request) -> bool:
        """Whether what this request does is to be written down."""
        return self._anyone or request.grant is not None


def local_user() -> str:
    """Who does something on the server's own machine, without asking the server: "local ann"."""
    try:
        return f"local {getpass.getuser()}"
    except (OSError, KeyError):  # nobody has this number; KeyError before Python 3.13
        return f"local {os.getuid()}"


def overheard(answer: Pending[T], tell: Callable[[BaseException], object]) -> Pending[T]:
    """The same answer, of whose error `tell` hears before whoever waits for it."""
    following: Pending[T] = Pending(answer.cancel)

    def came(value: T | None, error: BaseException | None) -> None:
        following.parked = answer.parked
        if error is None:
            following.resolve(value)  # type: ignore[arg-type]  # without an error, it is a T
            return
        if not isinstance(error, Cancelled):
            tell(error)
        following.fail(error)

    answer.listen(came)
    return following


def _without_tokens(value: Any) -> Any:
    """A detail in which a token may be that somebody took for a name."""
    if isinstance(value, str):
        return hide_tokens(value)
    if isinstance(value, list | tuple):
        return [_without_tokens(each) for each in value]
    if isinstance(value, dict):
        return {key: _without_tokens(each) for key, each in value.items()}
    return value


def _who(request: Request) -> str:
    return ANYONE if request.grant is None else request.grant.name


def _code(error: BaseException) -> str:
    """What went wrong, in a word: an error's text may say anything."""
    return error.code if isinstance(error, HttpError) else type(error).__name__
