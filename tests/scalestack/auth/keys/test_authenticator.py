"""Whom an authenticator of keys finds in a request; and that a guard believes it no longer than it may."""

import base64

import pytest

from scalestack.auth.authority import Authority, Denied
from scalestack.auth.guard import Guard
from scalestack.auth.keys import signed
from scalestack.auth.keys.authenticator import KeyAuthenticator
from scalestack.auth.slow import Failures
from scalestack.http.message import Request, Response
from scalestack.http.router import Route
from support.web import serving

from .conftest import TOKENS


@pytest.fixture
def authenticator(open_site):
    return KeyAuthenticator(open_site.keyring, TOKENS, "test")


@pytest.fixture
def token(open_site):
    return open_site.create("a", ("read",), resources=("jobs",))[1]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def request(*authorizations, target="/a/jobs", method=b"GET"):
    headers = [(b"Authorization", each.encode()) for each in authorizations]
    return Request(method, target.encode(), headers, b"", True, False)


def signed_by(site, token, method="GET", path="/a/jobs", query=""):
    return signed.sign(site.check(token), method, path, query, int(site.now) + 600)


class TestCredentials:
    @pytest.mark.parametrize(
        "write",
        [
            lambda token: f"Bearer {token}",
            lambda token: f"bearer {token}",
            lambda token: f"BEARER   {token} ",
            lambda token: basic("", token),
            lambda token: basic("whoever", token),
            lambda token: basic(token, ""),
            lambda token: basic("a", token).replace("Basic", "bAsIc"),
        ],
    )
    def test_a_token_is_found(self, authenticator, token, write):
        principal = authenticator.authenticate(request(write(token)))
        assert principal.name == f"key {token[4:14]}"
        assert principal.allows("read", "a", "jobs")
        assert not principal.allows("read", "a", "other")
        assert not principal.allows("read", "b", "jobs")

    @pytest.mark.parametrize(
        "authorization",
        ["Bearer", "Bearer ", "Bearer eyJhbGciOi", "Digest tst_", "Basic", "Basic !", basic("a", "b"), "tst_x", ""],
    )
    def test_what_others_may_know_is_left_to_them(self, authenticator, authorization):
        assert authenticator.authenticate(request(authorization)) is None

    def test_nothing_is_nobody(self, authenticator):
        assert authenticator.authenticate(request()) is None

    @pytest.mark.parametrize("write", ["Bearer {}x", "Bearer tst_{}", "Bearer {0} {0}", "Bearer tst_"])
    def test_what_is_meant_as_a_token_and_is_none_is_denied(self, authenticator, token, write):
        with pytest.raises(Denied) as error:
            authenticator.authenticate(request(write.format(token)))
        assert token[15:] not in str(error.value)
        assert error.value.__cause__ is None
        assert error.value.__suppress_context__

    def test_two_authorizations_are_denied(self, authenticator, token):
        with pytest.raises(Denied, match="several"):
            authenticator.authenticate(request(f"Bearer {token}", f"Bearer {token}"))

    def test_it_says_what_it_takes(self, authenticator):
        assert authenticator.challenges == (b'Bearer realm="test"',)


class TestSignedUrls:
    def test_whoever_has_one_has_the_rights_of_its_key_until_it_ends(self, open_site, authenticator, token):
        given = request(target=signed_by(open_site, token, query="limit=1"))
        principal = authenticator.authenticate(given)
        assert principal.name == f"URL of key {token[4:14]}"
        assert principal.allows("read", "a", "jobs")
        assert not principal.allows("send", "a", "jobs")
        assert principal.expires == open_site.now + 600

    def test_the_handler_sees_the_fixed_parameters_only(self, open_site, authenticator, token):
        given = request(target=signed_by(open_site, token, query="limit=1&detail=id"))
        authenticator.authenticate(given)
        assert given.query_string == b"limit=1&detail=id"
        assert given.target == b"/a/jobs?limit=1&detail=id"

    def test_no_log_sees_the_signature_of_one_that_is_denied(self, open_site, authenticator, token):
        given = request(target=signed_by(open_site, token, "PUT", query="ttl=1"))
        with pytest.raises(Denied):
            authenticator.authenticate(given)
        assert given.target == b"/a/jobs?ttl=1"

    @pytest.mark.parametrize("authorization", ["Bearer {}", "Bearer other", "x", ""])
    def test_one_with_an_authorization_is_denied(self, open_site, authenticator, token, authorization):
        with pytest.raises(Denied, match="with an Authorization"):
            authenticator.authenticate(request(authorization.format(token), target=signed_by(open_site, token)))

    def test_parameters_that_are_no_signature_are_left_alone(self, authenticator, token):
        given = request(f"Bearer {token}", target="/a/jobs?key=1&expires=2")
        authenticator.authenticate(given)
        assert given.query_string == b"key=1&expires=2"


