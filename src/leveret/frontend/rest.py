"""The REST front end: a table of routes and short handlers. Translates between HTTP and the queue service, no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, TypeVar

from leveret.frontend import parameters, render
from leveret.frontend.openapi import Operation, Shape, document
from leveret.frontend.parameters import Accepted, Detail, parse
from leveret.model import Change, InvalidName, Message, Put, check_name
from leveret.service import QueueService
from leveret.store.base import StoreError, StoreFailed, StoreFull
from scalestack.event.pending import Answer, Pending, then
from scalestack.http.message import Handler, Request, Response
from scalestack.http.problem import HttpError
from scalestack.http.router import Route

T = TypeVar("T")

VERSIONS: Final = ("v1.0", "v1.1")

_ROOT: Final = Response(200, json.dumps(VERSIONS, separators=(",", ":")).encode(), render.JSON)
_CREATED: Final = Response(201)

# By names of this module: on CPython 3.11 `Put.CREATED` takes ten times as long.
_IS_NEW: Final = Put.CREATED
_NONE: Final = Detail.NONE
_UNCHANGED: Final = Change()

# The first that fits counts. 507 is WebDAV's, for a server without room (RFC 4918 section 11.5).
_STORE_ERRORS: Final = (
    (StoreFull, 507, "store-full"),
    (StoreFailed, 503, "store-failed"),
    (StoreError, 500, "store-error"),
)


class Rest:
    """REST v1.0. What v1.1 shares with it, which so far is all that it has, is at the paths of v1.1 too."""

    def __init__(self, service: QueueService) -> None:
        self._service = service
        self._description = render.NO_CONTENT

    def routes(self) -> list[Route]:
        routes = [Route("GET", "/", self.versions, Operation("List the versions of this API.", Shape.VERSIONS))]
        for version in VERSIONS:
            routes += self._routes_of(f"/{version}")
        self._description = Response(200, json.dumps(document(routes)).encode(), render.JSON)
        return [*routes, Route("GET", "/openapi.json", self.description)]

    def _routes_of(self, accounts: str) -> list[Route]:
        queues = accounts + "/{account}"
        messages = queues + "/{queue}"
        message = messages + "/{message}"
        names, many, one, nothing = Shape.NAMES, Shape.MESSAGES, Shape.MESSAGE, Shape.NOTHING

        def route(method: str, path: str, handler: Handler, summary: str, shape: Shape, accepted: Accepted) -> Route:
            return Route(method, path, handler, Operation(summary, shape, accepted, creates=method == "PUT"))

        return [
            route("GET", accounts, self.list_accounts, "List accounts.", names, parameters.LIST_NAMES),
            route("DELETE", accounts, self.delete_accounts, "Delete accounts.", names, parameters.DELETE_NAMES),
            route("GET", queues, self.list_queues, "List queues.", names, parameters.LIST_NAMES),
            route("DELETE", queues, self.delete_queues, "Delete queues.", names, parameters.DELETE_NAMES),
            route("GET", messages, self.list_messages, "List messages.", many, parameters.LIST_MESSAGES),
            route("POST", messages, self.update_messages, "Claim messages.", many, parameters.UPDATE_MESSAGES),
            route("DELETE", messages, self.delete_messages, "Pop messages.", many, parameters.DELETE_MESSAGES),
            route("GET", message, self.get_message, "Read a message.", one, parameters.GET_MESSAGE),
            route("PUT", message, self.put_message, "Put a message.", nothing, parameters.PUT_MESSAGE),
            route("POST", message, self.update_message, "Change a message.", one, parameters.UPDATE_MESSAGE),
            route("DELETE", message, self.delete_message, "Delete a message.", one, parameters.DELETE_MESSAGE),
        ]

    def versions(self, request: Request) -> Response:
        parse(request.query_string, parameters.NO_PARAMETERS)
        return _ROOT

    def description(self, request: Request) -> Response:
        parse(request.query_string, parameters.NO_PARAMETERS)
        return self._description

    # Accounts and queues.

    def list_accounts(self, request: Request) -> Answer[Response]:
        given = parse(request.query_string, parameters.LIST_NAMES)
        return then(self._service.list_accounts(given.page), _names(given.detail, "no account matches"))

    def delete_accounts(self, request: Request) -> Answer[Response]:
        given = parse(request.query_string, parameters.DELETE_NAMES)
        return then(self._service.delete_accounts(given.page), _names(given.detail, "no account matches"))

    def list_queues(self, request: Request, account: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.LIST_NAMES)
        _check(account)
        return then(self._service.list_queues(account, given.page), _names(given.detail, "no queue matches"))

    def delete_queues(self, request: Request, account: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.DELETE_NAMES)
        _check(account)
        return then(self._service.delete_queues(account, given.page), _names(given.detail, "no queue matches"))

    # The messages of a queue.

    def list_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.LIST_MESSAGES)
        _check(account, queue)
        found = self._service.select(account, queue, given.filters, given.wait, given.want)
        return _answer(found, self._messages, given.detail)

    def update_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        _refuse_body(request)
        given = parse(request.query_string, parameters.UPDATE_MESSAGES)
        _check(account, queue)
        changed = self._service.update_matching(account, queue, given.filters, given.change, given.wait, given.want)
        return _answer(changed, self._messages, given.detail)

    def delete_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.DELETE_MESSAGES)
        _check(account, queue)
        deleted = self._service.delete_matching(account, queue, given.filters, given.wait, given.want)
        return _answer(deleted, self._messages, given.detail)

    # One message.

    def get_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.GET_MESSAGE)
        _check_message(account, queue, message)
        return _answer(self._service.get(account, queue, message, given.want), self._message, given.detail)

    def put_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        query = request.query_string
        given = parse(query, parameters.PUT_MESSAGE).change if query else _UNCHANGED
        _check_message(account, queue, message)
        done = self._service.put(account, queue, message, request.body, given.ttl, given.hide)
        return done.then(_put) if isinstance(done, Pending) else _put(done)

    def update_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        _refuse_body(request)
        given = parse(request.query_string, parameters.UPDATE_MESSAGE)
        _check_message(account, queue, message)
        changed = self._service.update(account, queue, message, given.change, given.want)
        return _answer(changed, self._message, given.detail)

    def delete_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.DELETE_MESSAGE)
        _check_message(account, queue, message)
        return _answer(self._service.delete(account, queue, message, given.want), self._message, given.detail)

    # From the service's answers to responses.

    def _messages(self, detail: Detail, found: list[Message]) -> Response:
        if not found:
            raise HttpError(404, "no-match", "no message matches")
        return render.messages(found, detail, self._service.clock())

    def _message(self, detail: Detail, found: Message | None) -> Response:
        if found is None:
            raise HttpError(404, "no-such-message", "there is no message with this id in this queue")
        if detail is _NONE:  # what a worker's DELETE asks for: spares it the clock
            return render.NO_CONTENT
        return render.message(found, detail, self._service.clock())


def translate(error: BaseException) -> HttpError | None:
    """What clients are told of a store's error."""
    for kind, status, code in _STORE_ERRORS:
        if isinstance(error, kind):
            return HttpError(status, code, str(error))
    return None


