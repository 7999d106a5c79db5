"""The module `auth.jwt` behind the guard of a real server, with a real provider."""

import sys
import time
from contextlib import contextmanager

import pytest

from scalestack.auth.authority import Authority
from scalestack.auth.guard import Guard
from scalestack.auth.jwt.config import JwtConfig
from scalestack.auth.jwt.module import JwtModule
from scalestack.auth.slow import Failures
from scalestack.config import ConfigError
from scalestack.http.message import Response
from scalestack.http.router import Route
from support.web import Client, Raw, eventually, serving

ROUTES = [
    Route("GET", "/q/{account}/{queue}", lambda request, *_: Response(200, request.grant.name.encode()), action="read"),
    Route("DELETE", "/q/{account}/{queue}", lambda request, *_: Response(204), action="receive"),
]


class Site:
    def __init__(self, port, module):
        self.module = module
        self._port = port
        self._clients = []

    def ask(self, token, path="/q/acme/jobs", method="GET", scheme="Bearer"):
        """From a connection of its own."""
        self._clients.append(Client(self._port))
        headers = {} if token is None else {"Authorization": f"{scheme} {token}"}
        return self._clients[-1](method, path, headers=headers)

    def close(self):
        for client in self._clients:
            client.close()


@contextmanager
def site_of(config):
    with serving(ROUTES) as web:
        authority = Authority(web.server.renew_layers)
        web.server.add_layer(
            Guard(authority, Failures(1000, 1000.0, 5.0), Failures(1000, 1000.0, 5.0), lambda: 0.0, lambda: 0.0)
        )
        module = JwtModule.of("test")(config, {Authority: authority})
        module.start()
        site = Site(web.port, module)
        try:
            yield site
        finally:
            site.close()
            module.stop()
            module.stop()


class TestWithoutItsExtra:
    def test_one_line_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "jwt", None)
        module = JwtModule(JwtConfig("https://example.com", "queues"), {Authority: Authority()})
        with pytest.raises(RuntimeError, match=r"pip install 'leveret\[jwt\]'$") as caught:
            module.start()
        assert "\n" not in str(caught.value)
        module.stop()

    def test_what_must_be_set_is_asked_for_first(self):
        with pytest.raises(ConfigError, match=r"auth\.jwt\.issuer is not set"):
            JwtModule(JwtConfig(), {Authority: Authority()})


