"""A service in this process that asks for keys, in memory: for clients that have one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from leveret.frontend.rest import Rest, translate
from leveret.service import QueueConfig, QueueService
from leveret.store.memory import MemoryStore
from scalestack.auth.authority import Authority, Denied
from scalestack.auth.guard import Guard
from scalestack.auth.principal import Principal
from scalestack.auth.slow import Failures
from scalestack.clock import steady_clock
from scalestack.http.message import Request
from scalestack.http.router import Route
from support.web import serving

ALL = frozenset({"send", "receive", "read", "policy"})
KEY = "tok_0123456789_canary"  # for all of account acme; no log and no error may have it
READER = "tok_reader"  # may only read there
ADMIN = "tok_admin"


class Tokens:
    """The keys above, each of which may be revoked."""

    challenges = (b'Bearer realm="leveret"',)

    def __init__(self) -> None:
        self.known = {
            KEY: Principal("key", "acme", ALL),
            READER: Principal("reader", "acme", frozenset({"read"})),
            ADMIN: Principal("admin", None, frozenset({"admin"})),
        }
        self._changes = 0

    def version(self) -> int:
        return self._changes

    def revoke(self, key: str) -> None:
        self.known.pop(key, None)
        self._changes += 1

    def authenticate(self, request: Request) -> Principal | None:
        value = request.header(b"authorization")
        if value is None:
            return None
        try:
            return self.known[value.removeprefix(b"Bearer ").decode()]
        except KeyError:
            raise Denied("it is unknown") from None


@dataclass
class Guarded:
    """A running service, and what is known of its keys."""

    url: str
    tokens: Tokens = field(default_factory=Tokens)


@contextmanager
def guarded(more: Iterable[Route] = ()) -> Iterator[Guarded]:
    """The REST API, for those who have a key."""
    services = []

    def routes(loops: Any) -> list[Route]:
        services.append(QueueService(MemoryStore(), steady_clock(), QueueConfig(), loops.threads[0]))
        services[0].start()
        return [*Rest(services[0]).routes(), *more]

    with serving(routes, translate=translate) as web:
        authority = Authority(web.server.renew_layers)
        web.server.add_layer(
            Guard(authority, Failures(1000, 1000.0, 5.0), Failures(1000, 1000.0, 5.0), time.time, time.monotonic)
        )
        guarded = Guarded(f"http://127.0.0.1:{web.port}")
        authority.register(guarded.tokens)
        try:
            yield guarded
        finally:
            services[0].drain()
