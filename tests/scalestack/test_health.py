"""Whether a program lives, and whether it can work."""

import asyncio
import json

import pytest

from scalestack.event.module import EventModule
from scalestack.health import Health, HealthModule, NotReady
from scalestack.http.module import HttpConfig, HttpModule
from scalestack.http.router import PUBLIC
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel
from scalestack.log.module import LogModule
from scalestack.net.module import NetModule
from support.web import Client

MODULES = {module.name: module for module in (LogModule, EventModule, NetModule, HttpModule, HealthModule)}


async def well():
    await asyncio.sleep(0)


async def never():
    await asyncio.sleep(3600)


async def broken():
    raise ZeroDivisionError("a secret")


async def full():
    raise NotReady("the disk is full")


@pytest.fixture
def kernel(monkeypatch):
    configs = {"http": HttpConfig(port=0)}
    kernel = Kernel(MODULES, lambda name, config: configs.get(name) or config())
    kernel.load("health")
    monkeypatch.setattr(kernel.get(Health), "_patience", 0.05)
    yield kernel
    kernel.shutdown(1)


@pytest.fixture
def health(kernel):
    return kernel.get(Health)


@pytest.fixture
def client(kernel):
    client = Client(kernel.get(HttpServer).listen()[0].port)
    yield client
    client.close()


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_all_is_well_where_nothing_is_said_to_be_wrong(client, path):
    answer = client("GET", path)
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"
    assert client("HEAD", path).status == 200


def test_anybody_may_ask(kernel):
    assert {route.action for route in kernel.get(HttpServer).routes} == {PUBLIC}


def test_it_is_ready_when_all_checks_pass(health, client):
    health.register("one", well)
    health.register("two", well)
    assert client("GET", "/health/ready").status == 200


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (full, "disk: the disk is full"),
        (never, "disk: no answer within 0.05 s"),
        (broken, "disk: its check failed, and the log says why"),
    ],
)
def test_what_does_not_pass_is_named(health, client, check, text):
    health.register("well", well)
    health.register("disk", check)
    answer = client("GET", "/health/ready")
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.json["code"], answer.json["detail"]) == ("not-ready", f"not ready: {text}")


def test_all_that_do_not_pass_are_named(health, client):
    health.register("one", full)
    health.register("two", never)
    assert client("GET", "/health/ready").json["detail"] == (
        "not ready: one: the disk is full, two: no answer within 0.05 s"
    )


def test_an_error_tells_the_log_and_not_the_public(health, client, capfd):
    health.register("disk", broken)
    assert "secret" not in json.dumps(client("GET", "/health/ready").json)


def test_it_lives_though_it_is_not_ready(health, client):
    health.register("disk", never)
    assert client("GET", "/health/live").status == 200


def test_a_check_that_is_taken_away_is_asked_no_more(health, client):
    health.register("disk", full)
    health.deregister("disk")
    health.deregister("disk")
    assert client("GET", "/health/ready").status == 200


def test_two_checks_have_two_names(health):
    health.register("disk", well)
    with pytest.raises(ValueError, match="'disk' already"):
        health.register("disk", well)


def test_without_the_module_there_is_nothing_there(kernel, client):
    kernel.unload("health")
    assert client("GET", "/health/live").status == 404