class TestTokens:
    @pytest.fixture(autouse=True)
    def with_extra(self):
        pytest.importorskip("jwt")
        pytest.importorskip("cryptography")

    @pytest.fixture
    def site(self, provider, config, rsa_key, ec_key):
        provider.publish(rsa_key.public, ec_key.public)
        with site_of(config) as site:
            eventually(lambda: site.module._jwks.keys is not None)
            yield site

    def test_a_good_one_is_let_pass(self, site, rsa_key, ec_key, claims):
        for key in (rsa_key, ec_key):
            answer = site.ask(key.sign(claims))
            assert (answer.status, answer.text) == (200, "jwt alice")

    def test_the_scheme_is_in_any_case(self, site, ec_key, claims):
        assert site.ask(ec_key.sign(claims), scheme="bearer").status == 200
        assert site.ask(ec_key.sign(claims), scheme="BEARER ").status == 200

    def test_it_allows_what_it_claims_and_no_more(self, site, ec_key, claims):
        token = ec_key.sign({**claims, "queues": ["jobs"]})
        assert site.ask(token).status == 200
        assert site.ask(token, "/q/acme/mail").status == 403
        assert site.ask(token, "/q/other/jobs").status == 403
        assert site.ask(token, method="DELETE").status == 403

    def test_a_bad_one_is_told_what_nobody_is_told(self, site, ec_key, claims):
        nothing = site.ask(None)
        assert nothing.status == 401
        assert nothing.headers["www-authenticate"] == 'Bearer realm="test"'
        for token in ("a.b.c", "x", ec_key.sign({**claims, "aud": "other"}), ec_key.sign({**claims, "exp": 1})):
            answer = site.ask(token)
            assert (answer.status, answer.body) == (401, nothing.body)

    def test_other_schemes_are_for_others(self, site, ec_key, claims):
        assert site.ask(ec_key.sign(claims), scheme="Basic").status == 401

    def test_of_two_neither_is_believed(self, site, ec_key, claims):
        good = f"Authorization: Bearer {ec_key.sign(claims)}\r\n"
        with Raw(site._port) as raw:
            raw.send(f"GET /q/acme/jobs HTTP/1.1\r\nHost: a\r\n{good}Authorization: Bearer x\r\n\r\n".encode())
            assert raw.answer().status == 400

    def test_one_that_was_verified_is_not_verified_again(self, site, ec_key, claims, monkeypatch):
        import jwt

        token = ec_key.sign(claims)
        assert site.ask(token).status == 200
        monkeypatch.setattr(jwt, "decode", None)
        assert site.ask(token).status == 200

    def test_a_new_key_is_fetched_when_a_token_names_it(self, site, provider, make_ec_key, claims):
        rotated = make_ec_key("e2")
        provider.publish(rotated.public)
        site.module._jwks._began -= 11  # as if the last fetch were some time ago
        assert site.ask(rotated.sign(claims)).status == 200
        assert provider.fetches == 2

    def test_a_key_that_was_withdrawn_is_known_no_more_even_where_it_was_verified(
        self, site, provider, ec_key, rsa_key, claims
    ):
        token = ec_key.sign(claims)
        assert site.ask(token).status == 200
        provider.publish(rsa_key.public)
        site.module._jwks.renew()
        assert site.ask(token).status == 401

    def test_a_reload_fetches_the_keys_at_once(self, site, provider, ec_key, rsa_key, claims):
        provider.publish(rsa_key.public)
        site.module.reload()
        eventually(lambda: site.ask(ec_key.sign(claims)).status == 401)

    def test_on_the_same_connection_too(self, site, provider, ec_key, rsa_key, claims):
        token = {"Authorization": f"Bearer {ec_key.sign(claims)}"}
        client = Client(site._port)
        assert client("GET", "/q/acme/jobs", headers=token).status == 200
        provider.publish(rsa_key.public)
        site.module._jwks.renew()
        assert client("GET", "/q/acme/jobs", headers=token).status == 401
        client.close()

    def test_strangers_with_unknown_keys_make_one_fetch(self, site, provider, make_ec_key, claims):
        site.module._jwks._began -= 11
        for number in range(20):
            assert site.ask(make_ec_key(f"made-up-{number}").sign(claims)).status == 401
        assert provider.fetches == 2

    def test_many_at_once_wait_for_the_same_one(self, site, provider, make_ec_key, claims):
        rotated = make_ec_key("e2")
        provider.publish(rotated.public)
        provider.gate.clear()
        site.module._jwks._began -= 11
        request = f"GET /q/acme/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {rotated.sign(claims)}\r\n\r\n"
        clients = [Raw(site._port).send(request.encode()) for _ in range(10)]
        eventually(lambda: len(site.module._jwks._waiting) == 10)
        provider.gate.set()
        assert {client.answer().status for client in clients} == {200}
        assert provider.fetches == 2
        for client in clients:
            client.close()

    def test_a_provider_that_goes_away_changes_nothing_yet(self, site, provider, ec_key, claims):
        provider.serve("/jwks", b"", 500)
        site.module._jwks.renew()
        assert site.ask(ec_key.sign(claims)).status == 200

    def test_none_is_good_once_the_module_is_unloaded(self, site, ec_key, claims):
        token = ec_key.sign(claims)
        assert site.ask(token).status == 200
        site.module.stop()
        assert site.ask(token).status == 401

    def test_keys_that_are_too_old_are_given_up_where_the_authority_looks(self, site, provider, ec_key, claims):
        token = {"Authorization": f"Bearer {ec_key.sign(claims)}"}
        client = Client(site._port)
        assert client("GET", "/q/acme/jobs", headers=token).status == 200
        site.module._jwks._fresh -= site.module.config.stale
        site.module._authority.look()
        assert client("GET", "/q/acme/jobs", headers=token).status == 503
        client.close()

    def test_a_provider_that_trickles_holds_up_no_stop(self, trickle):
        with site_of(JwtConfig("any", "queues", jwks=trickle.url)) as site:
            eventually(lambda: trickle.asked)
            began = time.monotonic()
            site.module.stop()
            assert time.monotonic() - began < 4
            eventually(lambda: trickle.left)

    def test_without_any_keys_it_can_not_be_told(self, provider, config, ec_key, claims):
        with site_of(config) as site:
            answer = site.ask(ec_key.sign(claims))
            assert (answer.status, answer.json["code"]) == (503, "auth-unavailable")
            assert answer.headers["retry-after"] == "10"
            assert site.ask(None).status == 401

    def test_a_request_before_the_first_keys_came_waits_for_them(self, provider, config, ec_key, claims):
        provider.publish(ec_key.public)
        provider.gate.clear()
        with site_of(config) as site:
            request = f"GET /q/acme/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ec_key.sign(claims)}\r\n\r\n"
            with Raw(site._port).send(request.encode()) as client:
                eventually(lambda: site.module._jwks._waiting)
                provider.gate.set()
                assert client.answer().status == 200


class TestVerified:
    @pytest.fixture
    def verified(self):
        pytest.importorskip("jwt")
        pytest.importorskip("cryptography")
        from scalestack.auth.jwt.authenticator import Verified

        self.now = 0.0
        return Verified(lambda: self.now, 3)

    def principal(self, expires=10.0):
        from scalestack.auth.principal import Principal

        return Principal("jwt a", "a", frozenset(), expires=expires)

    def test_it_remembers_a_few(self, verified):
        keys = object()
        for number in range(5):
            verified.add(b"%d" % number, keys, self.principal())
        assert [verified.find(b"%d" % number, keys) is not None for number in range(5)] == [
            False,
            False,
            True,
            True,
            True,
        ]

    def test_until_they_expire(self, verified):
        keys = object()
        verified.add(b"a", keys, self.principal())
        self.now = 10.0
        assert verified.find(b"a", keys) is None

    def test_for_the_keys_they_were_verified_by(self, verified):
        verified.add(b"a", object(), self.principal())
        assert verified.find(b"a", object()) is None
        assert verified.find(b"a", None) is None