def _answer(answer: Answer[T], respond: Callable[[Detail, T], Response], detail: Detail) -> Answer[Response]:
    """`respond(detail, answer)`: now where the answer is ready, else when it comes."""
    # A function with the detail in it is made only where it has to wait.
    return answer.then(partial(respond, detail)) if isinstance(answer, Pending) else respond(detail, answer)


def _put(done: Put) -> Response:
    return _CREATED if done is _IS_NEW else render.NO_CONTENT


def _names(detail: Detail, nothing: str) -> Callable[[list[str]], Response]:
    def respond(found: list[str]) -> Response:
        if not found:
            raise HttpError(404, "no-match", nothing)
        return render.names(found, detail)

    return respond


def _refuse_body(request: Request) -> None:
    """To ignore the body of a POST would leave its sender believing that it did something."""
    if request.body:
        raise HttpError(
            400,
            "unexpected-body",
            "a POST takes no body: ttl and hide are query parameters, and a message is made by a PUT to its own path",
        )


def _check_message(account: str, queue: str, message: str) -> None:
    try:
        _check_queue(account, queue)
        check_name("message", message)
    except InvalidName as error:
        raise HttpError(400, "bad-name", str(error)) from error


def _check(account: str, queue: str | None = None) -> None:
    try:
        _check_queue(account, queue)
    except InvalidName as error:
        raise HttpError(400, "bad-name", str(error)) from error


# Most requests are for a few queues.
@lru_cache(maxsize=4096)
def _check_queue(account: str, queue: str | None) -> None:
    check_name("account", account)
    if queue is not None:
        check_name("queue", queue)
