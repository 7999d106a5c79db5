"""REST v1.0, which is frozen: a table of routes and short handlers. Translates between HTTP and the queue service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from leveret.actions import READ, RECEIVE, SEND
from leveret.frontend import parameters, recording, render
from leveret.frontend.openapi import Operation, Shape
from leveret.frontend.parameters import Accepted, Detail, Level, Parameters, Queries, parse
from leveret.model import MAX_NAME, Filters, InvalidName, Message, Outcome, Put, check_name
from leveret.service import QueueService
from scalestack.audit.trail import Audit
from scalestack.event.pending import Answer, Pending, then
from scalestack.http.message import Handler, Request, Response
from scalestack.http.problem import HttpError
from scalestack.http.router import ADMIN, Route

T = TypeVar("T")

_MOST_CHECKED: Final = 4096  # queues whose names are remembered as good ones

_CREATED: Final = Response(201)

# By names of this module: on CPython 3.11 `Put.CREATED` takes ten times as long.
_IS_NEW: Final = Put.CREATED
_NONE: Final = Detail.NONE


def route(
    method: str, path: str, handler: Handler, action: str, summary: str, shape: Shape, accepted: Accepted
) -> Route:
    """A route with what its caller must be allowed to do, and what the document of the API says of it."""
    return Route(method, path, handler, Operation(summary, shape, accepted), action)


class V10:
    """The handlers of v1.0, which v1.1 has too where it says nothing else."""

    OFTEN = (parameters.GET_MESSAGE, parameters.UPDATE_MESSAGES, parameters.DELETE_MESSAGE)  # what is asked most

    __slots__ = ("_audit", "_checked", "_claims", "_created", "_deletes", "_done", "_gets", "_service")

    def __init__(self, service: QueueService, audit: Audit | None = None) -> None:
        self._service = service
        self._audit = audit
        # Each its own, and so each thread: see `scalestack.http.desk`.
        self._created = Response(201)
        self._done = Response(204)
        self._gets, self._claims, self._deletes = (Queries(accepted) for accepted in self.OFTEN)
        self._checked: set[tuple[str, str]] = set()  # an account and a queue: most requests are for few of them

    def routes(self, accounts: str) -> list[Route]:
        """Those at the paths below `accounts`."""
        queues = accounts + "/{account}"
        messages = queues + "/{queue}"
        message = messages + "/{message}"
        names, many, one = Shape.NAMES, Shape.MESSAGES, Shape.MESSAGE

        return [
            route("GET", accounts, self.list_accounts, ADMIN, "List accounts.", names, parameters.LIST_NAMES),
            route("DELETE", accounts, self.delete_accounts, ADMIN, "Delete accounts.", names, parameters.DELETE_NAMES),
            route("GET", queues, self.list_queues, READ, "List queues.", names, parameters.LIST_NAMES),
            route("DELETE", queues, self.delete_queues, RECEIVE, "Delete queues.", names, parameters.DELETE_NAMES),
            route("GET", messages, self.list_messages, READ, "List messages.", many, parameters.LIST_MESSAGES),
            route("POST", messages, self.update_messages, RECEIVE, "Claim messages.", many, parameters.UPDATE_MESSAGES),
            route("DELETE", messages, self.delete_messages, RECEIVE, "Pop messages.", many, parameters.DELETE_MESSAGES),
            route("GET", message, self.get_message, READ, "Read a message.", one, parameters.GET_MESSAGE),
            route("PUT", message, self.put_message, SEND, "Put a message.", Shape.PUT, parameters.PUT_MESSAGE),
            route("POST", message, self.update_message, RECEIVE, "Change a message.", one, parameters.UPDATE_MESSAGE),
            route("DELETE", message, self.delete_message, RECEIVE, "Delete a message.", one, parameters.DELETE_MESSAGE),
        ]

    # Accounts and queues.

    def list_accounts(self, request: Request) -> Answer[Response]:
        given = parse(request.query, parameters.LIST_NAMES)
        return then(self._service.list_accounts(given.page), names_with(given.detail, "account"))

    def delete_accounts(self, request: Request) -> Answer[Response]:
        given = parse(request.query, parameters.DELETE_NAMES)
        delete = partial(self._service.delete_accounts, given.page)
        told = recording.of_page(given.page)
        deleted = self._recorded(request, "accounts.delete", delete, recording.of_names, told)
        return then(deleted, names_with(given.detail, "account"))

    def list_queues(self, request: Request, account: str) -> Answer[Response]:
        given = parse(request.query, parameters.LIST_NAMES)
        check(account)
        return then(self._service.list_queues(account, given.page), names_with(given.detail, "queue"))

    def delete_queues(self, request: Request, account: str) -> Answer[Response]:
        given = parse(request.query, parameters.DELETE_NAMES)
        check(account)
        delete = partial(self._service.delete_queues, account, given.page)
        told = {"account": account, **recording.of_page(given.page)}
        deleted = self._recorded(request, "queues.delete", delete, recording.of_names, told)
        return then(deleted, names_with(given.detail, "queue"))

    # The messages of a queue.

    def list_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        given = parse(request.query, parameters.LIST_MESSAGES)
        check(account, queue)
        found = self._service.select(account, queue, given.filters, given.wait, given.want)
        return answer_with(found, self._messages, given.detail)

    def update_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        if request.body:
            refuse_body(request)
        given = self._claims.parse(request.query)
        if (account, queue) not in self._checked:
            self._check(account, queue)
        changed = self._service.update_matching(account, queue, given.filters, given.change, given.wait, given.want)
        if isinstance(changed, Pending):
            return changed.then(partial(self._messages, given.detail))
        return self._messages(given.detail, changed)

    def delete_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        given = parse(request.query, parameters.DELETE_MESSAGES)
        check(account, queue)
        deleted = self._delete_matching(request, account, queue, given, given.filters)
        return answer_with(deleted, self._messages, given.detail)

    def _delete_matching(
        self, request: Request, account: str, queue: str, given: Parameters, filters: Filters
    ) -> Answer[list[Message]]:
        """Pop what was asked for; to empty the queue is for the audit log."""
        if given.filters.limit is not None:
            return self._service.delete_matching(account, queue, filters, given.wait, given.want)
        delete = partial(self._service.delete_matching, account, queue, filters, given.wait, given.want)
        told = {"account": account, "queue": queue, **recording.of_filters(filters)}
        return self._recorded(request, "messages.delete", delete, partial(recording.of_messages, given.want), told)

    # One message.

    def get_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        given = self._gets.parse(request.query)
        self._check_message(account, queue, message)
        found = self._service.get(account, queue, message, given.want)
        if isinstance(found, Pending):
            return found.then(partial(self._message, given.detail))
        return self._message(given.detail, found)

    def put_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        ttl = hide = None
        if request.query:
            change = parse(request.query, parameters.PUT_MESSAGE).change
            ttl, hide = change.ttl, change.hide
        self._check_message(account, queue, message)
        service = self._service
        done = service.put(account, queue, service.draft(message, request.body, ttl, hide))
        if done is _IS_NEW:
            return self._created
        return done.then(put_response) if isinstance(done, Pending) else put_response(done)

    def update_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        refuse_body(request)
        given = parse(request.query, parameters.UPDATE_MESSAGE)
        self._check_message(account, queue, message)
        changed = self._service.update(account, queue, message, given.change, given.want)
        return answer_with(changed, self._message, given.detail)

    def delete_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        given = self._deletes.parse(request.query)
        self._check_message(account, queue, message)
        deleted = self._service.delete(account, queue, message, given.want)
        if isinstance(deleted, Pending):
            return deleted.then(partial(self._message, given.detail))
        return self._message(given.detail, deleted)

    # Names, which are to be good ones.

    def _check_message(self, account: str, queue: str, message: str) -> None:
        if (account, queue) not in self._checked:
            self._check(account, queue)
        # One look settles nearly all ids.
        if not (message.isalnum() and message.isascii() and len(message) <= MAX_NAME):
            try:
                check_name("message", message)
            except InvalidName as error:
                raise HttpError(400, "bad-name", str(error)) from error

    def _check(self, account: str, queue: str) -> None:
        check(account, queue)
        if len(self._checked) >= _MOST_CHECKED:
            self._checked.clear()
        self._checked.add((account, queue))

    # For the audit log, and from the service's answers to responses.

    def _recorded(
        self,
        request: Request,
        action: str,
        act: Callable[[], Answer[T]],
        told: Callable[[T], Mapping[str, Any] | None],
        details: Mapping[str, Any],
    ) -> Answer[T]:
        """What `act` answers, written down where there is an audit log."""
        audit = self._audit
        return act() if audit is None else audit.recorded(request, action, act, told, **details)

    def _messages(self, detail: Level, found: list[Message]) -> Response:
        if not found:
            raise no_match("message")
        return render.messages(found, detail, self._service.clock())

    def _message(self, detail: Level, found: Message | None) -> Response:
        if found is None:
            raise no_message()
        if detail is _NONE:  # what a worker's DELETE asks for: spares it the clock
            return self._done
        return render.message(found, detail, self._service.clock())


def answer_with(answer: Answer[T], respond: Callable[[Level, T], Response], detail: Level) -> Answer[Response]:
    """`respond(detail, answer)`: now where the answer is ready, else when it comes."""
    # A function with the detail in it is made only where it has to wait.
    return answer.then(partial(respond, detail)) if isinstance(answer, Pending) else respond(detail, answer)


def no_match(kind: str) -> HttpError:
    return HttpError(404, "no-match", f"no {kind} matches")


def no_message() -> HttpError:
    return HttpError(404, "no-such-message", "there is no message with this id in this queue")


def put_response(done: Outcome) -> Response:
    return _CREATED if done is _IS_NEW else render.NO_CONTENT


def names_with(detail: Level, kind: str) -> Callable[[list[str]], Response]:
    def respond(found: list[str]) -> Response:
        if not found:
            raise no_match(kind)
        return render.names(found, detail)

    return respond


def refuse_body(request: Request) -> None:
    """To ignore the body of a POST would leave its sender believing that it did something."""
    if request.body:
        raise HttpError(
            400,
            "unexpected-body",
            "a POST takes no body: ttl and hide are query parameters, and a message is made by a PUT to its own path",
        )


def check(account: str, queue: str | None = None) -> None:
    try:
        check_name("account", account)
        if queue is not None:
            check_name("queue", queue)
    except InvalidName as error:
        raise HttpError(400, "bad-name", str(error)) from error
