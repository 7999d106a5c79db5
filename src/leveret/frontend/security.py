"""Who may call what, and what those are told who may not, as the OpenAPI document says it. Decides nothing."""

from __future__ import annotations

from typing import Any, Final

from leveret.actions import ACTIONS
from leveret.frontend.schemas import TEXT, Schema, reference
from scalestack.auth.guard import ACCOUNT
from scalestack.http.router import PUBLIC, Route

_SIGNED: Final = "signedUrl"
_SIGNABLE: Final = frozenset({"GET", "PUT", "POST", "DELETE"})

SCHEMES: Final[Schema] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of an API key, or a JSON Web Token where the server takes those. A server that asks "
        "nobody who they are, such as one on loopback, needs none.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The token of an API key as the password, with any user name; or as the user name, with an "
        "empty password.",
    },
    _SIGNED: {
        "type": "apiKey",
        "in": "query",
        "name": "signature",
        "description": "The end of a URL that `leveret sign` made: with `key` and `expires` before it, and the method, "
        "the path and all parameters as they were signed.",
    },
}


def _refused(text: str, header: str, meaning: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": text,
        "content": {"application/problem+json": {"schema": reference("Problem")}},
    }
    if header:
        described["headers"] = {header: {"description": meaning, "schema": TEXT}}
    return described


REFUSALS: Final[Schema] = {
    "Unauthenticated": _refused(
        "`unauthenticated`: there are no credentials, or they are unknown, expired or revoked.",
        "WWW-Authenticate",
        "What credentials are taken here (RFC 9110 section 11.6.1).",
    ),
    "Forbidden": _refused(
        "`forbidden`: the credentials don't allow this, whether there is anything of these names or not.", "", ""
    ),
    "TooMany": _refused(
        "`too-many-requests`, `too-many-bytes`, `too-many-polls`, `too-many-streams`, `too-many-connections`: the "
        "account uses as much as it may. `account-full`: it stores as much as it may.",
        "Retry-After",
        "Seconds after which to try again (RFC 9110 section 10.2.3).",
    ),
}


def restrict(route: Route, operation: dict[str, Any]) -> None:
    """Add to the description of an operation who may call it, and the answers that others get."""
    operation["x-leveret-action"] = route.action
    if route.action == PUBLIC:
        operation["security"] = []
        return
    schemes = ["bearer", "basic"]
    if len(route.parameters) > 1 and route.method in _SIGNABLE:
        schemes.append(_SIGNED)
    operation["security"] = [{scheme: []} for scheme in schemes]
    operation["description"] = f"Takes the right to `{route.action}`: {ACTIONS[route.action]}."
    names = {"401": "Unauthenticated", "403": "Forbidden"}
    if ACCOUNT in route.parameters:
        names["429"] = "TooMany"
    responses = operation["responses"] | {
        status: {"$ref": f"#/components/responses/{name}"} for status, name in names.items()
    }
    operation["responses"] = dict(sorted(responses.items()))
