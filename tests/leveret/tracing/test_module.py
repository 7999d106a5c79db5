"""The module `otel`: what it needs, where its spans go, and that none is lost when it ends."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from leveret import __version__
from leveret.tracing.module import OtelModule
from scalestack.http.message import Response
from scalestack.http.problem import HttpError
from scalestack.http.router import Route
from scalestack.http.server import HttpServer
from scalestack.module import NoConfig
from support.web import Client, serving

ROUTES = [Route("GET", "/", lambda request: Response(200))]


class TestWithoutItsExtra:
    def test_one_line_says_what_to_install(self, monkeypatch):
        for name in [name for name in sys.modules if name.startswith(("opentelemetry", "leveret.tracing."))]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "opentelemetry", None)
        module = OtelModule(NoConfig(), {HttpServer: None})
        with pytest.raises(RuntimeError, match=r"pip install 'leveret\[otel\]'$") as caught:
            module.start()
        assert "\n" not in str(caught.value)
        module.stop()


class Collector:
    """Takes spans as a collector does."""

    def __init__(self):
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.got.append((self.path, self.headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.got = []
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class TestWithIt:
    @pytest.fixture(autouse=True)
    def with_extra(self, monkeypatch):
        pytest.importorskip("opentelemetry.sdk")
        pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
        import os

        for name in [name for name in os.environ if name.startswith("OTEL_")]:
            monkeypatch.delenv(name)

    @pytest.fixture
    def collector(self, monkeypatch):
        collector = Collector()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector
        collector.stop()

    def test_what_was_made_is_sent_before_it_ends(self, collector):
        with serving(ROUTES) as web:
            module = OtelModule(NoConfig(), {HttpServer: web.server})
            module.start()
            client = Client(web.port)
            assert client("GET", "/").status == 200
            module.stop()
            assert client("GET", "/").status == 200
            client.close()
            module.stop()
        ((path, headers, body),) = collector.got
        assert path == "/v1/traces"
        assert headers["Content-Type"] == "application/x-protobuf"
        assert body.count(b"GET /") == 1

    def test_a_stop_does_not_wait_long_for_a_collector_that_takes_nothing(self, collector, monkeypatch):
        gate = threading.Event()
        monkeypatch.setattr("leveret.tracing.module._FLUSH", 0.01)
        with serving(ROUTES) as web:
            module = OtelModule(NoConfig(), {HttpServer: web.server})
            module.start()
            flush = module._provider.shutdown
            monkeypatch.setattr(module._provider, "shutdown", gate.wait)
            module.stop()
            gate.set()
            flush()

    def test_who_is_refused_is_seen_too(self, collector):
        def guard(route, handler):
            def refuse(request):
                raise HttpError(401, "unauthenticated", "who is it?")

            return refuse

        with serving(ROUTES) as web:
            web.server.add_layer(guard)
            module = OtelModule(NoConfig(), {HttpServer: web.server})
            module.start()
            client = Client(web.port)
            assert client("GET", "/").status == 401
            client.close()
            module.stop()
        ((_, _, body),) = collector.got
        assert b"unauthenticated" in body

    def make(self, **environ):
        from leveret.tracing.provider import make_provider

        return make_provider(environ)

    def test_the_service_has_a_name(self):
        attributes = self.make(OTEL_TRACES_EXPORTER="none").resource.attributes
        assert (attributes["service.name"], attributes["service.version"]) == ("leveret", __version__)

    def test_which_the_variables_may_change(self, monkeypatch):
        monkeypatch.setenv("OTEL_SERVICE_NAME", "jobs")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.version=5")
        attributes = self.make(OTEL_TRACES_EXPORTER="none").resource.attributes
        assert (attributes["service.name"], attributes["service.version"]) == ("jobs", "5")
        assert attributes["deployment.environment.name"] == "test"

    @pytest.mark.parametrize(
        ("environ", "kinds"),
        [
            ({}, ["OTLPSpanExporter"]),
            ({"OTEL_TRACES_EXPORTER": ""}, ["OTLPSpanExporter"]),
            ({"OTEL_TRACES_EXPORTER": "none"}, []),
            ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ["ConsoleSpanExporter", "OTLPSpanExporter"]),
            ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ["OTLPSpanExporter"]),
        ],
    )
    def test_where_spans_go(self, environ, kinds):
        from leveret.tracing.provider import exporters_of

        assert [type(exporter).__name__ for exporter in exporters_of(environ)] == kinds

    @pytest.mark.parametrize("environ", [{"OTEL_TRACES_EXPORTER": "x"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}])
    def test_where_they_can_not_go(self, environ):
        from leveret.tracing.provider import UnknownExporter

        with pytest.raises(UnknownExporter, match=r"known are .*none, otlp"):
            self.make(**environ)
