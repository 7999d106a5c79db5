"""Spans of requests, as the exporter in memory of the SDK sees them."""

import asyncio
from contextlib import contextmanager

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracer, SpanKind, StatusCode

from leveret.tracing.spans import Spans
from scalestack.event.loops import LoopThread
from scalestack.event.pending import Pending
from scalestack.http.message import Request, Response
from scalestack.http.problem import HttpError
from scalestack.http.router import PUBLIC, Route
from support.web import Client, Raw, eventually, serving

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


class Broken(Exception):
    """An error that the service knows."""


def translate(error):
    return HttpError(503, "broken", "it is broken") if isinstance(error, Broken) else None


def later(give):
    """An answer that comes at the loop's next turn."""

    def handler(request, *parameters):
        pending = Pending()
        LoopThread.current().soon(give, pending)
        return pending

    return handler


def fail(error):
    def handler(request, *parameters):
        raise error

    return handler


async def slowly(request, *parameters):
    await asyncio.sleep(0)
    return Response(200, b"slowly")


async def fail_slowly(request, *parameters):
    await asyncio.sleep(0)
    raise Broken


async def pieces():
    yield b"a"
    yield b"b"


def ok(request, *parameters):
    return Response(200, b"ok")


ROUTES = [
    Route("GET", "/ready", ok, action=PUBLIC),
    Route("GET", "/later", later(lambda pending: pending.resolve(Response(202)))),
    Route("GET", "/slowly", slowly),
    Route("GET", "/stream", lambda request: Response(200, stream=pieces())),
    Route("GET", "/refused", fail(HttpError(404, "not-there", "it is not there"))),
    Route("GET", "/full", fail(HttpError(507, "store-full", "it is full"))),
    Route("GET", "/broken", fail(Broken())),
    Route("GET", "/unknown", fail(ZeroDivisionError("by zero"))),
    Route("GET", "/broken/later", later(lambda pending: pending.fail(Broken()))),
    Route("GET", "/broken/slowly", fail_slowly),
    Route("GET", "/parked", lambda request: Pending(lambda: True)),
    Route("GET", "/bad", lambda request: Response(500)),
    *[
        Route(method, path, ok)
        for method in ("GET", "PUT", "POST", "DELETE", "PATCH")
        for path in ("/v/{account}/{queue}", "/v/{account}/{queue}/{message}")
    ],
]


class Site:
    def __init__(self, port, exporter):
        self.port = port
        self._exporter = exporter

    def ask(self, target, method="GET", **headers):
        client = Client(self.port)
        answer = client(method, target, headers=headers)
        client.close()
        return answer

    def spans(self):
        return self._exporter.get_finished_spans()

    def span(self, target, method="GET", **headers):
        """The one that a request makes."""
        self._exporter.clear()
        self.ask(target, method, **headers)
        eventually(self.spans)
        (span,) = self.spans()
        return span


@contextmanager
def traced(**options):
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with serving(ROUTES, translate=translate) as web:
        web.server.add_layer(Spans(provider.get_tracer("test"), web.server.translate))
        yield Site(web.port, exporter)
    provider.shutdown()


@pytest.fixture
def site():
    with traced() as site:
        yield site


def test_a_request_is_a_span_of_a_server(site):
    span = site.span("/v/acme/jobs%2D1?limit=1&signature=secret")
    assert (span.name, span.kind) == ("GET /v/{account}/{queue}", SpanKind.SERVER)
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.route": "/v/{account}/{queue}",
        "http.response.status_code": 200,
        "url.path": "/v/acme/jobs%2D1",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "client.address": "127.0.0.1",
        "messaging.system": "leveret",
        "messaging.destination.name": "jobs-1",
        "messaging.operation.name": "get",
        "messaging.operation.type": "receive",
        "leveret.account": "acme",
    }
    assert span.status.status_code is StatusCode.UNSET


def test_what_is_no_queue_has_no_words_of_messaging(site):
    assert not [name for name in site.span("/ready").attributes if name.startswith("messaging")]


