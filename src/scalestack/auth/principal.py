"""Who sends a request, and what that one may do: plain values, no I/O. Knows nothing of how that was found out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from scalestack.http.router import ADMIN


@dataclass(frozen=True)
class Principal:
    """One who was found to be who they say they are.

    Rights are for `actions`, which the service declares, on `resources` of an `account`. "admin" without an account
    allows everything, everywhere; with one it allows nothing.
    """

    name: str  # as logs know it; never a secret
    account: str | None  # None: every account
    actions: frozenset[str]
    resources: tuple[str, ...] = ("*",)  # patterns of names, in which `*` stands for any run of characters
    expires: float = math.inf  # wall seconds; from then on it is not to be believed any more

    def allows(self, action: str, account: str | None, resource: str | None) -> bool:
        """Whether these rights are enough: for all accounts where `account` is None, and for all resources of the
        account where `resource` is None. Decided by names alone, whether there is anything of that name or not."""
        if self.account is None:
            if ADMIN in self.actions:
                return True
        elif account != self.account:
            return False
        if action not in self.actions or action == ADMIN:
            return False
        resources = self.resources
        return "*" in resources or (resource is not None and any(matches(each, resource) for each in resources))


class Authorizer(Protocol):
    """Answers whether a principal may do something."""

    def allows(self, principal: Principal, action: str, account: str | None, resource: str | None, /) -> bool: ...


class OwnRights:
    """The authorizer that goes by what the principal brings with it."""

    def allows(self, principal: Principal, action: str, account: str | None, resource: str | None) -> bool:
        return principal.allows(action, account, resource)


@dataclass(frozen=True, slots=True)
class Authorized:
    """A principal and who answers for its rights: the `Grant` that a request carries."""

    principal: Principal
    authorizer: Authorizer

    @property
    def name(self) -> str:
        return self.principal.name

    def allows(self, action: str, account: str | None, resource: str | None) -> bool:
        return self.authorizer.allows(self.principal, action, account, resource)


def matches(pattern: str, name: str) -> bool:
    """Whether the whole name fits the pattern, in which `*` stands for any run of characters, none included.

    Takes time in proportion to the name: each part between two stars is looked for once, from left to right.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return name == first
    if not name.startswith(first):
        return False
    place = len(first)
    for part in rest[:-1]:
        found = name.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return len(name) - place >= len(rest[-1]) and name.endswith(rest[-1])


def check_actions(actions: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """The actions, as a set; ValueError with one line for one that the service does not know."""
    wanted = frozenset(actions)
    unknown = sorted(wanted.difference(known))
    if unknown:
        raise ValueError(f"there is no action '{unknown[0]}'; known are {', '.join(known)}")
    return wanted
