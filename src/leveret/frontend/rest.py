"""The REST front end: both versions of the API under one set of paths, and what clients are told of errors."""

from __future__ import annotations

import json
from typing import Final

from leveret.frontend import parameters, render
from leveret.frontend.openapi import Operation, Shape, document
from leveret.frontend.parameters import parse
from leveret.frontend.v1_0 import V10
from leveret.frontend.v1_1 import V11
from leveret.service import BodyTooLarge, InvalidPolicy, QueueService, TooManyPolls
from leveret.store.base import AccountFull, QueueFull, StoreError, StoreFailed, StoreFull
from scalestack.audit.trail import Audit
from scalestack.http.message import Request, Response
from scalestack.http.problem import HttpError
from scalestack.http.router import PUBLIC, Route

VERSIONS: Final = ("v1.0", "v1.1")

_ROOT: Final = Response(200, json.dumps(VERSIONS, separators=(",", ":")).encode(), render.JSON)

# Nobody knows when there is room again: the shortest wait that can be said (RFC 9110 section 10.2.3).
_LATER: Final = ((b"Retry-After", b"1"),)

# The first that fits counts. 507 is WebDAV's, for a server without room (RFC 4918 section 11.5).
_ERRORS: Final = (
    (BodyTooLarge, 413, "body-too-large"),
    (InvalidPolicy, 400, "bad-policy"),
    (QueueFull, 409, "queue-full"),
    (AccountFull, 429, "account-full"),
    (TooManyPolls, 429, "too-many-polls"),
    (StoreFull, 507, "store-full"),
    (StoreFailed, 503, "store-failed"),
    (StoreError, 500, "store-error"),
)


class Rest:
    """REST v1.0 and v1.1, over one service."""

    def __init__(self, service: QueueService, audit: Audit | None = None) -> None:
        """`audit` None: nothing is written down of what is done."""
        self._service = service
        self._audit = audit
        self._description = Response(200, json.dumps(document(self._described(service))).encode(), render.JSON)

    def routes(self) -> list[Route]:
        return self._routes(self._service)

    def routes_again(self) -> list[Route]:
        """The same, for one thread alone, once the service has started."""
        return self._routes(self._service.twin())

    def _routes(self, service: QueueService) -> list[Route]:
        return [*self._described(service), Route("GET", "/openapi.json", self.description, action=PUBLIC)]

    def _described(self, service: QueueService) -> list[Route]:
        return [
            Route("GET", "/", self.versions, Operation("List the versions of this API.", Shape.VERSIONS), PUBLIC),
            *V10(service, self._audit).routes("/v1.0"),
            *V11(service, self._audit).routes("/v1.1"),
        ]

    def versions(self, request: Request) -> Response:
        parse(request.query, parameters.NO_PARAMETERS)
        return _ROOT

    def description(self, request: Request) -> Response:
        parse(request.query, parameters.NO_PARAMETERS)
        return self._description


def translate(error: BaseException) -> HttpError | None:
    """What clients are told of an error of the service or its store."""
    for kind, status, code in _ERRORS:
        if isinstance(error, kind):
            return HttpError(status, code, str(error), _LATER if status == 429 else ())
    return None
