"""What a program tells of itself at /metrics: the framework's own series, and what other modules bring."""

import asyncio
import gzip
import shutil
import subprocess
import threading

import pytest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from scalestack.event.loops import Loops, LoopThread
from scalestack.event.module import EventModule
from scalestack.http.message import Response
from scalestack.http.module import HttpConfig, HttpModule
from scalestack.http.router import METRICS, Route
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel
from scalestack.log.module import LogModule
from scalestack.metrics.module import MetricsConfig, MetricsModule
from scalestack.metrics.registry import Metrics
from scalestack.net.module import NetModule
from support.web import Client, eventually

MODULES = {module.name: module for module in (LogModule, EventModule, NetModule, HttpModule, MetricsModule)}


class Gauge:
    """A collector, and what it is asked in."""

    def __init__(self, name="test_gauge", value=7.0):
        self.name = name
        self.value = value
        self.thread = None

    def collect(self):
        self.thread = threading.current_thread()
        yield GaugeMetricFamily(self.name, "For a test.", self.value)


@pytest.fixture
def kernel():
    configs = {"http": HttpConfig(port=0), "metrics": MetricsConfig(patience=0.05)}
    kernel = Kernel(MODULES, lambda name, config: configs.get(name) or config())
    kernel.load("metrics")
    yield kernel
    kernel.shutdown(1)


@pytest.fixture
def metrics(kernel):
    return kernel.get(Metrics)


@pytest.fixture
def client(kernel):
    server = kernel.get(HttpServer)
    server.mount([Route("GET", "/hello/{name}", lambda request, name: Response(200, name.encode()))])
    client = Client(server.listen()[0].port)
    yield client
    client.close()


@pytest.fixture
def scrape(client):
    def scrape():
        """Name and labels of each sample, and its value."""
        answer = client("GET", "/metrics")
        assert answer.status == 200
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in parse(answer.text)
            for sample in family.samples
        }

    return scrape


def test_requests_are_counted_from_when_the_module_is_loaded(client, scrape):
    for name in "ab":
        client("GET", f"/hello/{name}")
    client("GET", "/nothing")
    found = scrape()
    route, get = ("route", "/hello/{name}"), ("method", "GET")
    assert found["scalestack_http_requests_total", get, route, ("status", "200")] == 2
    assert found["scalestack_http_requests_total", get, ("route", "none"), ("status", "404")] == 1
    assert found["scalestack_http_request_seconds_count", get, route] == 2
    assert found["scalestack_http_request_seconds_bucket", ("le", "+Inf"), get, route] == 2
    assert 0 < found["scalestack_http_request_seconds_sum", get, route] < 2


def test_buckets_hold_all_that_is_below_their_bound(client, scrape):
    client("GET", "/hello/a")
    found = [value for key, value in scrape().items() if key[0] == "scalestack_http_request_seconds_bucket"]
    assert found == sorted(found)


def test_connections(client, scrape):
    client("GET", "/hello/a")
    found = scrape()
    assert found["scalestack_connections",] == 1


def test_each_loop_and_the_process_have_series(scrape):
    found = scrape()
    assert ("scalestack_loop_lag_seconds_count", ("loop", "loop-0")) in found
    assert found["process_resident_memory_bytes",] > 1_000_000
    assert found["process_start_time_seconds",] > 1_000_000_000


def test_the_route_is_for_those_who_watch_the_service(kernel):
    assert [route.action for route in kernel.get(HttpServer).routes] == [METRICS]


def test_collectors_come_and_go(metrics, scrape):
    gauge = Gauge()
    metrics.register(gauge)
    assert scrape()["test_gauge",] == 7
    metrics.deregister(gauge)
    assert ("test_gauge",) not in scrape()


def test_to_take_a_collector_away_again_is_harmless(metrics, scrape):
    gauge = Gauge()
    metrics.register(gauge)
    metrics.deregister(gauge)
    metrics.deregister(gauge)
    assert ("test_gauge",) not in scrape()


def test_no_loop_renders(metrics, scrape):
    gauge = Gauge()
    metrics.register(gauge)
    scrape()
    assert gauge.thread.name.startswith("metrics")


def test_a_source_is_asked_on_a_loop_and_rendered_elsewhere(metrics, scrape):
    gauge, asked = Gauge(), []

    async def source():
        asked.append(LoopThread.current())
        await asyncio.sleep(0)
        return gauge

    metrics.add_source("test", source)
    found = scrape()
    assert (found["test_gauge",], found["scalestack_scrape_source_up", ("source", "test")]) == (7, 1)
    assert asked != [None]
    assert gauge.thread.name.startswith("metrics")
    metrics.remove_source("test")
    assert ("test_gauge",) not in scrape()


async def late():
    await asyncio.sleep(3600)


async def failing():
    raise ZeroDivisionError


@pytest.mark.parametrize("source", [late, failing])
def test_a_source_that_does_not_answer_is_left_out_and_said_to_be(metrics, scrape, source):
    metrics.add_source("test", source)
    found = scrape()
    assert found["scalestack_scrape_source_up", ("source", "test")] == 0
    assert ("scalestack_connections",) in found


def test_two_sources_have_two_names(metrics):
    metrics.add_source("test", late)
    with pytest.raises(ValueError, match="'test' already"):
        metrics.add_source("test", late)


def test_text_is_what_those_get_who_ask_for_nothing(client):
    answer = client("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


def test_openmetrics_for_those_who_ask_for_it(client):
    client("GET", "/hello/a")
    answer = client("GET", "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in parse_openmetrics(answer.text)}
    assert {"scalestack_http_requests", "scalestack_http_request_seconds"} <= names


@pytest.mark.parametrize("accept", ["application/openmetrics-text;version=new", "\xff", "a;;=,,"])
def test_an_accept_that_means_nothing_gets_text(client, accept):
    answer = client("GET", "/metrics", headers={"Accept": accept})
    assert (answer.status, answer.headers["content-type"][:10]) == (200, "text/plain")


def test_it_is_compressed_for_those_who_take_that(client):
    answer = client("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert b"scalestack_connections" in gzip.decompress(answer.body)


def test_a_family_of_many_samples_is_rendered_whole(metrics, scrape):
    family = GaugeMetricFamily("test_gauge", "For a test.", labels=("number",))
    for number in range(1000):
        family.add_metric((str(number),), number)

    class Many:
        def collect(self):
            yield family

    metrics.register(Many())
    found = scrape()
    assert [found["test_gauge", ("number", str(number))] for number in range(1000)] == list(range(1000))


def test_label_values_are_escaped(metrics, client):
    family = GaugeMetricFamily("test_gauge", "For a test.", labels=("name",))
    family.add_metric(('a"b\\c é',), 1)

    class Odd:
        def collect(self):
            yield family

    metrics.register(Odd())
    assert 'test_gauge{name="a\\"b\\\\c é"} 1.0' in client("GET", "/metrics").text


def test_nothing_is_counted_or_served_any_more_when_it_is_unloaded(kernel, client):
    kernel.unload("metrics")
    assert client("GET", "/metrics").status == 404
    eventually(lambda: all(thread.own.tally is None for thread in kernel.get(Loops).threads))
    kernel.load("metrics")
    assert client("GET", "/metrics").status == 200


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Prometheus) is not installed")
def test_promtool_finds_nothing_wrong(client):
    client("GET", "/hello/a")
    text = client("GET", "/metrics").body
    done = subprocess.run(["promtool", "check", "metrics"], check=False, input=text, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"")
