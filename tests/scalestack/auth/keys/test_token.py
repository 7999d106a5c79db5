"""What tokens look like, and what is seen of one that is not whole."""

import re
import string

import pytest

from scalestack.auth.keys.token import Malformed, TokenFormat, digest

TOKENS = TokenFormat("tst")
LETTERS = string.digits + string.ascii_letters


@pytest.fixture
def token():
    return TOKENS.make()


def test_a_token_has_a_prefix_an_id_a_secret_and_a_check(token):
    assert re.fullmatch(r"tst_[0-9A-Za-z]{10}_[0-9A-Za-z]{33}", token.text)
    assert token.text.split("_")[1] == token.id


def test_its_secret_has_160_random_bits():
    assert 62**27 > 2**160
    assert len({TOKENS.make().text for _ in range(1000)}) == 1000


def test_it_is_read_back_to_its_id(token):
    assert TOKENS.read(token.text.encode()) == token.id


def test_every_letter_that_is_mistyped_is_found(token):
    for place in range(len(token.text)):
        for letter in LETTERS:
            mistyped = token.text[:place] + letter + token.text[place + 1 :]
            if mistyped != token.text:
                with pytest.raises(Malformed):
                    TOKENS.read(mistyped.encode())


def test_two_letters_that_are_exchanged_are_found(token):
    for place in range(len(token.text) - 1):
        first, second = token.text[place : place + 2]
        if first != second:
            with pytest.raises(Malformed):
                TOKENS.read(f"{token.text[:place]}{second}{first}{token.text[place + 2 :]}".encode())


@pytest.mark.parametrize("change", ["{}x", "x{}", "{}\n", " {}", "{} "])
def test_nothing_may_be_added(token, change):
    with pytest.raises(Malformed):
        TOKENS.read(change.format(token.text).encode())


@pytest.mark.parametrize("text", [b"", b"tst_", b"tst__", b"\xff" * 48, "tst_ä".encode(), b"\0" * 100_000])
def test_what_is_no_token_is_no_token(text):
    with pytest.raises(Malformed):
        TOKENS.read(text)


def test_the_token_of_another_service_is_none(token):
    with pytest.raises(Malformed):
        TokenFormat("other").read(token.text.encode())
    assert not TokenFormat("other").begins(token.text.encode())


def test_neither_an_error_nor_a_repr_shows_it(token):
    secret = token.text.split("_")[2]
    assert secret not in repr(token)
    with pytest.raises(Malformed) as error:
        TOKENS.read(token.text[:-1].encode())
    assert secret[:10] not in repr(error.value)


def test_what_is_kept_of_it_is_a_sha256(token):
    assert token.sha256 == digest(token.text.encode())
    assert digest(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("cut", [14, 15, 20, 48])
def test_the_id_is_found_in_a_token_whole_or_cut_off(token, cut):
    assert TOKENS.id_in(token.text[:cut]) == token.id


def test_an_id_is_one(token):
    assert TOKENS.id_in(token.id) == token.id


@pytest.mark.parametrize("text", ["", "abc", "tst_abc", "tst_abc_def", "0123456789a", "012345678ä", "0123456789\n"])
def test_anything_else_has_none(text):
    assert TOKENS.id_in(text) is None


@pytest.mark.parametrize("prefix", ["", "a_b", "a b", "ä"])
def test_a_prefix_is_letters_and_digits(prefix):
    with pytest.raises(ValueError, match="prefix"):
        TokenFormat(prefix)
