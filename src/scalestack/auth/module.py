"""The auth modules that every service has: `auth`, which closes all, and `auth.none`, which opens all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar, cast

from scalestack.auth.authority import Authority
from scalestack.auth.guard import Guard
from scalestack.auth.slow import Failures
from scalestack.config import Between
from scalestack.http.server import HttpServer
from scalestack.module import Module, Needs, NoConfig
from scalestack.net.listener import Network

T = TypeVar("T")

_RECHECK: Final = 0.1  # seconds between looks whether credentials may be good no more for which something goes on
_LOOKS: Final = 10  # of these until it is looked what has expired, or has changed without a word
_LONGEST: Final = 5.0  # seconds that the refusal of bad credentials is held back, at most
_LONGER: Final = 0.5  # seconds for which other refusals are, at most


@dataclass(frozen=True)
class AuthConfig:
    failures: Annotated[int, Between(1, 1_000_000)] = 10  # bad credentials of one address that are refused at once
    failure_rate: Annotated[float, Between(0.001, 1_000_000)] = 1.0  # of those per second, after that; more wait
    refusals: Annotated[int, Between(1, 1_000_000)] = 100  # 401 without credentials, or 403 of a key, sent at once
    refusal_rate: Annotated[float, Between(0.001, 1_000_000)] = 50.0  # of those per second, after that; more wait


class AuthModule(Module[AuthConfig]):
    """Provides `Authority`. All routes that are not public are closed until an authenticator is registered with it."""

    name = "auth"
    Config = AuthConfig
    depends = (HttpServer, Network)
    provides = (Authority,)

    def __init__(self, config: AuthConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._http = needs[HttpServer]
        self._authority = Authority(self._changed)
        self._open = False
        self._seen: Hashable = None
        self._left = 0  # looks until the next thorough one
        failures = Failures(config.failures, config.failure_rate, _LONGEST)
        refusals = Failures(config.refusals, config.refusal_rate, _LONGER)
        # Wall time as it is now: others set when credentials expire, by their own clocks.
        self._guard = Guard(self._authority, failures, refusals, time.time, time.monotonic)
        self._network = needs[Network]
        self._thread = self._network.loops.threads[0]  # times the rechecks
        self._timer: asyncio.TimerHandle | None = None

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._authority)

    def start(self) -> None:
        self._http.add_layer(self._guard)
        self._thread.post(self._plan_recheck)

    def stop(self) -> None:
        self._thread.post(self._end_rechecks)
        self._http.remove_layer(self._guard)

    def _plan_recheck(self) -> None:
        self._timer = self._thread.later(_RECHECK, self._recheck)

    def _end_rechecks(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _recheck(self) -> None:
        self._plan_recheck()  # first, so that no error of an authenticator ends it
        authority = self._authority
        if not authority.open:
            self._left -= 1
            thorough = self._left <= 0
            if thorough:
                self._left = _LOOKS
                authority.look()
            seen = (authority.epoch, authority.version())
            if thorough or seen != self._seen:
                self._seen = seen
                self._network.visit(self._guard.recheck)

    def _changed(self) -> None:
        self._http.renew_layers()
        was_open, self._open = self._open, self._authority.open
        if was_open and not self._open:
            self._network.visit(self._guard.cut_strangers)


class NoneModule(Module[NoConfig]):
    """Nobody is asked who they are, and everybody may do everything: for loopback."""

    name = "auth.none"
    depends = (Authority,)

    def __init__(self, config: NoConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._authority = needs[Authority]

    def start(self) -> None:
        self._authority.set_open(True)

    def stop(self) -> None:
        self._authority.set_open(False)
