"""Asks authenticators, one after the other, who sends a request. Knows none of them, and closes where there is none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

from scalestack.auth.principal import Authorized, Authorizer, OwnRights, Principal
from scalestack.event.pending import Answer, Pending
from scalestack.http.message import Request


class Denied(Exception):
    """Credentials that are no good. The text says why, for the log: who sent them is told the same in every case."""


class Authenticator(Protocol):
    """Finds out who sends a request."""

    @property
    def challenges(self) -> Sequence[bytes]:
        """Those of WWW-Authenticate, such as b'Bearer realm="queues"' (RFC 9110 section 11.6.1)."""

    def authenticate(self, request: Request) -> Answer[Principal | None]:
        """Who sends this; None where it carries nothing that this one knows. `Denied` where that is no good, and
        `HttpError` where that can't be found out. Called on the loop of the request's connection."""

    def version(self) -> Hashable:
        """What changes whenever an answer that was given may not be true any more. Asked at each request."""


@runtime_checkable
class Watching(Protocol):
    """An authenticator for which things change that `version` does not tell."""

    def look(self) -> bool:
        """Whether what was answered may not be true any more. Called once a second, on a loop."""


class Authority:
    """The authenticators that are in force. Any thread may register and deregister."""

    def __init__(self, changed: Callable[[], object] = lambda: None, authorizer: Authorizer | None = None) -> None:
        """`changed` is called whenever `open` or the authenticators have."""
        self.authorizer = authorizer or OwnRights()
        self.open = False  # nobody is asked who they are
        # Whatever was answered, rights too, may be remembered for as long as neither of these two changes.
        self.epoch = 0
        self.version: Callable[[], Hashable] = lambda: None
        self._authenticators: tuple[Authenticator, ...] = ()
        self._changed = changed
        self._lock = threading.Lock()  # guards the change of all of these

    def register(self, authenticator: Authenticator) -> None:
        """Ask this one too, after those that are there."""
        self._change(lambda there: (*there, authenticator), self.open)

    def deregister(self, authenticator: Authenticator) -> None:
        """Ask this one no more, and believe nothing that it answered; harmless when called again."""
        self._change(lambda there: tuple(each for each in there if each is not authenticator), self.open)

    def set_open(self, open: bool) -> None:
        """Let everybody do everything, without being asked; or no more."""
        self._change(lambda there: there, open)

    def renew(self) -> None:
        """Ask again for whatever was answered: an authorizer has changed its mind."""
        self._change(lambda there: there, self.open)

    def _change(self, change: Callable[[tuple[Authenticator, ...]], tuple[Authenticator, ...]], open: bool) -> None:
        with self._lock:
            authenticators = self._authenticators = change(self._authenticators)
            self.open = open
            versions = [each.version for each in authenticators]
            self.version = versions[0] if len(versions) == 1 else lambda: tuple(version() for version in versions)
            self.epoch += 1
        self._changed()

    @property
    def challenges(self) -> list[bytes]:
        """What a client may answer with, for WWW-Authenticate."""
        return list(dict.fromkeys(challenge for each in self._authenticators for challenge in each.challenges))

    def look(self) -> None:
        """Have authenticators look at what no version tells. To be called once a second, on a loop."""
        changed = [each.look() for each in self._authenticators if isinstance(each, Watching)]
        if any(changed):
            self.renew()

    def identify(self, request: Request) -> Answer[Authorized | None]:
        """Who sends this; None where it carries no credentials that are known here, and `Denied` where they are bad."""
        return self._ask(request, self._authenticators)

    def _ask(self, request: Request, authenticators: Sequence[Authenticator]) -> Answer[Authorized | None]:
        for number, each in enumerate(authenticators, 1):
            found = each.authenticate(request)
            if isinstance(found, Pending):
                return found.then(partial(self._answered, request, authenticators[number:]))
            if found is not None:
                return Authorized(found, self.authorizer)
        return None

    def _answered(
        self, request: Request, others: Sequence[Authenticator], found: Principal | None
    ) -> Answer[Authorized | None]:
        return self._ask(request, others) if found is None else Authorized(found, self.authorizer)
