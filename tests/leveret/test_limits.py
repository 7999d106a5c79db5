"""What each account may use: how that is set, and what is answered to whoever uses more."""

from contextlib import contextmanager

import pytest

from leveret.frontend.rest import Rest, translate
from leveret.limits import AccountAllowances, AccountLimits, LimitsConfig, LimitsModule
from leveret.model import Quota
from leveret.modules import MemoryModule, QueueModule, RestModule
from leveret.service import QueueConfig, QueueService
from leveret.store.memory import MemoryStore
from scalestack.audit.module import AuditModule
from scalestack.auth.authority import Authority
from scalestack.auth.module import AuthModule, NoneModule
from scalestack.config import ConfigError, Override, Settings
from scalestack.data import DataDirectory
from scalestack.event.module import EventModule
from scalestack.http.module import HttpModule
from scalestack.http.server import HttpServer
from scalestack.kernel import Kernel
from scalestack.limits.refusals import Refusals
from scalestack.log.module import LogModule
from scalestack.net.module import NetModule
from support.web import eventually, serving

TOML = """
[limits]
requests = 500
polls = 3
messages = 1000

[limits.accounts.acme]
requests = 5000.5
stored_bytes = 1_000_000

[limits.accounts."a b"]
burst = 10
"""


@pytest.fixture(autouse=True)
def hold(monkeypatch):
    monkeypatch.setattr("scalestack.limits.refusals._HOLD", 0.001)


def load(text, tmp_path, *overrides):
    file = tmp_path / "leveret.toml"
    file.write_text(text)
    return Settings.load({"limits": LimitsConfig}, file=file, overrides=overrides).section("limits")


def allowances(**settings):
    return AccountAllowances(LimitsConfig(**settings), lambda: 0.0)


# Settings.


def test_nothing_is_limited_unless_something_is_set():
    assert not LimitsConfig(burst=3).any
    assert LimitsConfig(polls=0).any
    assert LimitsConfig(accounts={"a": AccountLimits()}).any


def test_limits_of_all_and_of_one(tmp_path):
    config = load(TOML, tmp_path)
    assert (config.requests, config.polls, config.bytes) == (500.0, 3, None)
    assert config.accounts == {
        "acme": AccountLimits(requests=5000.5, stored_bytes=1_000_000),
        "a b": AccountLimits(burst=10),
    }


def test_a_limit_on_the_command_line(tmp_path):
    assert load("", tmp_path, Override("limits.requests", "7", "--set")).requests == 7.0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[limits]\nrequests = 0", "a number of at least 0.001 is expected"),
        ("[limits]\nmessages = 1.5", "a whole number of at least 0 is expected"),
        ("[limits]\nrequest = 1", "did you mean limits.requests"),
        ("[limits.accounts.acme]\npoll = 1", "did you mean polls"),
        ('[limits.accounts."a/b"]\npolls = 1', "holds a '/'"),
    ],
)
def test_a_setting_that_can_not_be_is_told(tmp_path, text, error):
    with pytest.raises(ConfigError, match=error):
        load(text, tmp_path)


# What is allowed.


def test_what_an_account_does_not_set_is_as_for_all():
    allowed = allowances(messages=10, queues=2, accounts={"a": AccountLimits(messages=99, stored_bytes=5)})
    assert allowed.quota("a") == Quota(messages=99, bytes=5, queues=2)
    assert allowed.quota("b") == Quota(messages=10, queues=2)


def test_without_a_quota_the_store_is_asked_for_none():
    assert allowances(requests=1).quota("a") is None


def test_polls_up_to_the_limit_of_the_account():
    allowed = allowances(polls=1)
    leave = allowed.enter_poll("a")
    with pytest.raises(Exception, match=r"1 polls at once \(limits\.polls\)"):
        allowed.enter_poll("a")
    allowed.enter_poll("b")
    leave()
    allowed.enter_poll("a")


def test_polls_without_a_limit():
    for allowed in (allowances(requests=1), allowances(accounts={"b": AccountLimits(polls=1)})):
        for _ in range(10):
            allowed.enter_poll("a")()


# Over HTTP.


