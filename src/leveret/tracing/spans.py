"""One span for each request that is routed, with links to the spans that its messages came from. Changes no answer.

Names are those of OpenTelemetry's semantic conventions for HTTP servers and for messaging. Query strings are left out:
signed URLs have their signatures there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer, TraceState

from leveret.model import HELD, Message
from scalestack.event.pending import Cancelled, Pending
from scalestack.http.message import Answered, Handler, Headers, Request, Response, header_text
from scalestack.http.problem import HttpError
from scalestack.http.router import Route
from scalestack.trace import PARENT, STATE, context_in, parse_parent

Translate: TypeAlias = Callable[[BaseException], HttpError | None]

_MOST_LINKS: Final = 128  # of a span; the SDK keeps no more, unless it is told to
_BY_ID: Final = re.compile(rb"(?:^|&)id=")  # a query string that names messages
_QUEUE: Final = "queue"  # the parameter of a path that is a destination
_MESSAGE: Final = "message"

# By method, for a queue and for messages that are named: what is done, and of which type that is.
_OPERATIONS: Final = {
    "PUT": (("put", "send"), ("put", "send")),
    "GET": (("get", "receive"), ("get", "receive")),
    "HEAD": (("get", "receive"), ("get", "receive")),
    "POST": (("claim", "receive"), ("update", "settle")),
    "DELETE": (("pop", "receive"), ("delete", "settle")),
}


class _OfHeaders(Getter[Headers]):
    """Reads what propagators ask for from a request's headers."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        wanted = key.lower().encode("latin-1")
        return [header_text(value) for name, value in carrier if name.lower() == wanted] or None

    def keys(self, carrier: Headers) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_HEADERS: Final = _OfHeaders()


class Spans:
    """The layer that makes them."""

    def __init__(self, tracer: Tracer, translate: Translate) -> None:
        """`translate` says what clients are told of errors that are no `HttpError`."""
        self._tracer = tracer
        self._translate = translate

    def __call__(self, route: Route, handler: Handler) -> Handler:
        names = route.parameters

        def traced(request: Request, *parameters: str) -> Answered:
            span = self._begin(route, names, request, parameters)
            try:
                with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                    answer = handler(request, *parameters)
            except BaseException as error:
                self._failed(span, error)
                raise
            if isinstance(answer, Response):
                _answered(span, answer)
                return answer
            if isinstance(answer, Pending):
                return self._pending(span, answer)
            return self._awaited(span, answer)

        return traced

    def _begin(self, route: Route, names: tuple[str, ...], request: Request, parameters: tuple[str, ...]) -> Span:
        method = request.method.decode("latin-1")
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route.path,
            "url.path": request.path.decode("latin-1"),
            "network.protocol.version": "1.0" if request.http10 else "1.1",
        }
        connection = request.connection
        if connection is not None:
            attributes["client.address"] = connection.peer
            secure = connection.transport.get_extra_info("sslcontext") is not None
            attributes["url.scheme"] = "https" if secure else "http"
        given = dict(zip(names, parameters, strict=False))
        if _QUEUE in given:
            attributes["messaging.system"] = "leveret"
            attributes["messaging.destination.name"] = given[_QUEUE]
            attributes["leveret.account"] = parameters[0]
            if _MESSAGE in given:
                attributes["messaging.message.id"] = given[_MESSAGE]
            operations = _OPERATIONS.get(method)
            if operations is not None:
                by_id = _MESSAGE in given or _BY_ID.search(request.query_string) is not None
                name, kind = operations[by_id]
                attributes["messaging.operation.name"] = name
                attributes["messaging.operation.type"] = kind
        return self._tracer.start_span(
            f"{method} {route.path}",
            propagate.extract(request.headers, Context(), _HEADERS),
            SpanKind.SERVER,
            attributes,
        )

    def _pending(self, span: Span, answer: Pending[Response]) -> Pending[Response]:
        """The same answer. It is cancelled as that is, and its error is the same."""

        def cancel() -> bool:
            if not answer.cancel():
                return False
            self._failed(span, Cancelled())
            return True

        def came(response: Response | None, error: BaseException | None) -> None:
            following.parked = answer.parked
            if response is not None:
                _answered(span, response)
                following.resolve(response)
            elif error is not None:
                self._failed(span, error)
                following.fail(error)

        following: Pending[Response] = Pending(cancel)
        following.parked = answer.parked
        answer.listen(came)
        return following

    async def _awaited(self, span: Span, answer: Awaitable[Response]) -> Response:
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                response = await answer
        except BaseException as error:
            self._failed(span, error)
            raise
        _answered(span, response)
        return response

    def _failed(self, span: Span, error: BaseException) -> None:
        if isinstance(error, Cancelled) or not isinstance(error, Exception):
            span.set_attribute("error.type", "cancelled")  # the client is gone, or the server stops: nobody's fault
            span.end()
            return
        known = error if isinstance(error, HttpError) else self._translate(error)
        if known is None:
            span.record_exception(error)
            _say(span, 500, "internal", type(error).__name__)
        else:
            _say(span, known.status, known.code, known.code)
        span.end()


def _say(span: Span, status: int, code: str, kind: str) -> None:
    """A problem. By the conventions it is an error of the server only from 500 on."""
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("leveret.problem", code)
    if status >= 500:
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR)


def _answered(span: Span, response: Response) -> None:
    if span.is_recording():
        span.set_attribute("http.response.status_code", response.status)
        if response.status >= 500:
            span.set_attribute("error.type", str(response.status))
            span.set_status(StatusCode.ERROR)
        _link(span, response.carried)
    span.end()


def _link(span: Span, carried: Iterable[object]) -> None:
    """Say from which spans the messages of an answer came."""
    count = 0
    linked: set[str] = set()
    for message in carried:
        if not isinstance(message, Message) or message is HELD:
            continue
        count += 1
        if message.meta is None or not message.meta.headers or len(linked) >= _MOST_LINKS:
            continue
        context = context_in(message.meta.headers)
        parent = context.get(PARENT)
        if parent is not None and parent not in linked:
            linked.add(parent)
            span.add_link(_span_context(parent, context.get(STATE)), {"messaging.message.id": message.id})
    if count:
        span.set_attribute("messaging.batch.message_count", count)


def _span_context(parent: str, state: str | None) -> SpanContext:
    found = parse_parent(parent)
    assert found is not None
    flags = TraceFlags(found.flags)
    return SpanContext(found.trace, found.id, True, flags, TraceState.from_header([state] if state else []))
