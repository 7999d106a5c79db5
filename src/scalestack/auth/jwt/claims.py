"""From the claims of a token that was verified to what its bearer may do. In doubt it may nothing. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from scalestack.auth.authority import Denied
from scalestack.auth.jwt.config import JwtConfig
from scalestack.auth.principal import Principal
from scalestack.http.router import ADMIN, METRICS
from scalestack.values import clean

_NAME: Final = 100  # characters of the subject that logs are shown
_LATEST: Final = 1 << 53  # seconds: an `exp` beyond that is as good as never


def principal_of(claims: Mapping[str, Any], config: JwtConfig) -> Principal:
    """Who the bearer is, and what its token allows; `Denied` where the claims are not such as the configuration says.

    A token without an account is for those who run the service or watch it: it allows "admin", which is everything, or
    "metrics", and nothing else.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise Denied("its sub is no text")
    actions = _actions(claims.get(config.actions_claim), config)
    account = claims.get(config.account_claim)
    if account is None:
        actions &= {ADMIN, METRICS}
        if not actions:
            raise Denied(f"it has no claim '{config.account_claim}', which names the account")
    elif not isinstance(account, str) or not account:
        raise Denied(f"its claim '{config.account_claim}' is not the name of an account")
    queues = _patterns(claims[config.queues_claim], config) if config.queues_claim in claims else ("*",)
    return Principal(f"jwt {clean(subject)[:_NAME]}", account, actions, queues, _expires(claims.get("exp"), config))


def _actions(value: Any, config: JwtConfig) -> frozenset[str]:
    if value is None:
        return frozenset()
    given = value.split() if isinstance(value, str) else value  # RFC 8693 section 4.2
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise Denied(f"its claim '{config.actions_claim}' is neither text nor a list of texts")
    prefix = config.actions_prefix
    return frozenset(each.removeprefix(prefix) for each in given if each.startswith(prefix))


def _patterns(value: Any, config: JwtConfig) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise Denied(f"its claim '{config.queues_claim}' is no list of texts")
    return tuple(given)


def _expires(value: Any, config: JwtConfig) -> float:
    """Wall seconds: as late as a clock that is slow by the leeway would have it."""
    if isinstance(value, bool) or not isinstance(value, int | float):  # RFC 7519 section 2: NumericDate
        raise Denied("its exp is no number")
    return float(min(value, _LATEST)) + config.leeway
