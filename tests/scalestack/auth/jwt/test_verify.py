"""Which tokens are good. Each of these differs from a good one in one thing."""

import base64
import json
import time

import pytest

pytest.importorskip("jwt")
pytest.importorskip("cryptography")

import jwt

from scalestack.auth.authority import Denied
from scalestack.auth.jwt.config import ALGORITHMS, JwtConfig
from scalestack.auth.jwt.keyset import KeySet
from scalestack.auth.jwt.verify import MAX_TOKEN, Verifier


class Judge:
    """Verifies a token as a request's would be."""

    def __init__(self, config, *keys):
        self.verifier = Verifier(config)
        self.keys = KeySet([key.public for key in keys], config.algorithms)

    def __call__(self, token):
        token = token.encode() if isinstance(token, str) else token
        head = self.verifier.head(token)
        key = self.keys.find(*head)
        if key is None:
            raise Denied("no key")
        return self.verifier.verify(token, key)


@pytest.fixture
def judge(config, rsa_key, ec_key):
    return Judge(config, rsa_key, ec_key)


def encode(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def test_tokens_of_both_kinds_of_key_are_good(judge, rsa_key, ec_key, claims):
    for key in (rsa_key, ec_key):
        found = judge(key.sign(claims))
        assert (found.name, found.account, found.expires) == ("jwt alice", "acme", claims["exp"] + 30)
        assert found.actions >= {"read", "send"}


def test_a_key_for_edwards_curves(config, claims):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    private = ed25519.Ed25519PrivateKey.generate()
    public = jwt.algorithms.OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    keys = KeySet([{**public, "kid": "d"}], ALGORITHMS)
    token = jwt.encode(claims, private, "EdDSA", {"kid": "d"}).encode()
    verifier = Verifier(JwtConfig(config.issuer, config.audience, ("EdDSA",)))
    assert verifier.verify(token, keys.find(*verifier.head(token))).account == "acme"


@pytest.mark.parametrize("claim", ["exp", "iss", "aud", "sub"])
def test_what_must_be_claimed(judge, ec_key, claims, claim):
    del claims[claim]
    with pytest.raises(Denied, match=claim):
        judge(ec_key.sign(claims))


@pytest.mark.parametrize("change", ["", "/", "x"])
def test_another_issuer(judge, ec_key, claims, change):
    claims["iss"] = claims["iss"] + change if change else "https://example.com"
    with pytest.raises(Denied, match="issuer"):
        judge(ec_key.sign(claims))


@pytest.mark.parametrize("audience", ["other", "queue", "queues2", ["other"], ["Queues"], [["queues"]], {"queues": 1}])
def test_another_audience(judge, ec_key, claims, audience):
    with pytest.raises(Denied, match=r"[Aa]udience|Invalid claim format"):
        judge(ec_key.sign({**claims, "aud": audience}))


def test_one_audience_of_several(judge, ec_key, claims):
    assert judge(ec_key.sign({**claims, "aud": ["other", "queues"]})).account == "acme"


def test_expired(judge, ec_key, claims):
    with pytest.raises(Denied, match="expired"):
        judge(ec_key.sign({**claims, "exp": time.time() - 31}))


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_not_yet(judge, ec_key, claims, claim):
    with pytest.raises(Denied, match="not yet valid"):
        judge(ec_key.sign({**claims, claim: time.time() + 60}))


def test_clocks_may_differ_by_the_leeway(judge, ec_key, claims):
    now = time.time()
    assert judge(ec_key.sign({**claims, "exp": now - 20, "nbf": now - 100, "iat": now - 100}))
    assert judge(ec_key.sign({**claims, "nbf": now + 20, "iat": now + 20}))


def test_without_leeway_they_may_not(config, ec_key, claims):
    judge = Judge(JwtConfig(config.issuer, config.audience, leeway=0.0), ec_key)
    with pytest.raises(Denied, match="expired"):
        judge(ec_key.sign({**claims, "exp": time.time() - 2}))


def test_nbf_and_iat_need_not_be_there(judge, ec_key, claims):
    del claims["nbf"], claims["iat"]
    assert judge(ec_key.sign(claims))


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["soon", [], {}, float("inf"), float("nan"), None])
def test_times_that_are_none(judge, ec_key, claims, claim, value):
    with pytest.raises(Denied):
        judge(ec_key.sign({**claims, claim: value}))


@pytest.mark.parametrize("claim", ["sub", "iss", "aud"])
@pytest.mark.parametrize("value", [5, None, [], {}, True])
def test_names_that_are_none(judge, ec_key, claims, claim, value):
    token = jwt.api_jws.encode(
        json.dumps({**claims, claim: value}).encode(), ec_key.private, "ES256", {"kid": ec_key.id}
    )
    with pytest.raises(Denied):
        judge(token)


def test_no_signature_at_all(judge, ec_key, claims):
    for name in ("none", "None", "NONE", "nOnE"):
        head = encode({"alg": name, "typ": "JWT", "kid": ec_key.id})
        for signature in (b"", encode(b"x")):
            with pytest.raises(Denied, match="algorithm"):
                judge(head + b"." + encode(claims) + b"." + signature)


