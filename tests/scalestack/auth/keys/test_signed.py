"""Signed URLs: what is good, and every other way to write one, which is not."""

import base64
import hashlib
import hmac
import itertools
import re

import pytest

from scalestack.auth.keys import signed
from scalestack.auth.keys.keyring import Refused

PATH = "/v1.1/a/jobs/caf%C3%A9%20%25"


class Signing:
    def __init__(self, site):
        self.site = site
        self.key, self.token = site.create()
        self.end = int(site.now) + 600

    def sign(self, method="PUT", path=PATH, query="ttl=60", end=None):
        return signed.sign(self.key, method, path, query, end or self.end)

    def check(self, url, method="PUT"):
        path, _, query = url.partition("?")
        assert signed.is_signed(query.encode())
        return signed.check(self.site.keyring, method.encode(), path.encode(), query.encode())

    def refuses(self, url, method="PUT", says=None):
        with pytest.raises(Refused, match=says) as error:
            self.check(url, method)
        assert re.search(r"[\w-]{43}", str(error.value)) is None


@pytest.fixture
def signing(open_site):
    return Signing(open_site)


class TestGood:
    @pytest.mark.parametrize("query", ["", "ttl=60", "ttl=60&hide=5", "id=a&id=b", "a=%26%3D&b=+"])
    def test_what_was_signed_is_good(self, signing, query):
        found = signing.check(signing.sign(query=query))
        assert found.key == signing.key
        assert found.expires == signing.end

    def test_the_end_of_the_url_is_key_expires_and_signature(self, signing):
        url = signing.sign()
        assert url.startswith(f"{PATH}?ttl=60&key={signing.key.id}&expires={signing.end}&signature=")

    def test_the_signature_is_what_it_is_said_to_be(self, signing):
        """As somebody else would make it, who has the token, and knows the documentation."""
        secret = hmac.digest(hashlib.sha256(signing.token.encode()).digest(), b"signed-url-v1", "sha256")
        url = signing.sign()
        covered = url.partition("?")[2].partition("&signature=")[0]
        text = f"signed-url-v1\nPUT\n{PATH}\n{covered}"
        expected = base64.urlsafe_b64encode(hmac.digest(secret, text.encode(), "sha256")).rstrip(b"=").decode()
        assert url == f"{PATH}?{covered}&signature={expected}"

    def test_one_for_get_is_good_for_head_and_no_other_is(self, signing):
        assert signing.check(signing.sign("GET"), "HEAD")
        signing.refuses(signing.sign("PUT"), "HEAD")
        assert signing.check(signing.sign("HEAD"), "GET")

    def test_what_is_left_of_the_query_are_the_fixed_parameters(self, signing):
        query = signing.sign(query="ttl=60&hide=5").partition("?")[2].encode()
        assert signed.without_signature(query) == b"ttl=60&hide=5"
        assert signed.without_signature(signing.sign(query="").partition("?")[2].encode()) == b""


class TestChanged:
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH", "put"])
    def test_it_is_for_one_method(self, signing, method):
        signing.refuses(signing.sign(), method, "not signed by key")

    @pytest.mark.parametrize(
        "path", ["/v1.1/a/jobs", PATH + "1", PATH.replace("%C3", "%c3"), PATH.replace("jobs", "%6Aobs"), "/" + PATH]
    )
    def test_it_is_for_one_path_as_it_is_sent(self, signing, path):
        signing.refuses(signing.sign().replace(PATH, path), says="not signed by key")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("ttl=60", "ttl=61"),
            ("ttl=60", "ttl=6%30"),
            ("ttl=60", "TTL=60"),
            ("ttl=60&", ""),
            ("ttl=60&", "&ttl=60&"),
            ("ttl=60&", "ttl=60&hide=1&"),
            ("?", "?hide=1&"),
        ],
    )
    def test_its_parameters_are_fixed(self, signing, old, new):
        signing.refuses(signing.sign().replace(old, new), says="not signed by key")

    def test_nothing_comes_after_the_signature(self, signing):
        for more in ("&", "&hide=1", "=", "x", "%3D", "\n"):
            signing.refuses(signing.sign() + more)

    def test_its_end_is_fixed(self, signing):
        signing.refuses(signing.sign().replace(str(signing.end), str(signing.end + 1)), says="not signed by key")

    @pytest.mark.parametrize("number", ["0{}", "+{}", "-{}", "{}.0", " {}", "{} ", "1e9", "", "9" * 13, "\u0661"])
    def test_its_end_is_a_plain_number(self, signing, number):
        signing.refuses(signing.sign().replace(str(signing.end), number.format(signing.end)), says="once each")

    def test_every_letter_of_the_signature_counts(self, signing):
        url = signing.sign()
        for place in range(1, 44):
            for letter in "AQgw_":
                changed = url[: len(url) - place] + letter + url[len(url) - place + 1 :]
                if changed != url:
                    signing.refuses(changed)

    def test_another_key_can_not_be_named(self, signing):
        other, _ = signing.site.create()
        signing.refuses(signing.sign().replace(signing.key.id, other.id), says="not signed by key")

    def test_a_key_that_nobody_has_can_not_be_named(self, signing):
        signing.refuses(signing.sign().replace(signing.key.id, "0123456789"), says="not signed by key")

    def test_lines_can_not_be_moved_between_method_path_and_query(self, signing):
        url = signing.sign("GET", "/a", "b=1")
        query = url.partition("?")[2].encode()
        with pytest.raises(Refused):
            signed.check(signing.site.keyring, b"GET\n/a", b"b=1", query)