def show(request, *parameters):
    return Response(200, request.target)


ROUTES = [
    Route("GET", "/{account}/{queue}", show, action="read"),
    Route("PUT", "/{account}/{queue}", show, action="send"),
]


class Guarded:
    """A server behind a guard, and one connection to it."""

    def __init__(self, site, raw):
        self.site = site
        self.raw = raw

    def __call__(self, target, *headers, method="GET"):
        length = "Content-Length: 0\r\n" if method == "PUT" else ""
        given = "".join(f"{header}\r\n" for header in headers)
        head = f"{method} {target} HTTP/1.1\r\nHost: a\r\n{length}{given}\r\n"
        return self.raw.send(head.encode()).answer(to_head=method == "HEAD")

    def status(self, *arguments, **options):
        return self(*arguments, **options).status


@pytest.fixture
def ask(open_site, authenticator):
    with serving(ROUTES) as web:
        authority = Authority(web.server.renew_layers)
        authority.register(authenticator)
        guard = Guard(
            authority,
            Failures(1000, 1000.0, 5.0),
            Failures(1000, 1000.0, 5.0),
            lambda: open_site.now,
            lambda: open_site.now,
        )
        web.server.add_layer(guard)
        with web.connect() as raw:
            yield Guarded(open_site, raw)


class TestOnOneConnection:
    def test_a_key_is_good_until_it_is_revoked(self, open_site, ask):
        key, token = open_site.create()
        assert [ask.status("/a/q", f"Authorization: Bearer {token}") for _ in range(3)] == [200] * 3
        open_site.revoke(key)
        assert ask.status("/a/q", f"Authorization: Bearer {token}") == 401

    def test_a_key_is_good_until_it_expires(self, open_site, ask):
        key, token = open_site.create(lifetime=60)
        open_site.now = key.expires - 0.001
        assert ask.status("/a/q", f"Authorization: Bearer {token}") == 200
        open_site.now = key.expires
        assert ask.status("/a/q", f"Authorization: Bearer {token}") == 401

    def test_a_signed_url_is_good_for_itself_alone(self, open_site, ask, token):
        url = signed_by(open_site, token, query="limit=1")
        answer = ask(url)
        assert (answer.status, answer.text) == (200, "/a/jobs?limit=1")
        assert ask.status("/a/jobs") == 401
        assert ask.status(url, method="HEAD") == 200
        assert ask.status(url, method="PUT") == 401

    def test_a_signed_url_is_not_remembered_for_a_header_that_says_nothing(self, open_site, ask, token):
        url = signed_by(open_site, token)
        assert ask.status(url, "Authorization: x") == 401
        assert ask.status("/a/jobs", "Authorization: x") == 401

    def test_who_showed_a_key_before_is_not_who_signed_a_url(self, open_site, ask, token):
        _, other = open_site.create("b", ("read",))
        assert ask.status("/b/q", f"Authorization: Bearer {other}") == 200
        assert ask.status(signed_by(open_site, token)) == 200
        assert ask.status("/a/jobs", f"Authorization: Bearer {other}") == 403

    def test_a_signed_url_can_do_no_more_than_its_key(self, open_site, ask, token):
        assert ask.status(signed_by(open_site, token, "PUT"), method="PUT") == 403
        assert ask.status(signed_by(open_site, token, "GET", "/a/other")) == 403
        assert ask.status(signed_by(open_site, token, "GET", "/b/jobs")) == 403

    def test_to_revoke_a_key_ends_its_urls(self, open_site, ask):
        key, token = open_site.create()
        url = signed_by(open_site, token)
        assert ask.status(url) == 200
        open_site.revoke(key)
        assert ask.status(url) == 401

    def test_all_that_is_no_good_is_answered_alike(self, open_site, ask, token):
        key, revoked = open_site.create()
        _, expired = open_site.create(lifetime=1)
        url = signed_by(open_site, token)
        open_site.revoke(key)
        open_site.now += 2
        credentials = [
            [],
            ["Authorization: Bearer nonsense"],
            [f"Authorization: Bearer {token[:-1]}"],
            [f"Authorization: Bearer {TOKENS.make().text}"],
            [f"Authorization: Bearer {revoked}"],
            [f"Authorization: Bearer {expired}"],
            [f"Authorization: {basic('', revoked)}"],
        ]
        answers = [ask("/a/jobs", *each) for each in credentials] + [ask(url + "x"), ask(url, method="PUT")]
        assert {answer.status for answer in answers} == {401}
        assert len({answer.body for answer in answers}) == 1
        assert {answer.headers["www-authenticate"] for answer in answers} == {'Bearer realm="test"'}
