"""REST v1.1: what it adds to v1.0, and where it answers more. A table of routes and short handlers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final
from urllib.parse import quote, urlencode

from leveret.actions import POLICY, READ, RECEIVE, SEND
from leveret.frontend import parameters, recording, render, render11
from leveret.frontend.follow import CONTENT_TYPE, HEADERS, follow
from leveret.frontend.openapi import Shape
from leveret.frontend.parameters import MAX_BODIES, Detail, Level, Parameters, parse
from leveret.frontend.publish import meta_of, read_messages, read_policy
from leveret.frontend.v1_0 import (
    V10,
    answer_with,
    check,
    no_match,
    no_message,
    put_response,
    refuse_body,
    route,
)
from leveret.ids import make_ids
from leveret.model import HELD, Draft, Filters, Message, Outcome, Page, Put, QueueState, Want, marker_of, place_of
from leveret.service import BodyTooLarge
from scalestack.auth.guard import forbidden
from scalestack.event.pending import Answer, Pending, then
from scalestack.http.message import Headers, Request, Response, parse_query
from scalestack.http.problem import HttpError
from scalestack.http.router import ADMIN, Route
from scalestack.trace import context_of

_NONE: Final = Detail.NONE
_EXISTS: Final = Put.EXISTS
_NEW: Final = Put.CREATED
_WITH_BODIES: Final = frozenset({Detail.BODY, Detail.ALL})
_IN_PATHS: Final = "/%:@!$&'()*+,;="  # what may stand there as it is, beside letters and digits (RFC 3986 section 3.3)


class V11(V10):
    """The handlers of v1.1."""

    OFTEN = (parameters.GET_MESSAGE, parameters.UPDATE_MANY, parameters.DELETE_ONE)

    __slots__ = ()

    def routes(self, accounts: str) -> list[Route]:
        queues = accounts + "/{account}"
        messages = queues + "/{queue}"
        message = messages + "/{message}"
        names, many, one = Shape.NAMES_11, Shape.MESSAGES_11, Shape.MESSAGE_11
        policy, nothing = Shape.POLICY, parameters.NO_PARAMETERS

        return [
            route("GET", accounts, self.list_accounts, ADMIN, "List accounts.", names, parameters.LIST_NAMES),
            route("DELETE", accounts, self.delete_accounts, ADMIN, "Delete accounts.", names, parameters.DELETE_NAMES),
            route("GET", queues, self.list_queues, READ, "List queues.", Shape.QUEUES, parameters.LIST_QUEUES),
            route("DELETE", queues, self.delete_queues, RECEIVE, "Delete queues.", names, parameters.DELETE_NAMES),
            route("GET", messages, self.list_messages, READ, "List or follow them.", many, parameters.READ_MANY),
            route("PUT", messages, self.put_messages, SEND, "Put many messages.", Shape.IDS, nothing),
            route("POST", messages, self.update_messages, RECEIVE, "Claim messages.", many, parameters.UPDATE_MANY),
            route("DELETE", messages, self.delete_messages, RECEIVE, "Pop messages.", many, parameters.DELETE_MANY),
            route("PATCH", messages, self.change_policy, POLICY, "Set the policy.", policy, nothing),
            route("GET", message, self.get_message, READ, "Read a message.", one, parameters.GET_MESSAGE),
            route("PUT", message, self.put_message, SEND, "Put a message.", Shape.PUT_11, parameters.PUT_MESSAGE),
            route("POST", message, self.update_message, RECEIVE, "Change a message.", one, parameters.UPDATE_ONE),
            route("DELETE", message, self.delete_message, RECEIVE, "Delete a message.", one, parameters.DELETE_ONE),
        ]

    # Accounts and queues.

    def list_accounts(self, request: Request) -> Answer[Response]:
        given = parse(request.query, parameters.LIST_NAMES)
        page = self._page(given.page)
        return then(self._service.list_accounts(page), partial(self._names, request, given, page, "account"))

    def list_queues(self, request: Request, account: str) -> Answer[Response]:
        given = parse(request.query, parameters.LIST_QUEUES)
        check(account)
        page = self._page(given.page)
        if given.ids:
            return then(self._service.find_queues(account, given.ids), partial(self._states, request, given, page))
        if given.detail is Detail.ALL:
            return then(self._service.describe_queues(account, page), partial(self._states, request, given, page))
        return then(self._service.list_queues(account, page), partial(self._names, request, given, page, "queue"))

    def change_policy(self, request: Request, account: str, queue: str) -> Answer[Response]:
        parse(request.query, parameters.NO_PARAMETERS)
        check(account, queue)
        change = read_policy(request.body)
        target = None if change is None else change.get("dead_letter")
        # Dead letters are put into the other queue, by the right of whoever sets the policy.
        if target is not None and request.grant is not None and not request.grant.allows(POLICY, account, str(target)):
            raise forbidden(POLICY)
        act = partial(self._service.change_policy, account, queue, change)
        action = "policy.remove" if change is None else "policy.change"
        told = {"account": account, "queue": queue, "change": change}
        return then(self._recorded(request, action, act, recording.of_policy, told), render11.policy)

    # The messages of a queue.

    def list_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        accept = request.header(b"accept")
        if accept is not None and CONTENT_TYPE in accept.lower():
            return self._follow(request, account, queue)
        given = parse(request.query, parameters.READ_MANY)
        check(account, queue)
        if given.ids:
            read = self._service.get_many(account, queue, given.ids, given.want)
            return then(read, partial(self._outcomes, given, False))
        filters = self._bounded(given)
        found = self._service.select(account, queue, filters, given.wait, given.want)
        return then(found, partial(self._page_of, request, given, filters))

    def _follow(self, request: Request, account: str, queue: str) -> Response:
        given = parse(request.query, parameters.FOLLOW)
        check(account, queue)
        after = given.filters.after
        last = request.header(b"last-event-id")
        if last:
            after = place_of(last.decode("latin-1"))
            if after is None:
                raise HttpError(400, "bad-header", "Last-Event-ID is not the id of an event of a queue")
        hidden = given.filters.match_hidden if given.match_hidden_given else True
        events = follow(self._service, account, queue, after, hidden, given.detail, given.want)
        return Response(200, content_type=CONTENT_TYPE, headers=HEADERS, stream=events)

    def put_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        parse(request.query, parameters.NO_PARAMETERS)
        check(account, queue)
        incoming = read_messages(request.body, request.header(b"content-type"), context_of(request.headers))
        fresh = iter(make_ids(sum([each.id is None for each in incoming])))
        draft = self._service.draft
        drafts: list[Draft] = []
        for number, each in enumerate(incoming, 1):
            try:
                drafts.append(draft(each.id or next(fresh), each.body, each.ttl, each.hide, each.meta))
            except BodyTooLarge as error:
                raise BodyTooLarge(f"message {number}: {error}") from error
        ids = [each.id for each in drafts]

        def respond(done: list[Outcome]) -> Response:
            return render11.ids(ids, 201 if _NEW in done else 200)

        return then(self._service.put_many(account, queue, drafts), respond)

    def update_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        if request.body:
            refuse_body(request)
        given = self._claims.parse(request.query)
        if (account, queue) not in self._checked:
            self._check(account, queue)
        hides = bool(given.change.hide)
        service = self._service
        if given.ids:
            # What a hide gives is a receipt, so that more than whether it was done must be known.
            want = Want.ATTRIBUTES if hides and given.want is Want.NOTHING else given.want
            changed = service.update_many(account, queue, given.ids, given.change, want, given.receipts or None)
            return then(changed, partial(self._outcomes, given, hides))
        found = service.update_matching(account, queue, self._bounded(given), given.change, given.wait, given.want)
        return answer_with(found, self._hidden_messages if hides else self._messages, given.detail)

    def delete_messages(self, request: Request, account: str, queue: str) -> Answer[Response]:
        given = parse(request.query, parameters.DELETE_MANY)
        check(account, queue)
        service = self._service
        if given.ids:
            deleted = service.delete_many(account, queue, given.ids, given.want, given.receipts or None)
            return then(deleted, partial(self._outcomes, given, False))
        found = self._delete_matching(request, account, queue, given, self._bounded(given))
        return answer_with(found, self._messages, given.detail)

    # One message.

    def put_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        ttl = hide = None
        if request.query:
            change = parse(request.query, parameters.PUT_MESSAGE).change
            ttl, hide = change.ttl, change.hide
        self._check_message(account, queue, message)
        only_new = request.head.made(_only_new)
        meta = request.head.made(meta_of)
        service = self._service
        done = service.put(account, queue, service.draft(message, request.body, ttl, hide, meta, only_new))
        if isinstance(done, Pending):
            return done.then(_put)
        return self._created if done is _NEW else _put(done)

    def update_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        refuse_body(request)
        given = parse(request.query, parameters.UPDATE_ONE)
        self._check_message(account, queue, message)
        changed = self._service.update(account, queue, message, given.change, given.want, given.receipt)
        return answer_with(changed, self._hidden_message if given.change.hide else self._message, given.detail)

    def delete_message(self, request: Request, account: str, queue: str, message: str) -> Answer[Response]:
        given = self._deletes.parse(request.query)
        self._check_message(account, queue, message)
        deleted = self._service.delete(account, queue, message, given.want, given.receipt)
        return answer_with(deleted, self._message, given.detail)

    # Bounds.

    def _page(self, page: Page) -> Page:
        """At most what one answer holds."""
        most = self._service.page
        return page if page.limit is not None and page.limit <= most else Page(most, page.marker)

    def _bounded(self, given: Parameters) -> Filters:
        """At most what one answer holds, where it holds any message."""
        filters = given.filters
        if filters.limit == 1 or given.detail is _NONE:
            return filters
        return _bound(filters, self._service.page, given.detail in _WITH_BODIES)

    # From the service's answers to responses.

    def _page_of(self, request: Request, given: Parameters, filters: Filters, found: list[Message]) -> Response:
        if not found:
            raise no_match("message")
        headers: tuple[tuple[bytes, bytes], ...] = ()
        size = sum([len(message.body) for message in found]) if filters.max_bytes is not None else 0
        # Of one that did not fit, nothing is known here: it may have been as large as any.
        if len(found) == filters.limit or (
            filters.max_bytes is not None and size + self._service.max_body > MAX_BODIES
        ):
            headers = _next(request, "after", marker_of(found[-1].sequence))
        return render11.messages(found, given.detail, self._service.clock(), headers=headers)

    def _messages(self, detail: Level, found: list[Message]) -> Response:
        return self._many(detail, found, hid=False)

    def _hidden_messages(self, detail: Level, found: list[Message]) -> Response:
        return self._many(detail, found, hid=True)

    def _many(self, detail: Level, found: list[Message], hid: bool) -> Response:
        if not found:
            raise no_match("message")
        return render11.messages(found, detail, self._service.clock(), hid)

    def _message(self, detail: Level, found: Message | None) -> Response:
        return self._one(detail, found, hid=False)

    def _hidden_message(self, detail: Level, found: Message | None) -> Response:
        return self._one(detail, found, hid=True)

    def _one(self, detail: Level, found: Message | None, hid: bool) -> Response:
        if found is None:
            raise no_message()
        if found is HELD:
            raise HttpError(
                409,
                "lease-lost",
                "the lease of this receipt has ended: another may have the message, and it was left alone",
            )
        if detail is _NONE:  # what a worker's DELETE asks for: spares it the clock
            return render.NO_CONTENT
        return render11.message(found, detail, self._service.clock(), hid)

    def _outcomes(self, given: Parameters, hid: bool, found: Sequence[Message | None]) -> Response:
        return render11.outcomes(given.ids, found, given.detail, self._service.clock(), hid)

    def _names(self, request: Request, given: Parameters, page: Page, kind: str, found: list[str]) -> Response:
        if not found:
            raise no_match(kind)
        response = render.names(found, given.detail)
        if len(found) == page.limit:
            return Response(response.status, response.body, response.content_type, _next(request, "marker", found[-1]))
        return response

    def _states(self, request: Request, given: Parameters, page: Page, found: list[QueueState]) -> Response:
        if not found:
            raise no_match("queue")
        if given.detail is not Detail.ALL:
            return render.names([state.name for state in found], given.detail)
        headers = () if given.ids or len(found) != page.limit else _next(request, "marker", found[-1].name)
        return render11.queues(found, self._service.clock(), headers)


# Stores do together what is asked for by the same objects.
@lru_cache(maxsize=1024)
def _bound(filters: Filters, page: int, bodies: bool) -> Filters:
    limit = page if filters.limit is None else min(filters.limit, page)
    return replace(filters, limit=limit, max_bytes=MAX_BODIES if bodies else None)


def _next(request: Request, name: str, value: str) -> tuple[tuple[bytes, bytes], ...]:
    """The header that leads to the next page (RFC 8288)."""
    kept = [pair for pair in parse_query(request.query_string) if pair[0] not in {"after", "marker", "wait"}]
    path = quote(request.path, safe=_IN_PATHS)  # a client may have quoted too little
    target = f"{path}?{urlencode([*kept, (name, value)], quote_via=quote)}"
    return ((b"Link", f'<{target}>; rel="next"'.encode()),)


def _only_new(headers: Headers) -> bool:
    if_none_match = next((value for name, value in headers if name.lower() == b"if-none-match"), None)
    if if_none_match is None:
        return False
    if if_none_match.strip() != b"*":
        raise HttpError(400, "bad-header", "If-None-Match can only be '*', for a message that is not there yet")
    return True


def _put(done: Outcome) -> Response:
    if done is _EXISTS:
        raise HttpError(412, "exists", "there is a message with this id already, and it was left as it is")
    return put_response(done)