def test_signed_by_the_public_key_as_if_it_were_a_secret(judge, rsa_key, claims):
    """The confusion of algorithms of RFC 8725 section 2.1."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = rsa_key.private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for algorithm in ("HS256", "RS256"):
        signed = encode({"alg": algorithm, "kid": rsa_key.id}) + b"." + encode(claims)
        for secret in (pem, pem.rstrip(), rsa_key.public["n"].encode()):
            with pytest.raises(Denied):
                judge(signed + b"." + encode(hmac.digest(secret, signed, hashlib.sha256)))


@pytest.mark.parametrize("algorithm", ["RS512", "PS256", "ES256", "ES384"])
def test_the_algorithm_is_the_key_s_and_not_the_token_s(config, rsa_key, claims, algorithm):
    judge = Judge(JwtConfig(config.issuer, config.audience, ALGORITHMS), rsa_key)
    good = rsa_key.sign(claims).encode()
    forged = encode({"alg": algorithm, "kid": rsa_key.id})
    with pytest.raises(Denied):
        judge(forged + good[good.index(b".") :])
    if algorithm in {"RS512", "PS256"}:
        with pytest.raises(Denied, match="no key"):
            judge(jwt.encode(claims, rsa_key.private, algorithm, {"kid": rsa_key.id}))


def test_an_algorithm_that_is_not_pinned(rsa_key, config, claims):
    judge = Judge(JwtConfig(config.issuer, config.audience, ("ES256",)), rsa_key)
    with pytest.raises(Denied, match="algorithm"):
        judge(rsa_key.sign(claims))


def test_a_key_in_the_token_counts_for_nothing(judge, make_ec_key, ec_key, claims):
    own = make_ec_key("own")
    for header in (
        {"jwk": own.public, "kid": ec_key.id},
        {"jku": "https://example.com/keys", "kid": ec_key.id},
        {"x5u": "https://example.com/keys", "kid": "own"},
    ):
        with pytest.raises(Denied):
            judge(own.sign(claims, **header))


def test_signed_by_another_key_of_the_same_name(judge, make_ec_key, claims):
    with pytest.raises(Denied, match="Signature"):
        judge(make_ec_key("e1").sign(claims))


def test_claims_that_were_changed(judge, ec_key, claims):
    head, _, signature = ec_key.sign(claims).encode().split(b".")
    with pytest.raises(Denied, match="Signature"):
        judge(b".".join([head, encode({**claims, "account": "other"}), signature]))


def test_a_head_that_was_changed(judge, ec_key, claims):
    _, rest, signature = ec_key.sign(claims).encode().split(b".")
    head = encode({"alg": "ES256", "kid": ec_key.id, "typ": "at+jwt"})
    with pytest.raises(Denied, match="Signature"):
        judge(b".".join([head, rest, signature]))


def test_no_bit_of_it_can_be_changed(judge, ec_key, claims):
    good = ec_key.sign(claims).encode()
    # The last character of a part has bits that stand for nothing, and must be zero.
    for place in range(0, len(good), 7):
        changed = bytearray(good)
        changed[place] ^= 1
        with pytest.raises(Denied):
            judge(bytes(changed))


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "b64", None])
def test_extensions_that_must_be_understood(judge, ec_key, claims, crit):
    good = ec_key.sign(claims).encode()
    head = encode({"alg": "ES256", "kid": ec_key.id, "crit": crit, "b64": True, "exp": 1})
    with pytest.raises(Denied, match=r"extension|crit"):
        judge(head + good[good.index(b".") :])


def test_claims_that_are_not_encoded(judge, ec_key, claims):
    good = ec_key.sign(claims).encode()
    with pytest.raises(Denied):
        judge(encode({"alg": "ES256", "kid": ec_key.id, "b64": False}) + good[good.index(b".") :])


def test_a_token_that_is_too_long(judge, ec_key, claims):
    token = ec_key.sign({**claims, "padding": "x" * MAX_TOKEN})
    with pytest.raises(Denied, match="longer"):
        judge(token)


@pytest.mark.parametrize(
    "head",
    [b"", b"x", b"[]", b"5", b"null", b"{", b'"alg"', b"\xff", b"[" * 9000, b'{"a":' * 2500, b"{}",
     b'{"alg":["ES256"]}', b'{"alg":null}', b'{"alg":5}', b'{"alg":"ES256","kid":5}', b'{"alg":"ES256","kid":["e1"]}',
     b"1" * 5000],
)  # fmt: skip
def test_heads_that_are_none(judge, ec_key, claims, head):
    good = ec_key.sign(claims).encode()
    with pytest.raises(Denied):
        judge(encode(head) + good[good.index(b".") :])


@pytest.mark.parametrize("payload", [b"", b"x", b"[]", b"null", b"\xff", b"[" * 5000, b'{"exp":' + b"1" * 5000 + b"}"])
def test_claims_that_are_none(judge, ec_key, payload):
    with pytest.raises(Denied):
        judge(jwt.api_jws.encode(payload, ec_key.private, "ES256", {"kid": ec_key.id}))


@pytest.mark.parametrize("token", [b"..", b"a.b.c", b"...", b".", b"", b"\xff.\xff.\xff", b"a.b", "é.é.é".encode()])
def test_what_is_no_token_at_all(judge, token):
    with pytest.raises(Denied):
        judge(token)
