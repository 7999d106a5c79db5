"""What may be set of `auth.jwt`, and what is refused before anybody is asked anything."""

import pytest

from scalestack.auth.jwt.config import ALGORITHMS, JwtConfig
from scalestack.config import ConfigError, Override, Settings


def refused(**given):
    with pytest.raises(ValueError) as caught:
        JwtConfig(**given)
    return str(caught.value)


def test_nothing_needs_to_be_set_where_the_module_is_not_loaded():
    assert JwtConfig().algorithms == ("RS256", "ES256")


def test_issuer_and_audience_must_be_set_where_it_is():
    with pytest.raises(ConfigError, match=r"auth\.jwt\.issuer is not set; .*URL"):
        JwtConfig(audience="a").check_set()
    with pytest.raises(ConfigError, match=r"auth\.jwt\.audience is not set"):
        JwtConfig(issuer="https://a").check_set()
    JwtConfig(issuer="https://a", audience="a").check_set()


@pytest.mark.parametrize("name", ["none", "None", "NONE", "HS256", "HS384", "HS512", "rs256", "", "RS256 "])
def test_only_algorithms_with_a_public_key_can_be_allowed(name):
    assert f'algorithms has "{name}"' in refused(algorithms=("RS256", name))


def test_all_known_algorithms_can_be_allowed():
    assert JwtConfig(algorithms=ALGORITHMS).algorithms == ALGORITHMS


def test_one_algorithm_must_be_allowed():
    assert "algorithms is empty" in refused(algorithms=())


@pytest.mark.parametrize("name", ["jwks", "issuer"])
@pytest.mark.parametrize(
    "url",
    ["http://example.com/keys", "http://127.0.0.1.example.com/", "http://localhost.example.com", "ftp://a/", "a", "/a",
     "https://", "https://user:password@example.com/", "https://user@example.com/", "http://[::1", "https://a:99999/",
     "http://2130706433/", "file:///etc/passwd"],
)  # fmt: skip
def test_keys_come_over_tls(name, url):
    assert f'{name} is "{url}", which' in refused(**{name: url})


@pytest.mark.parametrize(
    "url",
    ["https://example.com", "https://example.com:8443/realms/a?b=c", "http://127.0.0.1:9000/", "http://[::1]:9000/",
     "http://localhost/"],
)  # fmt: skip
def test_or_from_this_machine(url):
    assert JwtConfig(jwks=url).jwks == url
    assert JwtConfig(issuer=url).issuer == url


def test_an_issuer_whose_keys_are_elsewhere_may_be_any_name():
    assert JwtConfig(issuer="the-mint", jwks="https://example.com/").issuer == "the-mint"


@pytest.mark.parametrize("issuer", ["https://example.com/realm", "https://example.com/realm/"])
def test_where_the_provider_is_asked_for_its_keys(issuer):
    assert JwtConfig(issuer=issuer).discovery == "https://example.com/realm/.well-known/openid-configuration"


def test_stale_keys_are_older_than_fresh_ones():
    assert "at least 600" in refused(refresh=600.0, stale=599.0)


@pytest.mark.parametrize("name", ["account_claim", "actions_claim", "queues_claim"])
def test_a_claim_has_a_name(name):
    assert f"{name} is empty" in refused(**{name: ""})


def test_it_is_set_as_any_section_is():
    overrides = [
        Override("auth.jwt.issuer", "https://example.com", "--set"),
        Override("auth.jwt.algorithms", "ES256, EdDSA", "--set"),
    ]
    found = Settings.load({"auth.jwt": JwtConfig}, overrides=overrides).section("auth.jwt")
    assert (found.issuer, found.algorithms) == ("https://example.com", ("ES256", "EdDSA"))
    with pytest.raises(ConfigError, match=r'section \[auth\.jwt\]: algorithms has "HS256"'):
        Settings.load({"auth.jwt": JwtConfig}, overrides=[Override("auth.jwt.algorithms", "HS256", "--set")])
