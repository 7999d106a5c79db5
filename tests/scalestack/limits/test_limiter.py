"""What an account may use of an HTTP server: who is refused what, what is charged to whom, and what is given back."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scalestack.auth.authority import Authority
from scalestack.auth.guard import Guard
from scalestack.auth.slow import Failures
from scalestack.event.pending import Pending
from scalestack.http.message import Response
from scalestack.http.router import Route
from scalestack.limits import refusals as refusals_module
from scalestack.limits.budget import BYTES, REQUESTS, Limit, Limits
from scalestack.limits.budgets import Budgets
from scalestack.limits.limiter import Limiter
from scalestack.limits.refusals import Refusals
from support.web import eventually, serving

LONG = 3600.0  # seconds; no test waits for it


@pytest.fixture(autouse=True)
def hold(monkeypatch):
    """Sets for how long refusals are held: next to not at all, unless a test says otherwise."""

    def set_hold(seconds):
        monkeypatch.setattr(refusals_module, "_HOLD", seconds)

    set_hold(0.001)
    return set_hold


def show(request, *parameters):
    return Response(200, b"x" * int(request.query_string or 0))


def show_later(request, *parameters):
    pending = Pending()
    request.connection.thread.soon(pending.resolve, show(request))
    return pending


async def show_in_a_coroutine(request, *parameters):
    return show(request)


class Endless:
    """A stream that ends only with its reader, and counts the pieces that were taken."""

    def __init__(self):
        self.taken = 0
        self.closed = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.taken += 1
        if self.taken > 3:
            await asyncio.get_running_loop().create_future()
        return b"x" * 100

    async def aclose(self):
        self.closed = True


class Site:
    """A server with the layer, by a clock that only the test moves."""

    def __init__(self, web, limiter, refusals, now):
        self.web = web
        self.limiter = limiter
        self.refusals = refusals
        self.now = now
        self.streams = []
        self.requests = []

    def watch(self, route, handler):
        """A layer that remembers all requests."""

        def watched(request, *parameters):
            self.requests.append(request)
            return handler(request, *parameters)

        return watched

    def stream(self, request, account):
        self.streams.append(Endless())
        return Response(200, content_type=b"text/plain", stream=self.streams[-1])

    def stream_later(self, request, account):
        pending = Pending()
        request.connection.thread.soon(pending.resolve, self.stream(request, account))
        return pending

    def send(self, client, target, body=b"", method="PUT"):
        client.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        return client.answer(method == "HEAD")

    def ask(self, target, body=b"", method="PUT"):
        with self.web.connect() as client:
            return self.send(client, target, body, method)

    def statuses(self, target, times, body=b""):
        with self.web.connect() as client:
            return [self.send(client, target, body).status for _ in range(times)]


def limits(burst=1.0, **most):
    found = {kind: Limit(value, f"limits.{kind}") for kind, value in most.items()}
    rates = {kind: found.pop(kind) for kind in (REQUESTS, BYTES) if kind in found}
    return Limits(rates, found, burst)


@contextmanager
def limited(by_account=None, **most) -> Iterator[Site]:
    default = limits(**most) if most else None
    now = [0.0]
    budgets = Budgets(lambda name: (by_account or {}).get(name, default))
    refusals = Refusals()
    limiter = Limiter(budgets, refusals, lambda: now[0])
    with serving([]) as web:
        site = Site(web, limiter, refusals, now)
        web.server.mount(
            [
                Route("GET", "/", show),
                Route("PUT", "/q/{account}", show),
                Route("PUT", "/q/{account}/{queue}", show),
                Route("POST", "/q/{account}", show),
                Route("POST", "/later/{account}", show_later),
                Route("POST", "/coroutine/{account}", show_in_a_coroutine),
                Route("GET", "/stream/{account}", site.stream),
                Route("GET", "/stream-later/{account}", site.stream_later),
            ]
        )
        web.server.add_layer(site.watch)
        web.server.add_layer(limiter)
        yield site


def test_requests_beyond_the_limit_are_429_until_their_time_comes():
    with limited(requests=2) as site:
        assert site.statuses("/q/a/jobs", 4) == [200, 200, 429, 429]
        site.now[0] = 0.5
        assert site.statuses("/q/a/jobs", 2) == [200, 429]
        assert site.refusals.counted() == {("a", REQUESTS): 3}


def test_a_refusal_has_a_code_and_says_when_to_try_again():
    with limited(requests=1) as site:
        site.ask("/q/a")
        refused = site.ask("/q/a")
        assert (refused.json["code"], refused.headers["retry-after"]) == ("too-many-requests", "1")
        assert "1 requests a second (limits.requests)" in refused.json["detail"]


def test_one_account_is_not_charged_for_another():
    with limited(requests=1) as site:
        assert site.statuses("/q/a", 3) == [200, 429, 429]
        assert site.ask("/q/b").status == 200


def test_accounts_have_limits_of_their_own():
    with limited({"a": limits(requests=3), "b": None}, requests=1) as site:
        assert site.statuses("/q/a", 4) == [200, 200, 200, 429]
        assert site.statuses("/q/b", 4) == [200] * 4
        assert site.statuses("/q/c", 2) == [200, 429]


def test_what_names_no_account_is_not_limited():
    with limited(requests=1) as site, site.web.connect() as client:
        assert [site.send(client, "/", method="GET").status for _ in range(5)] == [200] * 5


def test_a_route_without_an_account_is_left_as_it_is():
    with limited(requests=1) as site:
        assert site.limiter(Route("GET", "/", show), show) is show


@pytest.mark.parametrize("path", ["/q/a", "/later/a", "/coroutine/a"])
def test_bytes_are_charged_both_ways(path):
    with limited(bytes=1000) as site:
        assert site.ask(path, b"x" * 900, "POST").status == 200
        refused = site.ask(path, b"x" * 101, "POST")
        assert refused.json["code"] == "too-many-bytes"
        assert site.ask(path + "?2100", b"x" * 100, "POST").status == 200, "what is refused is not charged"
        in_debt = site.ask(path, b"x", "POST")
        assert (in_debt.status, in_debt.headers["retry-after"]) == (429, "3")
        site.now[0] = 2.2
        assert site.ask(path, b"x", "POST").status == 200


def test_what_a_put_is_answered_with_is_not_charged():
    with limited(bytes=1000) as site:
        assert site.ask("/q/a?5000", b"x").status == 200
        assert site.ask("/q/a", b"x").status == 200


def test_a_body_larger_than_a_burst_passes_when_nothing_else_did():
    with limited(bytes=10) as site:
        assert site.ask("/q/a", b"x" * 1000).status == 200
        assert site.ask("/q/a", b"x").status == 429


def test_what_is_refused_is_held_back_and_its_body_is_not_kept(hold):
    hold(LONG)
    with limited(requests=1) as site, site.web.connect() as client:
        site.ask("/q/a")
        client.send(b"PUT /q/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        eventually(site.refusals.counted)
        eventually(lambda: site.requests[-1].body == b"")
        client.socket.settimeout(0.01)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)


def test_a_connection_that_is_lost_is_held_no_more(hold):
    hold(LONG)
    with limited(requests=1) as site:
        site.ask("/q/a")
        with site.web.connect() as client:
            client.send(b"PUT /q/a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            eventually(site.refusals.counted)
            budget = site.limiter._budgets.of("a", 0.0)
            eventually(lambda: not budget.is_idle(100.0))
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset at its end
        eventually(lambda: budget.is_idle(100.0))


def test_what_is_pipelined_behind_a_refusal_is_answered_after_it():
    with limited(requests=1) as site, site.web.connect() as client:
        body = b"x" * 100_000
        head = f"PUT /q/a HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        client.send((head + body) * 4)
        assert [client.answer().status for _ in range(4)] == [200, 429, 429, 429]


def test_connections_beyond_the_limit_are_refused_and_closed():
    with limited(connections=2) as site, site.web.connect() as one, site.web.connect() as two:
        assert [site.send(each, "/q/a").status for each in (one, two, one, two)] == [200] * 4
        with site.web.connect() as three:
            refused = site.send(three, "/q/a")
            assert (refused.json["code"], refused.headers["connection"]) == ("too-many-connections", "close")
            assert three.at_end()
        one.close()
        eventually(lambda: site.ask("/q/a").status == 200)


def test_a_connection_counts_for_each_account_that_it_asks_for():
    with limited(connections=1) as site, site.web.connect() as one:
        assert [site.send(one, f"/q/{name}").status for name in "aba"] == [200] * 3
        assert (site.ask("/q/a").status, site.ask("/q/b").status, site.ask("/q/c").status) == (429, 429, 200)


def test_what_was_counted_for_a_connection_is_given_back():
    with limited(connections=1, streams=1) as site:
        site.ask("/q/a")
        eventually(lambda: not site.limiter._visits)
        eventually(lambda: site.limiter._budgets.of("a", 0.0).is_idle(100.0))


def open_stream(site, path="/stream/a"):
    client = site.web.connect()
    client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return client


@pytest.mark.parametrize("path", ["/stream/a", "/stream-later/a"])
def test_streams_beyond_the_limit_are_refused_until_one_ends(path):
    with limited(streams=1) as site:
        first = open_stream(site, path)
        eventually(lambda: site.streams)
        refused = site.ask(path, method="GET")
        assert refused.json["code"] == "too-many-streams"
        first.close()
        eventually(lambda: site.streams[0].closed)
        budget = site.limiter._budgets.of("a", 0.0)
        eventually(lambda: budget.is_idle(100.0))
        second = open_stream(site, path)
        eventually(lambda: site.streams[-1].taken > 3)
        second.close()


def test_a_stream_of_which_only_the_head_is_asked_for_is_given_back():
    with limited(streams=1) as site, site.web.connect() as client:
        assert [site.send(client, "/stream/a", method="HEAD").status for _ in range(3)] == [200] * 3


def test_a_stream_is_charged_and_waits_when_it_is_in_debt(monkeypatch):
    monkeypatch.setattr("scalestack.limits.limiter._LONGEST_PAUSE", 0.001)
    with limited(bytes=100) as site:
        client = open_stream(site)
        eventually(lambda: site.limiter._budgets.of("a", 0.0).debt(0.0))
        assert site.streams[0].taken == 2
        assert site.ask("/q/a", b"x").json["code"] == "too-many-bytes"
        site.now[0] = 1.0
        eventually(lambda: site.streams[0].taken == 3)
        site.limiter.draining = True
        eventually(lambda: site.streams[0].taken == 4)
        client.close()


def test_strangers_spend_nothing_of_an_account():
    with limited(requests=1) as site:
        authority = Authority(site.web.server.renew_layers)
        site.web.server.remove_layer(site.limiter)
        site.web.server.add_layer(
            Guard(authority, Failures(1000, 1000.0, 5.0), Failures(1000, 1000.0, 5.0), lambda: 0.0, lambda: 0.0)
        )
        site.web.server.add_layer(site.limiter)
        assert site.statuses("/q/a", 5) == [401] * 5
        authority.set_open(True)
        assert site.statuses("/q/a", 2) == [200, 429]


def test_without_the_layer_nothing_is_limited():
    with limited(requests=1) as site:
        site.web.server.remove_layer(site.limiter)
        assert site.statuses("/q/a", 3) == [200] * 3