class TestOrder:
    def test_the_three_come_in_one_order_only(self, signing):
        path, _, query = signing.sign().partition("?")
        parts = query.split("&")
        for order in itertools.permutations(parts):
            if list(order) != parts:
                signing.refuses(f"{path}?{'&'.join(order)}")

    def test_none_of_them_may_be_left_out(self, signing):
        path, _, query = signing.sign().partition("?")
        parts = query.split("&")
        for left_out in (1, 2):
            signing.refuses(f"{path}?{'&'.join(parts[:left_out] + parts[left_out + 1 :])}", says="once each")

    @pytest.mark.parametrize("name", ["key", "expires", "signature"])
    @pytest.mark.parametrize("spell", [str, str.upper, str.title, lambda name: f"%{ord(name[0]):02x}{name[1:]}"])
    def test_none_of_them_may_be_there_twice_however_it_is_spelled(self, signing, name, spell):
        path, _, query = signing.sign().partition("?")
        parts = query.split("&")
        value = next(part for part in parts if part.startswith(f"{name}=")).partition("=")[2]
        again = f"{spell(name)}={value}"
        for place in range(5):
            signing.refuses(f"{path}?{'&'.join([*parts[:place], again, *parts[place:]])}")

    @pytest.mark.parametrize("again", ["key=1", "Expires=2", "%73ignature=3", "signature", "+key=1", "key%20=1"])
    def test_not_even_where_that_was_signed(self, signing, again):
        signing.refuses(signing.sign(query=again), says="twice")

    @pytest.mark.parametrize("name", ["key", "expires", "signature"])
    def test_their_names_are_spelled_in_one_way_only(self, signing, name):
        for spelled in (name.upper(), name.title(), f"%{ord(name[0]):02x}{name[1:]}", f"+{name}"):
            signing.refuses(signing.sign().replace(f"{name}=", f"{spelled}="))

    @pytest.mark.parametrize(
        "query", [b"", b"ttl=60", b"key=1&expires=2", b"signatures=1", b"a=signature", b"a=%26signature=1"[:17], b"="]
    )
    def test_a_query_without_a_signature_is_none(self, query):
        assert not signed.is_signed(query)

    @pytest.mark.parametrize("query", [b"signature=", b"Signature=1", b"a=1&%53ignature=1&b=2", b"signature&a=1"])
    def test_whatever_can_be_meant_as_a_signature_is_taken_for_one(self, query):
        assert signed.is_signed(query)


class TestEnd:
    def test_it_is_good_until_the_very_moment_at_which_it_expires(self, signing):
        url = signing.sign()
        signing.site.now = signing.end - 1e-6
        assert signing.check(url)
        signing.site.now = float(signing.end)
        signing.refuses(url, says="has expired")

    def test_one_for_longer_than_a_week_is_not(self, signing):
        week = int(signing.site.now) + 7 * 86_400
        assert signing.check(signing.sign(end=week + 60))  # by a clock that is ahead
        signing.refuses(signing.sign(end=week + 61), says="too long")

    def test_it_ends_with_its_key(self, signing):
        site = signing.site
        signing.key, _ = site.create(lifetime=100)
        url = signing.sign()
        assert signing.check(url).expires == signing.key.expires
        site.now = signing.key.expires
        signing.refuses(url, says="is expired")

    def test_to_revoke_the_key_ends_it_at_once(self, signing):
        url = signing.sign()
        assert signing.check(url)
        signing.site.revoke(signing.key)
        signing.refuses(url, says="is revoked")
