"""How keys are made, revoked and rotated."""

import math

import pytest

from scalestack.auth.keys import issue
from scalestack.auth.keys.issue import NoSuchKey, NotRotated
from scalestack.auth.keys.key import State

from .conftest import TOKENS

DAY = 86_400


@pytest.fixture
def key(site):
    return site.create(actions=("send", "read"), resources=("jobs-*",), lifetime=30 * DAY, comment="shop")[0]


class TestCreate:
    def test_it_keeps_what_was_said_and_a_digest_of_the_token(self, site):
        key, token = site.create("acme", ("send",), resources=("jobs-*",), comment="shop")
        assert site.file.read() == {key.id: key}
        assert (key.account, key.actions, key.resources, key.comment) == ("acme", ("send",), ("jobs-*",), "shop")
        assert key.expires == math.inf
        assert token.encode() not in site.file.path.read_bytes()
        assert token.split("_")[2].encode() not in site.file.path.read_bytes()

    def test_it_is_good_for_all_of_its_lifetime_and_for_less_than_a_second_more(self, site):
        site.now = 1000.25
        key, _ = site.create(lifetime=90.0)
        assert (key.created, key.expires) == (1000.0, 1091.0)

    def test_one_that_ended_a_year_ago_is_forgotten(self, site):
        expired, _ = site.create(lifetime=10)
        revoked, _ = site.create()
        lasting, _ = site.create()
        site.revoke(revoked)
        site.now += 365 * DAY
        newer, _ = site.create()
        assert site.file.read().keys() == {expired.id, revoked.id, lasting.id, newer.id}
        site.now += 11
        last, _ = site.create()
        assert site.file.read().keys() == {lasting.id, newer.id, last.id}


class TestRevoke:
    def test_a_revoked_key_stays_in_the_list_and_says_when(self, site, key):
        found, newly = issue.revoke(site.file, key.id, 1_000_005.9)
        assert newly
        assert site.file.read() == {key.id: found}
        assert found.revoked == 1_000_005.0

    def test_to_revoke_it_again_changes_nothing(self, site, key):
        first, _ = issue.revoke(site.file, key.id, 1_000_005.0)
        again, newly = issue.revoke(site.file, key.id, 2_000_000.0)
        assert (again, newly) == (first, False)

    def test_an_expired_key_can_be_revoked(self, site, key):
        found, newly = issue.revoke(site.file, key.id, key.expires + 5)
        assert newly
        assert found.state(0.0) is State.REVOKED

    def test_of_an_id_that_nobody_has_near_ones_are_named(self, site, key):
        with pytest.raises(NoSuchKey, match=f"there is no key '{key.id[:-1]}-'; did you mean {key.id}\\?"):
            issue.revoke(site.file, f"{key.id[:-1]}-", site.now)
        with pytest.raises(NoSuchKey, match=r"there is no key '----------'$"):
            issue.revoke(site.file, "----------", site.now)


class TestRotate:
    def rotate(self, site, key, overlap=DAY):
        return issue.rotate(site.file, TOKENS, key.id, overlap, site.now)

    def test_the_new_key_has_the_rights_of_the_old_one_and_another_secret(self, site, key):
        new, token, _ = self.rotate(site, key)
        assert (new.account, new.actions, new.resources, new.comment) == ("a", ("send", "read"), ("jobs-*",), "shop")
        assert new.id == token.id != key.id
        assert new.sha256 == token.sha256 != key.sha256
        assert new.rotated_from == key.id

    def test_it_is_good_for_as_long_as_the_old_one_was_made_for(self, site, key):
        site.now += 29 * DAY
        new, _, _ = self.rotate(site, key)
        assert new.expires == site.now + 30 * DAY

    def test_one_that_never_expires_is_followed_by_one_that_never_does(self, site):
        key, _ = site.create()
        new, _, old = self.rotate(site, key)
        assert new.expires == math.inf
        assert old.expires == site.now + DAY

    def test_the_old_one_is_good_until_the_overlap_ends(self, site, key):
        _, _, old = self.rotate(site, key, 60)
        assert site.file.read()[key.id] == old
        assert old.state(site.now + 59.999) is State.VALID
        assert old.state(site.now + 60) is State.EXPIRED

    def test_the_overlap_makes_no_key_last_longer(self, site, key):
        _, _, old = self.rotate(site, key, 90 * DAY)
        assert old.expires == key.expires

    def test_without_an_overlap_it_ends_at_once(self, site, key):
        _, _, old = self.rotate(site, key, 0)
        assert old.state(site.now) is State.EXPIRED

    def test_a_key_is_rotated_once(self, site, key):
        new, _, _ = self.rotate(site, key)
        with pytest.raises(NotRotated, match=f"was rotated before, to '{new.id}'; rotate that one"):
            self.rotate(site, key)
        self.rotate(site, new)

    def test_a_key_that_is_no_good_is_not_rotated(self, site, key):
        site.revoke(key)
        with pytest.raises(NotRotated, match="is revoked; create another"):
            self.rotate(site, key)
        other, _ = site.create(lifetime=5)
        site.now += 5
        with pytest.raises(NotRotated, match="is expired; create another"):
            self.rotate(site, other)

    def test_one_that_nobody_has_is_not_rotated(self, site):
        with pytest.raises(NoSuchKey):
            issue.rotate(site.file, TOKENS, "0123456789", DAY, site.now)
