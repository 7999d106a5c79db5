"""What clients are told of errors, and what is logged of them. Knows no connection."""

from __future__ import annotations

from collections.abc import Callable

from scalestack.http.message import Request, Response
from scalestack.http.problem import CONTENT_TYPE, HttpError
from scalestack.log import Logger

_log = Logger("scalestack.http")

Translate = Callable[[BaseException], HttpError | None]  # what is told of an error; None where nobody knows it


def problem(error: HttpError) -> Response:
    return Response(error.status, error.body(), CONTENT_TYPE, error.headers)


def failure(request: Request, error: BaseException | None, translate: Translate) -> Response:
    """The answer where a handler failed. What nobody knows is our fault, and is logged."""
    if isinstance(error, HttpError):
        return problem(error)
    known = None if error is None else translate(error)
    if known is not None:
        return problem(known)
    _log.error("a handler failed", **named(request), exc_info=error)
    return problem(HttpError(500, "internal", "the server failed at this request; its log says why"))


def named(request: Request) -> dict[str, str]:
    """How a log tells it from others."""
    return {"method": request.method.decode("latin-1"), "path": request.path.decode("latin-1")}
