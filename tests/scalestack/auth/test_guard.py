"""Who is let pass, and what the others are told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scalestack.auth.authority import Authority, Denied
from scalestack.auth.guard import Guard
from scalestack.auth.principal import Principal
from scalestack.auth.slow import Failures
from scalestack.event.pending import Pending
from scalestack.http.message import Response
from scalestack.http.problem import HttpError
from scalestack.http.router import PUBLIC, Route
from support.web import serving

TOKENS = {
    b"Bearer ann": Principal("ann", "a", frozenset({"read", "send"})),
    b"Bearer bob": Principal("bob", "b", frozenset({"read"}), ("jobs-*",)),
    b"Bearer root": Principal("root", None, frozenset({"admin"})),
    b"Bearer old": Principal("old", "a", frozenset({"read"}), expires=1000.0),
}


class Tokens:
    """Knows those above, and counts how often it is asked."""

    challenges = (b'Bearer realm="test"',)

    def __init__(self):
        self.asked = 0
        self.number = 0

    def version(self):
        return self.number

    def authenticate(self, request):
        self.asked += 1
        authorization = request.header(b"authorization")
        if authorization is None:
            return None
        if authorization not in TOKENS:
            raise Denied("it is unknown")
        return TOKENS[authorization]


class LateTokens(Tokens):
    """Has its answers a little later."""

    def authenticate(self, request):
        pending = Pending()

        def answer():
            try:
                pending.resolve(super(LateTokens, self).authenticate(request))
            except Exception as error:
                pending.fail(error)

        request.connection.thread.loop.call_soon(answer)
        return pending


def show(request, *parameters):
    name = request.grant.name if request.grant else "nobody"
    return Response(200, f"{name} {' '.join(parameters)}".encode())


async def show_later(request, *parameters):
    return show(request, *parameters)


PARKED = threading.Event()


def wait(request, account):
    """Is never answered."""
    PARKED.set()
    return Pending(lambda: True)


ROUTES = [
    Route("GET", "/", show, action=PUBLIC),
    Route("GET", "/q/{account}", show, action="read"),
    Route("GET", "/q/{account}/{queue}", show, action="read"),
    Route("PUT", "/q/{account}/{queue}", show, action="send"),
    Route("GET", "/async/{account}", show_later, action="read"),
    Route("GET", "/undeclared", show),
    Route("GET", "/wait/{account}", wait, action="read"),
]


class Site:
    def __init__(self, web, authority, guard, now):
        self.web = web
        self.guard = guard
        self.authority = authority
        self.now = now

    def recheck(self):
        """As is done once a second."""
        done = threading.Event()

        def recheck(connections):
            self.guard.recheck(connections)
            # What is to come late has come by then.
            connections and connections[0].thread.later(0.01, done.set)

        self.web.network.visit(recheck)
        assert done.wait(10)

    def ask(self, target, token=None, method="GET", times=1):
        with self.web.connect() as client:
            for _ in range(times):
                answer = self.send(client, target, token, method)
        return answer

    def send(self, client, target, token=None, method="GET"):
        credentials = f"Authorization: Bearer {token}\r\n" if token else ""
        length = "Content-Length: 0\r\n" if method == "PUT" else ""
        return client.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{credentials}{length}\r\n".encode()).answer(
            method == "HEAD"
        )


@contextmanager
def guarded(*authenticators, failures=None, refusals=None) -> Iterator[Site]:
    now = [0.0]
    with serving(ROUTES) as web:
        authority = Authority(web.server.renew_layers)
        many = Failures(1000, 1000.0, 5.0)
        guard = Guard(authority, failures or many, refusals or many, lambda: now[0], lambda: now[0])
        web.server.add_layer(guard)
        for each in authenticators:
            authority.register(each)
        yield Site(web, authority, guard, now)


@pytest.fixture(params=[Tokens, LateTokens])
def tokens(request):
    return request.param()


@pytest.fixture
def site(tokens):
    with guarded(tokens) as site:
        yield site


def test_who_may_is_let_pass_and_known_to_the_handler(site):
    answer = site.ask("/q/a/jobs", "ann")
    assert (answer.status, answer.body) == (200, b"ann a jobs")


def test_a_public_route_asks_nobody(site, tokens):
    assert site.ask("/").body == b"nobody "
    assert tokens.asked == 0


def test_no_credentials_are_401_with_what_would_be_good(site):
    answer = site.ask("/q/a/jobs")
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="test"'


def test_bad_credentials_are_told_the_same_as_none(site):
    none, bad = site.ask("/q/a/jobs"), site.ask("/q/a/jobs", "eve")
    assert (none.status, none.body, none.headers.keys()) == (bad.status, bad.body, bad.headers.keys())


def test_another_account_is_403(site):
    assert (site.ask("/q/b/jobs", "ann").status, site.ask("/q/b", "ann").status) == (403, 403)


def test_another_action_is_403(site):
    assert site.ask("/q/b/jobs-1", "bob", "PUT").status == 403


def test_another_resource_is_403(site):
    assert (site.ask("/q/b/jobs-1", "bob").status, site.ask("/q/b/mail", "bob").status) == (200, 403)


def test_the_whole_account_is_403_for_some_of_its_resources(site):
    assert site.ask("/q/b", "bob").status == 403


def test_a_route_that_declares_nothing_is_for_admins(site):
    assert (site.ask("/undeclared", "ann").status, site.ask("/undeclared", "root").status) == (403, 200)


def test_head_is_guarded_as_get_is(site):
    assert (site.ask("/q/a", None, "HEAD").status, site.ask("/q/a", "bob", "HEAD").status) == (401, 403)


def test_a_coroutine_is_answered_too(site):
    assert site.ask("/async/a", "ann", times=2).body == b"ann a"


def test_what_a_connection_has_shown_is_not_asked_for_again(site, tokens):
    site.ask("/q/a/jobs", "ann", times=5)
    assert tokens.asked == 1


def test_other_credentials_on_the_same_connection_are(site):
    with site.web.connect() as client:
        assert site.send(client, "/q/a/jobs", "ann").status == 200
        assert site.send(client, "/q/a/jobs", "bob").status == 403
        assert site.send(client, "/q/a/jobs", "eve").status == 401
        assert site.send(client, "/q/a/jobs").status == 401


def test_what_changed_is_asked_for_again(site, tokens):
    with site.web.connect() as client:
        site.send(client, "/q/a/jobs", "ann")
        tokens.number += 1
        site.send(client, "/q/a/jobs", "ann")
    assert tokens.asked == 2


def test_credentials_that_expire_are_good_to_the_instant(site):
    with site.web.connect() as client:
        site.now[0] = 999.9
        assert site.send(client, "/q/a/jobs", "old").status == 200
        site.now[0] = 1000.0
        assert site.send(client, "/q/a/jobs", "old").status == 401


def test_who_is_deregistered_is_believed_no_more(site, tokens):
    with site.web.connect() as client:
        assert site.send(client, "/q/a/jobs", "ann").status == 200
        site.authority.deregister(tokens)
        assert site.send(client, "/q/a/jobs", "ann").status == 401


def test_without_an_authenticator_all_is_closed():
    with guarded() as site:
        assert (site.ask("/q/a/jobs", "ann").status, site.ask("/").status) == (401, 200)


def test_open_to_all_asks_nobody_until_it_is_closed_again():
    with guarded() as site:
        site.authority.set_open(True)
        assert site.ask("/q/a/jobs").body == b"nobody a jobs"
        site.authority.set_open(False)
        assert site.ask("/q/a/jobs").status == 401


def test_the_next_is_asked_where_one_knows_nothing_of_it(tokens):
    class Silent(Tokens):
        def authenticate(self, request):
            return None

    with guarded(Silent(), tokens) as site:
        assert site.ask("/q/a/jobs", "ann").status == 200


def test_an_authenticator_that_can_not_tell_says_so():
    class Broken(Tokens):
        def authenticate(self, request):
            raise HttpError(503, "auth-unavailable", "nobody can be asked")

    with guarded(Broken()) as site:
        assert site.ask("/q/a/jobs", "ann").json["code"] == "auth-unavailable"


def test_the_refusal_of_too_many_bad_credentials_is_held_back_and_good_ones_are_not(tokens):
    held = threading.Event()

    class Holding(Failures):
        def delay(self, address, now):
            held.set()
            return 0.0 if now else 3600.0

    with guarded(tokens, failures=Holding(1, 1.0, 1.0)) as site, site.web.connect() as bad:
        bad.send(b"GET /q/a/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer eve\r\n\r\n")
        assert held.wait(10)
        assert site.ask("/q/a/jobs", "ann").status == 200
        site.now[0] = 1.0
        assert site.ask("/q/a/jobs", "eve").status == 401


def park(client, token):
    """Have a request wait."""
    PARKED.clear()
    client.send(f"GET /wait/a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    assert PARKED.wait(10)


def test_who_waits_is_cut_off_when_credentials_are_good_no_more(site, tokens, monkeypatch):
    with site.web.connect() as ann, site.web.connect() as bob:
        site.send(bob, "/q/b/jobs-1", "bob")
        park(ann, "ann")
        monkeypatch.delitem(TOKENS, b"Bearer ann")
        tokens.number += 1
        site.recheck()
        assert ann.at_end()
        assert site.send(bob, "/q/b/jobs-1", "bob").status == 200


def test_who_waits_is_cut_off_when_they_expire(site):
    with site.web.connect() as old:
        park(old, "old")
        site.now[0] = 1000.0
        site.recheck()
        assert old.at_end()


def test_who_waits_goes_on_where_something_else_changed(site, tokens):
    with site.web.connect() as ann:
        assert site.send(ann, "/q/a/jobs", "ann").status == 200
        tokens.number += 1
        site.recheck()
        assert site.send(ann, "/q/a/jobs", "ann").status == 200


def test_who_waits_is_cut_off_when_the_rights_are_less_than_they_were(site, tokens, monkeypatch):
    with site.web.connect() as ann:
        park(ann, "ann")
        monkeypatch.setitem(TOKENS, b"Bearer ann", Principal("ann", "a", frozenset({"send"})))
        tokens.number += 1
        site.recheck()
        assert ann.at_end()


def test_what_is_idle_is_left_alone_and_asked_at_its_next_request(site, tokens, monkeypatch):
    with site.web.connect() as ann:
        site.send(ann, "/q/a/jobs", "ann")
        monkeypatch.delitem(TOKENS, b"Bearer ann")
        tokens.number += 1
        site.recheck()
        assert site.send(ann, "/q/a/jobs", "ann").status == 401


def test_who_waits_since_nobody_was_asked_is_cut_off_when_somebody_is():
    with guarded() as site:
        site.authority.set_open(True)
        with site.web.connect() as stranger:
            PARKED.clear()
            stranger.send(b"GET /wait/a HTTP/1.1\r\nHost: a\r\n\r\n")
            assert PARKED.wait(10)
            site.authority.set_open(False)
            site.web.network.visit(site.guard.cut_strangers)
            assert stranger.at_end()


class Watchful(Tokens):
    """Has something to say that its number does not."""

    changed = False

    def look(self):
        return self.changed


def test_what_an_authenticator_sees_at_a_look_has_all_asked_again():
    tokens = Watchful()
    with guarded(tokens) as site, site.web.connect() as ann:
        site.send(ann, "/q/a/jobs", "ann")
        site.authority.look()
        site.send(ann, "/q/a/jobs", "ann")
        assert tokens.asked == 1
        tokens.changed = True
        site.authority.look()
        site.send(ann, "/q/a/jobs", "ann")
        assert tokens.asked == 2


def test_a_body_is_not_kept_while_the_refusal_of_its_credentials_is(tokens):
    held = threading.Event()
    requests = []

    class Holding(Failures):
        def delay(self, address, now):
            held.set()
            return 3600.0

    def watch(route, handler):
        def watched(request, *parameters):
            requests.append(request)
            return handler(request, *parameters)

        return watched

    with guarded(tokens, failures=Holding(1, 1.0, 1.0)) as site, site.web.connect() as bad:
        site.web.server.add_layer(watch, outermost=True)
        bad.send(b"PUT /q/a/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer eve\r\nContent-Length: 5\r\n\r\nhello")
        assert held.wait(10)
        assert requests[0].body == b""


@pytest.mark.parametrize(("target", "token"), [("/q/b/jobs", "ann"), ("/q/a/jobs", None)])
def test_refusals_for_want_of_a_right_or_of_credentials_are_held_back_when_there_are_many(tokens, target, token):
    """Each costs as much as a request that is done, and whoever sends them is in no quota."""
    counted = []

    class Holding(Failures):
        def delay(self, whose, now):
            counted.append(whose)
            return 0.001

    with guarded(tokens, refusals=Holding(1, 1.0, 1.0)) as site:
        assert site.ask(target, token).status == (403 if token else 401)
        assert counted == ["ann" if token else "127.0.0.1"]
