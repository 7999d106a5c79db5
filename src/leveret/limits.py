"""What each account may use, by default and by account: settings alone. The work is done elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Annotated, Any, Final, NoReturn, TypeVar, cast

from leveret.model import InvalidName, Quota, check_name
from leveret.service import QueueService, TooManyPolls
from leveret.store.base import AccountFull
from scalestack.auth.authority import Authority
from scalestack.config import Between
from scalestack.event.pending import Answer, then
from scalestack.http.server import HttpServer
from scalestack.limits.budget import BYTES, CONNECTIONS, REQUESTS, STREAMS, Limit, Limits
from scalestack.limits.refusals import Refusals, detail_of
from scalestack.module import Module, Needs

T = TypeVar("T")

POLLS: Final = "polls"
STORED: Final = "stored"  # the kind of a refusal for what the account holds already

_BURST: Final = 2.0  # seconds
_PER_SECOND: Final = (REQUESTS, BYTES)
_AT_ONCE: Final = (CONNECTIONS, STREAMS, POLLS)
_HELD: Final = {"messages": "messages", "stored_bytes": "bytes", "queues": "queues"}  # settings, as a quota has them

_Rate = Annotated[float | None, Between(0.001, None)]
_Count = Annotated[int | None, Between(0, None)]


@dataclass(frozen=True)
class AccountLimits:
    """Limits of one account; where there is no value, that of all accounts counts."""

    requests: _Rate = None  # requests per second
    bytes: _Rate = None  # bytes of bodies per second, in and out; what goes out is charged afterwards
    burst: _Rate = None  # seconds' worth of both that may come in no time; 2 where nothing is said
    messages: _Count = None  # messages that it holds, hidden ones included
    stored_bytes: _Count = None  # bytes of bodies that it holds
    queues: _Count = None  # queues with messages that it has
    polls: _Count = None  # long polls that wait at once
    streams: _Count = None  # followers at once
    connections: _Count = None  # connections at once over which something of it is asked for


@dataclass(frozen=True)
class LimitsConfig(AccountLimits):
    """The limits of each account that has none of its own; where there is no value, there is no limit."""

    accounts: dict[str, AccountLimits] = field(default_factory=dict)  # of one: a table [limits.accounts.NAME]

    def __post_init__(self) -> None:
        for name in self.accounts:
            check_name("account", name)

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        given = (getattr(self, each.name) for each in fields(AccountLimits) if each.name != "burst")
        return bool(self.accounts) or any(value is not None for value in given)


@dataclass(frozen=True, slots=True)
class _Allowed:
    """All limits of an account, its own and those of all."""

    limits: Limits
    quota: Quota | None
    stored: str  # the settings of the quota


class LimitsModule(Module[LimitsConfig]):
    """Provides `Refusals`, and refuses what is more than an account may use. It is charged to the account that the
    path names, behind the layer that keeps others away from it."""

    name = "limits"
    Config = LimitsConfig
    depends = (QueueService, HttpServer, Authority)
    provides = (Refusals,)

    def __init__(self, config: LimitsConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._service = needs[QueueService]
        self._http = needs[HttpServer]
        self._allowances = AccountAllowances(config, time.monotonic)

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._allowances.refusals)

    def start(self) -> None:
        self._service.allow(self._allowances)
        self._http.add_layer(self._allowances.limiter)

    def drain(self) -> None:
        self._allowances.limiter.draining = True

    def stop(self) -> None:
        self._http.remove_layer(self._allowances.limiter)
        self._service.allow(None)


class AccountAllowances:
    """What the settings allow: the service's `Allowances`, and the layer for requests, over the same budgets."""

    def __init__(self, config: LimitsConfig, monotonic: Callable[[], float]) -> None:
        from scalestack.limits.budgets import Budgets  # noqa: PLC0415 - not imported where nothing is limited
        from scalestack.limits.limiter import Limiter  # noqa: PLC0415

        self._default = _allowed(config, None)
        self._own = {name: _allowed(config, name) for name in config.accounts}
        self._budgets = Budgets(self._limits_of)
        self._now = monotonic
        self.refusals = Refusals()
        self.limiter = Limiter(self._budgets, self.refusals, monotonic)

    def quota(self, account: str) -> Quota | None:
        return self._own.get(account, self._default).quota

    def enter_poll(self, account: str) -> Callable[[], object]:
        budget = self._budgets.of(account, self._now())
        if budget is None:
            return _nothing
        excess = budget.enter(POLLS)
        if excess is not None:
            raise TooManyPolls(f"{detail_of(POLLS, excess.limit)}; ask without a wait, or again when one has ended")
        return partial(budget.leave, POLLS)

    def refuse(self, account: str, error: AccountFull | TooManyPolls) -> Answer[Any]:
        kind = POLLS
        if isinstance(error, AccountFull):
            kind = STORED
            error = AccountFull(f"{error} ({self._own.get(account, self._default).stored})")
        held = self.refusals.hold(account, kind, self._budgets.of(account, self._now()))
        return then(held, partial(_fail, error))

    def _limits_of(self, account: str) -> Limits | None:
        allowed = self._own.get(account, self._default)
        limits = allowed.limits
        if not (limits.per_second or limits.at_once or allowed.quota):
            return None
        try:
            check_name("account", account)
        except InvalidName:
            return None  # it has no account, and will be told so
        return limits


def _allowed(config: LimitsConfig, account: str | None) -> _Allowed:
    """The limits of an account of its own, or of all others."""
    found: dict[str, Limit] = {}
    # Those of all first, so that the account's own are put over them.
    _collect(config, "limits", found)
    if account is not None:
        _collect(config.accounts[account], f"limits.accounts.{account}", found)
    burst = found.get("burst")
    held = {name: int(found[setting].most) for setting, name in _HELD.items() if setting in found}
    return _Allowed(
        Limits(
            {kind: found[kind] for kind in _PER_SECOND if kind in found},
            {kind: found[kind] for kind in _AT_ONCE if kind in found},
            _BURST if burst is None else burst.most,
        ),
        Quota(**held) if held else None,
        ", ".join(found[setting].setting for setting in _HELD if setting in found),
    )


def _collect(limits: AccountLimits, place: str, found: dict[str, Limit]) -> None:
    for each in fields(AccountLimits):
        most = getattr(limits, each.name)
        if most is not None:
            found[each.name] = Limit(most, f"{place}.{each.name}")


def _fail(error: Exception, _: object) -> NoReturn:
    raise error


def _nothing() -> None:
    """What ends a poll that is not counted."""