@pytest.mark.parametrize(
    ("method", "target", "name", "kind"),
    [
        ("PUT", "/v/a/q/m", "put", "send"),
        ("PUT", "/v/a/q", "put", "send"),
        ("GET", "/v/a/q/m", "get", "receive"),
        ("HEAD", "/v/a/q", "get", "receive"),
        ("POST", "/v/a/q?hide=5", "claim", "receive"),
        ("POST", "/v/a/q?hide=5&id=m", "update", "settle"),
        ("POST", "/v/a/q/m", "update", "settle"),
        ("DELETE", "/v/a/q?wait=5", "pop", "receive"),
        ("DELETE", "/v/a/q?id=m&id=n", "delete", "settle"),
        ("DELETE", "/v/a/q/m", "delete", "settle"),
        ("PATCH", "/v/a/q", None, None),
    ],
)
def test_what_is_done_with_messages(site, method, target, name, kind):
    attributes = site.span(target, method).attributes
    assert attributes.get("messaging.operation.name") == name
    assert attributes.get("messaging.operation.type") == kind
    assert attributes.get("messaging.message.id") == ("m" if target.endswith("/m") else None)


def test_it_is_part_of_its_client_s_trace(site):
    span = site.span("/ready", traceparent=PARENT, tracestate="vendor=1")
    assert span.parent.is_remote
    assert (span.parent.span_id, span.context.trace_id) == (int(SPAN, 16), int(TRACE, 16))
    assert span.context.trace_state.get("vendor") == "1"


@pytest.mark.parametrize("parent", ["x", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01"])
def test_or_begins_one(site, parent):
    assert site.span("/ready", traceparent=parent).parent is None


@pytest.mark.parametrize(("path", "status"), [("/later", 202), ("/slowly", 200), ("/stream", 200)])
def test_it_ends_when_the_answer_comes(site, path, status):
    span = site.span(path)
    assert span.attributes["http.response.status_code"] == status
    assert site.ask(path).status == status


def test_what_a_client_did_wrong_is_no_error_of_the_server(site):
    span = site.span("/refused")
    assert (span.attributes["http.response.status_code"], span.attributes["leveret.problem"]) == (404, "not-there")
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in span.attributes


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/full", 507, "store-full"),
        ("/broken", 503, "broken"),
        ("/broken/later", 503, "broken"),
        ("/broken/slowly", 503, "broken"),
        ("/unknown", 500, "ZeroDivisionError"),
        ("/bad", 500, "500"),
    ],
)
def test_what_the_server_did_wrong_is(site, path, status, kind):
    span = site.span(path)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes["http.response.status_code"], span.attributes["error.type"]) == (status, kind)
    assert site.ask(path).status == status


def test_an_error_that_nobody_knows_is_recorded(site):
    (event,) = site.span("/unknown").events
    assert event.attributes["exception.type"] == "ZeroDivisionError"
    assert not site.span("/broken").events


def test_a_client_that_hangs_up_ends_it(site):
    with Raw(site.port) as raw:
        raw.send(b"GET /parked HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(site.spans)
    (span,) = site.spans()
    assert span.attributes["error.type"] == "cancelled"
    assert span.status.status_code is StatusCode.UNSET


def test_an_answer_that_is_parked_is_still_known_to_be():
    handler = Spans(NoOpTracer(), translate)(ROUTES[0], lambda request: inner)
    inner = Pending()
    answer = handler(Request(b"GET", b"/ready", [], b"", True, False))
    inner.parked = True
    inner.resolve(Response(200))
    assert answer.parked


def test_one_that_is_not_sampled_costs_no_answer():
    with traced(sampler=ALWAYS_OFF) as site:
        assert site.ask("/later").status == 202
        assert site.ask("/broken").status == 503
        assert site.spans() == ()


def test_what_is_not_routed_has_none(site):
    assert site.ask("/nowhere").status == 404
    assert site.spans() == ()
