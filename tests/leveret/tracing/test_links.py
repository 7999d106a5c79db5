"""The spans of answers with messages are linked to those that the messages came from."""

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from leveret.frontend.rest import Rest, translate
from leveret.service import QueueConfig, QueueService
from leveret.store.memory import MemoryStore
from leveret.tracing.spans import Spans
from support.web import Client, eventually, serving

Q = "/v1.1/account/queue"
PARENTS = [f"00-0af7651916cd43dd8448eb211c80319{number}-b7ad6b716920333{number}-01" for number in range(3)]
LINKS = dict(zip("abc", PARENTS, strict=True))


class Site:
    def __init__(self, ask, exporter):
        self.ask = ask
        self._exporter = exporter

    def put(self, id, parent=None):
        assert self.ask("PUT", f"{Q}/{id}", b"x", {"traceparent": parent} if parent else {}).status == 201

    def span(self, method, target):
        """The one that a request makes."""
        self._exporter.clear()
        assert self.ask(method, target).status in {200, 204}
        eventually(self._exporter.get_finished_spans)
        return self._exporter.get_finished_spans()[-1]

    def links(self, method, target):
        """From which messages, and to which spans."""
        return {
            link.attributes["messaging.message.id"]: f"00-{link.context.trace_id:032x}-{link.context.span_id:016x}-01"
            for link in self.span(method, target).links
        }


@pytest.fixture
def site():
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    store = MemoryStore()
    services = []

    def routes(loops):
        services.append(QueueService(store, lambda: 1000.0, QueueConfig(), loops.threads[0]))
        services[0].start()
        return Rest(services[0]).routes()

    with serving(routes, translate=translate) as web:
        web.server.add_layer(Spans(provider.get_tracer("test"), web.server.translate))
        client = Client(web.port)
        yield Site(client, exporter)
        client.close()
        services[0].drain()
    store.close()


@pytest.fixture
def filled(site):
    for id, parent in LINKS.items():
        site.put(id, parent)
    site.put("d")
    return site


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", Q),
        ("GET", Q + "?detail=id"),
        ("GET", Q + "?id=a&id=b&id=c&id=gone"),
        ("POST", Q + "?hide=60&detail=all"),
        ("POST", Q + "?hide=60&detail=attributes"),
        ("POST", Q + "?hide=60&id=a&id=b&id=c"),
        ("DELETE", Q + "?detail=body"),
        ("GET", Q.replace("v1.1", "v1.0")),
    ],
)
def test_a_get_a_claim_and_a_pop(filled, method, target):
    assert filled.links(method, target) == LINKS


@pytest.mark.parametrize("detail", ["all", "body", "id", "attributes"])
@pytest.mark.parametrize("version", ["v1.0", "v1.1"])
def test_one_message(filled, version, detail):
    path = Q.replace("v1.1", version)
    assert filled.links("GET", f"{path}/b?detail={detail}") == {"b": PARENTS[1]}


def test_a_message_without_a_trace_has_no_link_but_counts(filled):
    assert filled.span("GET", Q).attributes["messaging.batch.message_count"] == 4
    assert filled.links("GET", Q + "/d") == {}


def test_what_answers_no_messages_has_none(filled):
    span = filled.span("DELETE", Q + "/a")
    assert (span.links, "messaging.batch.message_count" in span.attributes) == ((), False)


def test_messages_that_came_from_one_span_have_one_link(site):
    for id in "abc":
        site.put(id, PARENTS[0])
    assert site.links("GET", Q) == {"a": PARENTS[0]}
    assert site.span("GET", Q).attributes["messaging.batch.message_count"] == 3


def test_headers_that_are_no_trace_link_to_nothing(site):
    site.ask("PUT", Q + "/a", b"x", {"Leveret-Header-traceparent": "x"})
    assert site.links("GET", Q) == {}


def test_there_are_not_more_of_them_than_a_span_takes(site):
    for number in range(150):
        site.put(f"{number}", f"00-0af7651916cd43dd8448eb211c80319c-{number + 1:016x}-01")
    span = site.span("GET", Q)
    assert len(span.links) == 128
    assert span.attributes["messaging.batch.message_count"] == 150
