"""What is set of `auth.jwt`, checked as far as that is possible without asking anybody. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

from scalestack.config import Between, ConfigError
from scalestack.values import shown

# Those that are signed by a private key (RFC 7518 section 3.1, RFC 8037). A secret that both sides know, as for HS256,
# would be one more thing to keep, and the public key of the others could be mistaken for it (RFC 8725 section 2.1).
ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
)  # fmt: skip

_DISCOVERY: Final = "/.well-known/openid-configuration"  # OpenID Connect Discovery 1.0 section 4


@dataclass(frozen=True)
class JwtConfig:
    issuer: str = ""  # the provider: what `iss` of each token must be
    audience: str = ""  # this service: what `aud` of each token must be, or hold
    algorithms: tuple[str, ...] = ("RS256", "ES256")  # those that a token may be signed by
    jwks: str = ""  # URL of the provider's keys; empty: found by OpenID Connect Discovery, from the issuer
    leeway: Annotated[float, Between(0, 600)] = 30.0  # seconds that clocks may differ by
    refresh: Annotated[float, Between(10, 86_400)] = 300.0  # seconds after which the keys are fetched again
    stale: Annotated[float, Between(10, 30 * 86_400)] = 86_400.0  # seconds that they are used while they can't be
    account_claim: str = "account"  # the claim that names the account
    actions_claim: str = "scope"  # the claim with actions: a list, or text with spaces between them
    actions_prefix: str = ""  # what each of those begins with, such as "leveret:"; without it, a value is no action
    queues_claim: str = "queues"  # the claim with a list of patterns of names; a token without it may use all

    def __post_init__(self) -> None:
        if not self.algorithms:
            raise ValueError(f"algorithms is empty; some of {', '.join(ALGORITHMS)} are expected")
        for name in self.algorithms:
            if name not in ALGORITHMS:
                raise ValueError(
                    f"algorithms has {shown(name)}, by which no token is accepted; known are {', '.join(ALGORITHMS)}"
                )
        for claim in ("account_claim", "actions_claim", "queues_claim"):
            if not getattr(self, claim):
                raise ValueError(f"{claim} is empty; the name of a claim is expected")
        if self.stale < self.refresh:
            raise ValueError(f"stale is {self.stale}, which is less than refresh; at least {self.refresh} is expected")
        if self.jwks:
            _check("jwks", self.jwks)
        elif self.issuer:
            _check("issuer", self.issuer)

    def check_set(self) -> None:
        """`ConfigError` where something is missing that there can be no default for."""
        if not self.issuer:
            raise ConfigError("auth.jwt.issuer is not set; the URL of the OpenID Connect provider is expected")
        if not self.audience:
            raise ConfigError("auth.jwt.audience is not set; what the provider calls this service is expected")

    @property
    def discovery(self) -> str:
        """Where the provider says where its keys are."""
        return self.issuer.rstrip("/") + _DISCOVERY


def fault_of(url: str) -> str | None:
    """What keeps keys from being fetched from `url`, since another could put theirs in their place; None if nothing."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # which is read no sooner
    except ValueError:
        return "is no URL"
    if parts.scheme not in {"https", "http"} or not host:
        return "is no URL of HTTPS"
    if parts.scheme == "http" and not _is_loopback(host):
        return "is not encrypted: https is expected, but for loopback"
    if "@" in parts.netloc:
        return "has a user name in it, where everybody could read it"
    return None


def _is_loopback(host: str) -> bool:
    """By the name alone: what a resolver says of another name may be another's word."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check(name: str, url: str) -> None:
    fault = fault_of(url)
    if fault is not None:
        raise ValueError(f"{name} is {shown(url)}, which {fault}")
