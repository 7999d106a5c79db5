"""What is accepted of a provider, from a real one on loopback."""

import pytest

from scalestack.auth.jwt.config import JwtConfig
from scalestack.auth.jwt.fetch import MAX_BODY, FetchError
from scalestack.auth.jwt.fetch import fetch_keys as fetch_keys_on
from scalestack.auth.jwt.limit import Line

KEY = {"kty": "RSA", "kid": "1"}


def fetch_keys(config, *clock):
    return fetch_keys_on(config, Line(), *clock)


def refused(config, *clock):
    with pytest.raises(FetchError) as caught:
        fetch_keys(config, *clock)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def direct(provider):
    """The keys' URL is set."""
    return JwtConfig(issuer="any", audience="queues", jwks=f"{provider.url}/jwks")


def test_the_provider_says_where_its_keys_are(provider, config):
    provider.publish(KEY)
    assert fetch_keys(config) == [KEY]
    assert provider.asked == ["/realm/.well-known/openid-configuration", "/jwks"]


def test_where_that_is_set_it_is_not_asked(provider, direct):
    provider.publish(KEY)
    assert fetch_keys(direct) == [KEY]
    assert provider.asked == ["/jwks"]


@pytest.mark.parametrize("issuer", ["", "/", "https://example.com", None])
def test_a_provider_speaks_for_no_other_issuer(provider, config, issuer):
    said = provider.issuer + issuer if issuer == "/" else issuer
    found = {"issuer": said, "jwks_uri": f"{provider.url}/jwks"}
    provider.serve_json("/realm/.well-known/openid-configuration", found)
    assert f"is not of {provider.issuer}" in refused(config)
    assert provider.fetches == 0


@pytest.mark.parametrize("uri", [None, 5, "", "http://example.com/jwks", "ftp://127.0.0.1/jwks", "/jwks"])
def test_keys_are_not_fetched_from_anywhere(provider, config, uri):
    provider.serve_json("/realm/.well-known/openid-configuration", {"issuer": provider.issuer, "jwks_uri": uri})
    assert refused(config)
    assert provider.fetches == 0


def test_a_redirect_is_followed(provider, direct):
    provider.serve("/jwks", b"", 302, Location="/moved")
    provider.serve_json("/moved", {"keys": [KEY]})
    assert fetch_keys(direct) == [KEY]


def test_but_not_off_the_safe_path(provider, direct):
    provider.serve("/jwks", b"", 302, Location="http://example.com/jwks")
    assert "http://example.com/jwks is not encrypted" in refused(direct)


def test_and_not_for_ever(provider, direct):
    provider.serve("/jwks", b"", 307, Location="/jwks")
    assert "redirected" in refused(direct)
    assert provider.fetches == 4


@pytest.mark.parametrize("status", [204, 400, 401, 404, 500, 503])
def test_an_answer_that_is_not_200(provider, direct, status):
    provider.serve("/jwks", b"", status)
    assert f"answered {status}" in refused(direct)


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"", "no JSON"), (b"<html>", "no JSON"), (b"\xff", "no JSON"), (b"[" * 100_000, "no JSON"),
     (b"[]", "no JSON object"), (b"null", "no JSON object"), (b"{}", "no key set"), (b'{"keys":{}}', "no key set"),
     (b'{"keys":null}', "no key set")],
)  # fmt: skip
def test_what_is_no_key_set(provider, direct, body, why):
    provider.serve("/jwks", body)
    assert why in refused(direct)


def test_a_document_has_a_mebibyte_at_most(provider, direct):
    body = b'{"keys":[]}'
    provider.serve("/jwks", body.ljust(MAX_BODY))
    assert fetch_keys(direct) == []
    provider.serve("/jwks", body.ljust(MAX_BODY + 1))
    assert f"more than {MAX_BODY} bytes" in refused(direct)


def test_what_is_small_when_it_is_packed_is_not_unpacked(provider, direct):
    import gzip

    provider.serve("/jwks", gzip.compress(b'{"keys":[]}'), **{"Content-Encoding": "gzip"})
    assert "no JSON" in refused(direct)


def test_all_of_it_has_one_time_limit(provider, config):
    times = iter([0.0, 0.0, 6.0])
    assert "did not answer within 5 seconds" in refused(config, lambda: next(times))


def test_a_provider_that_is_not_there(provider, direct):
    provider.stop()
    try:
        assert direct.jwks in refused(direct)
    finally:
        provider.stop = lambda: None


def test_text_of_the_provider_does_no_harm_in_a_log(provider, direct):
    provider.serve("/jwks", b"", 302, Location="http://example.com/%0a\x1b[31m")
    assert refused(direct).isprintable()
