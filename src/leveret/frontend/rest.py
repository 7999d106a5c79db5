"""The REST front end: a table of routes and short handlers. Translates between HTTP and the queue service, no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar

from leveret.frontend import parameters, render
from leveret.frontend.parameters import Detail, parse
from leveret.model import InvalidName, Message, Put, check_name
from leveret.service import QueueService
from scalestack.event.pending import Answer, then
from scalestack.http.message import Request, Response
from scalestack.http.problem import HttpError
from scalestack.http.router import Route

T = TypeVar("T")

VERSIONS: Final = ("v1.0", "v1.1")

_ROOT: Final = Response(200, json.dumps(VERSIONS, separators=(",", ":")).encode(), render.JSON)
_CREATED: Final = Response(201)


class Rest:
    """REST v1.0."""

    def __init__(self, service: QueueService) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        v1 = "/v1.0"
        account, queue, message = v1 + "/{account}", v1 + "/{account}/{queue}", v1 + "/{account}/{queue}/{message}"
        return [
            Route("GET", "/", self.versions),
            Route("GET", v1, self.list_accounts),
            Route("DELETE", v1, self.delete_accounts),
            Route("GET", account, self.list_queues),
            Route("DELETE", account, self.delete_queues),
            Route("GET", queue, self.list_messages),
            Route("POST", queue, self.update_messages),
            Route("DELETE", queue, self.delete_messages),
            Route("GET", message, self.get_message),
            Route("PUT", message, self.put_message),
            Route("POST", message, self.update_message),
            Route("DELETE", message, self.delete_message),
        ]

    def versions(self, request: Request) -> Response:
        return _ROOT

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
        return then(self._service.select(account, queue, given.filters, given.wait), self._messages(given.detail))

    def update_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.UPDATE_MESSAGES)
        _check(account, queue)
        changed = self._service.update_matching(account, queue, given.filters, given.change, given.wait)
        return then(changed, self._messages(given.detail))

    def delete_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.DELETE_MESSAGES)
        _check(account, queue)
        deleted = self._service.delete_matching(account, queue, given.filters, given.wait)
        return then(deleted, self._messages(given.detail))

    # One message.

    def get_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.GET_MESSAGE)
        _check_message(account, queue, message)
        return then(self._service.get(account, queue, message), self._message(given.detail))

    def put_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.PUT_MESSAGE).change
        _check_message(account, queue, message)
        return then(self._service.put(account, queue, message, request.body, given.ttl, given.hide), _put)

    def update_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.UPDATE_MESSAGE)
        _check_message(account, queue, message)
        return then(self._service.update(account, queue, message, given.change), self._message(given.detail))

    def delete_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        given = parse(request.query_string, parameters.DELETE_MESSAGE)
        _check_message(account, queue, message)
        return then(self._service.delete(account, queue, message), self._message(given.detail))

    # From the service's answers to responses.

    def _messages(self, detail: Detail) -> Callable[[list[Message]], Response]:
        def respond(found: list[Message]) -> Response:
            if not found:
                raise HttpError(404, "no-match", "no message matches")
            return render.messages(found, detail, self._service.clock())

        return respond

    def _message(self, detail: Detail) -> Callable[[Message | None], Response]:
        def respond(found: Message | None) -> Response:
            if found is None:
                raise HttpError(404, "no-such-message", "there is no message with this id in this queue")
            return render.message(found, detail, self._service.clock())

        return respond


def _put(done: Put) -> Response:
    return _CREATED if done is Put.CREATED else render.NO_CONTENT


def _names(detail: Detail, nothing: str) -> Callable[[list[str]], Response]:
    def respond(found: list[str]) -> Response:
        if not found:
            raise HttpError(404, "no-match", nothing)
        return render.names(found, detail)

    return respond


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