class Site:
    def __init__(self, web, allowances, service):
        self.web = web
        self.allowances = allowances
        self.service = service

    def ask(self, method, path, body=b""):
        with self.web.connect() as client:
            head = f"{method} /v1.1{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
            return client.send(head.encode() + body).answer()


@contextmanager
def limited(**settings):
    services = []

    def routes(loops):
        services.append(QueueService(MemoryStore(), lambda: 1000.0, QueueConfig(), loops.threads[0]))
        services[0].start()
        return Rest(services[0]).routes()

    with serving(routes, translate=translate) as web:
        allowed = allowances(**settings)
        services[0].allow(allowed)
        web.server.add_layer(allowed.limiter)
        yield Site(web, allowed, services[0])
        services[0].drain()


def test_requests_of_an_account_and_of_nobody():
    with limited(requests=1, burst=1) as site:
        assert [site.ask("PUT", "/a/q/m").status for _ in range(2)] == [201, 429]
        assert [site.ask("GET", "?limit=1").status for _ in range(3)] == [200] * 3
        assert site.ask("PUT", "/a/q/m").json["code"] == "too-many-requests"


def test_a_name_that_no_account_can_have_is_not_remembered():
    with limited(requests=1) as site:
        assert site.ask("PUT", f"/{'x' * 5000}/q/m").status == 400
        assert len(site.allowances._budgets) == 0


def test_an_account_that_is_full_is_told_so_and_by_which_setting():
    with limited(messages=1, accounts={"a": AccountLimits(stored_bytes=3)}) as site:
        assert site.ask("PUT", "/a/q/1", b"xxx").status == 201
        full = site.ask("PUT", "/a/q/2", b"")
        assert (full.status, full.json["code"]) == (429, "account-full")
        assert "(limits.messages, limits.accounts.a.stored_bytes)" in full.json["detail"]
        assert int(full.headers["retry-after"]) >= 1
        assert site.allowances.refusals.counted() == {("a", "stored"): 1}


def test_a_poll_too_many_is_told_so():
    with limited(polls=1) as site, site.web.connect() as first:
        first.send(b"GET /v1.1/a/q?wait=60 HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: site.service.parked)
        refused = site.ask("GET", "/a/q?wait=60")
        assert (refused.status, refused.json["code"]) == (429, "too-many-polls")
        assert int(refused.headers["retry-after"]) >= 1
        assert "limits.polls" in refused.json["detail"]


def test_followers_up_to_the_limit_and_none_of_them_is_a_poll():
    head = b"GET /v1.1/a/q HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
    with limited(streams=1, polls=0) as site, site.web.connect() as first, site.web.connect() as second:
        first.send(head)
        eventually(lambda: site.service.parked)
        assert second.send(head).answer().json["code"] == "too-many-streams"


# The module.


@pytest.fixture
def kernel(tmp_path):
    modules = (
        LogModule, EventModule, NetModule, HttpModule, AuditModule, AuthModule, NoneModule, MemoryModule, QueueModule,
        RestModule, LimitsModule,
    )  # fmt: skip

    def configure(name, kind):
        if name == "limits":
            return LimitsConfig(requests=1.0, burst=1.0)
        return kind(port=0) if name == "http" else kind(level="error") if name == "log" else kind()

    kernel = Kernel({each.name: each for each in modules}, configure, given={DataDirectory: DataDirectory(tmp_path)})
    kernel.load("memory")
    yield kernel
    kernel.shutdown(0)


def test_the_module_stands_behind_the_guard_and_lets_all_be_as_before_when_it_is_unloaded(kernel):
    for name in ("rest", "limits"):
        kernel.load(name)
    handler = kernel.get(HttpServer).router.find("PUT /v1.1/a/q/m")[0].handler
    assert handler.__qualname__.startswith("Guard.")
    assert kernel.get(Refusals).counted() == {}
    kernel.get(Authority).set_open(True)
    handler = kernel.get(HttpServer).router.find("PUT /v1.1/a/q/m")[0].handler
    assert handler.__qualname__.startswith("Limiter.")
    kernel.unload("limits")
    handler = kernel.get(HttpServer).router.find("PUT /v1.1/a/q/m")[0].handler
    assert handler.__qualname__.startswith("V11.")
