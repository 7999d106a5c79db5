"""Which of a provider's keys may verify what."""

import json

import pytest

pytest.importorskip("jwt")
pytest.importorskip("cryptography")

from scalestack.auth.jwt.config import ALGORITHMS
from scalestack.auth.jwt.keyset import KeySet

BOTH = ("RS256", "ES256")


def without(data, *names):
    return {name: value for name, value in data.items() if name not in names}


def test_keys_are_found_by_id_and_algorithm(rsa_key, ec_key):
    keys = KeySet([rsa_key.public, ec_key.public], BOTH)
    assert keys.find("r1", "RS256").key_type == "RSA"
    assert keys.find("e1", "ES256").key_type == "EC"
    assert keys.find("x", "RS256") is None


def test_a_key_is_not_found_for_an_algorithm_of_another_type(rsa_key, ec_key):
    keys = KeySet([without(rsa_key.public, "alg"), without(ec_key.public, "alg")], ALGORITHMS)
    assert keys.find("r1", "ES256") is None
    assert keys.find("e1", "RS256") is None


def test_a_key_that_names_its_algorithm_is_for_no_other(rsa_key):
    keys = KeySet([rsa_key.public], ("RS256", "RS512", "PS256"))
    assert keys.find("r1", "RS256")
    assert keys.find("r1", "RS512") is None
    assert keys.find("r1", "PS256") is None


def test_a_key_that_names_none_is_for_all_that_are_allowed(rsa_key):
    keys = KeySet([without(rsa_key.public, "alg")], ("RS256", "PS256"))
    assert keys.find("r1", "RS256").algorithm_name == "RS256"
    assert keys.find("r1", "PS256").algorithm_name == "PS256"
    assert keys.find("r1", "RS384") is None


def test_a_curve_is_for_its_algorithm_alone(ec_key):
    keys = KeySet([without(ec_key.public, "alg")], ALGORITHMS)
    assert keys.find("e1", "ES256")
    assert keys.find("e1", "ES384") is None
    assert keys.find("e1", "ES512") is None


def test_an_algorithm_that_is_not_allowed_has_no_keys(rsa_key):
    assert not KeySet([rsa_key.public], ("ES256",))


@pytest.mark.parametrize(
    "change",
    [{"use": "enc"}, {"use": ""}, {"use": None}, {"key_ops": ["encrypt"]}, {"key_ops": "verify"}, {"d": "AQAB"},
     {"kty": "EC"}, {"kty": "oct"}, {"kty": None}, {"alg": "HS256"}, {"alg": None}, {"n": "!"}, {"n": 5}, {"n": None},
     {"e": []}, {"n": "AQAB"}],
)  # fmt: skip
def test_an_unfit_key_is_left_out(rsa_key, ec_key, change):
    keys = KeySet([{**rsa_key.public, **change}, ec_key.public], BOTH)
    assert keys.find("r1", "RS256") is None
    assert keys.find("e1", "ES256")


@pytest.mark.parametrize(
    "key", [None, "x", 5, [], {}, {"kty": "RSA"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]
)
def test_what_is_no_key_is_left_out(ec_key, key):
    assert KeySet([key, ec_key.public], BOTH).find("e1", "ES256")


def test_a_secret_is_no_public_key():
    secret = {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "s", "alg": "HS256"}
    assert not KeySet([secret, without(secret, "alg"), {**secret, "alg": "RS256"}], ALGORITHMS)


def test_an_rsa_key_has_2048_bits():
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    from jwt.algorithms import RSAAlgorithm

    short = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    assert not KeySet([{**short, "kid": "s"}], BOTH)


def test_without_an_id_the_only_key_is_meant(rsa_key, ec_key, make_ec_key):
    assert KeySet([rsa_key.public, ec_key.public], BOTH).find(None, "ES256")
    assert KeySet([ec_key.public, make_ec_key("e2").public], BOTH).find(None, "ES256") is None
    assert KeySet([without(ec_key.public, "kid")], BOTH).find(None, "ES256")


def test_an_id_that_is_no_text_is_none(ec_key):
    keys = KeySet([{**ec_key.public, "kid": ["e1"]}], BOTH)
    assert keys.find("e1", "ES256") is None


def test_the_same_keys_in_another_answer_are_the_same(rsa_key, ec_key):
    keys = KeySet([rsa_key.public], BOTH)
    assert keys.same(KeySet([json.loads(json.dumps(rsa_key.public)), {"kty": "unknown"}], BOTH))
    assert not keys.same(KeySet([ec_key.public], BOTH))
    assert not keys.same(KeySet([rsa_key.public, ec_key.public], BOTH))
    assert not keys.same(None)
