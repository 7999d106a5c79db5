"""Which tokens are good at this very moment, and what becomes of that when the file changes."""

import logging
import threading

import pytest

from scalestack.auth.keys import keyring as under_test
from scalestack.auth.keys.counter import Changing
from scalestack.auth.keys.key import Key
from scalestack.auth.keys.keyring import Keyring, Refused
from scalestack.auth.keys.token import _check_of
from scalestack.private import Unusable

from .conftest import TOKENS


def refused(site, token, says):
    with pytest.raises(Refused, match=says) as error:
        site.check(token)
    assert token[15:] not in str(error.value)


def forged_for(key):
    """A token with the id of a key, and without a typing error."""
    body = TOKENS.start + key.id + TOKENS.make().text[len(TOKENS.start) + len(key.id) : -6]
    return body + _check_of(body.encode())


class TestChecking:
    def test_a_token_is_good_for_its_key(self, open_site):
        key, token = open_site.create()
        other, other_token = open_site.create()
        assert open_site.check(token) == key
        assert open_site.check(other_token) == other

    def test_another_secret_for_its_id_is_not(self, open_site):
        key, _ = open_site.create()
        refused(open_site, forged_for(key), "another secret")

    def test_a_key_that_nobody_has_is_not(self, open_site):
        refused(open_site, TOKENS.make().text, "there is no key")

    def test_a_key_that_is_unknown_is_compared_all_the_same(self, open_site, monkeypatch):
        _, token = open_site.create()
        compared = []
        compare = under_test.hmac.compare_digest
        monkeypatch.setattr(under_test.hmac, "compare_digest", lambda a, b: compared.append(len(b)) or compare(a, b))
        open_site.check(token)
        refused(open_site, TOKENS.make().text, "there is no key")
        assert compared == [32, 32]

    def test_not_even_a_token_with_the_digest_that_it_is_compared_with(self, open_site, monkeypatch):
        token = TOKENS.make()
        monkeypatch.setattr(under_test, "_NOBODY", Key("", token.sha256, "a", ("read",)))
        refused(open_site, token.text, "there is no key")

    def test_what_is_no_token_is_not(self, open_site):
        _, token = open_site.create()
        refused(open_site, token[:-1], "form of a token")
        refused(open_site, token[:-1] + ("0" if token[-1] != "0" else "1"), "typing error")

    def test_it_is_good_until_the_very_moment_at_which_it_expires(self, open_site):
        key, token = open_site.create(lifetime=60)
        open_site.now = key.expires - 1e-6
        assert open_site.check(token) == key
        open_site.now = key.expires
        refused(open_site, token, "is expired")

    def test_whoever_has_the_wrong_secret_is_not_told_that_a_key_is_revoked(self, open_site):
        key, _ = open_site.create()
        open_site.revoke(key)
        refused(open_site, forged_for(key), "another secret")


class TestChanges:
    def test_a_revoked_key_is_refused_at_the_next_look(self, open_site):
        key, token = open_site.create()
        open_site.check(token)
        open_site.revoke(key)
        refused(open_site, token, "is revoked")

    def test_the_version_changes_with_every_change_and_only_then(self, open_site):
        seen = {open_site.keyring.version() for _ in range(5)}
        key, _ = open_site.create()
        seen.add(open_site.keyring.version())
        open_site.revoke(key)
        seen.add(open_site.keyring.version())
        assert len(seen) == 3

    def test_while_nothing_changes_the_file_is_not_read_again(self, open_site, monkeypatch):
        _, token = open_site.create()
        open_site.check(token)
        monkeypatch.setattr(open_site.file, "read", lambda: pytest.fail("it was read"))
        for _ in range(5):
            open_site.check(token)

    def test_a_change_that_never_ended_is_looked_for_in_the_file(self, open_site):
        key, token = open_site.create()
        open_site.check(token)
        counter = Changing(open_site.file.version_path)
        counter.begin()  # and then it is killed, before or after
        before = open_site.keyring.version()
        assert open_site.check(token) == key
        open_site.file.path.rename(open_site.file.path.with_name("gone"))
        assert open_site.keyring.version() != before
        refused(open_site, token, "there is no key")
        counter.close()

    def test_what_ends_it_is_the_next_change(self, open_site):
        key, token = open_site.create()
        counter = Changing(open_site.file.version_path)
        counter.begin()
        counter.close()
        open_site.revoke(key)
        assert type(open_site.keyring.version()) is bytes
        refused(open_site, token, "is revoked")

    def test_many_threads_see_it_at_once(self, open_site):
        key, token = open_site.create()
        ready = threading.Barrier(4)
        done = threading.Event()
        wrong = []

        def look():
            ready.wait()
            while not done.is_set():
                revoked = told.is_set()
                try:
                    open_site.check(token)
                except Refused:
                    continue
                if revoked:
                    wrong.append(token)

        told = threading.Event()
        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        ready.wait()
        open_site.create()
        open_site.revoke(key)
        told.set()
        open_site.create()
        done.set()
        for thread in threads:
            thread.join()
        assert wrong == []


class TestTrouble:
    def test_a_file_that_can_not_be_used_keeps_a_server_from_starting(self, site):
        site.create()
        site.path.chmod(0o644)
        with pytest.raises(Unusable, match="chmod 600"):
            site.keyring.open()

    @pytest.mark.parametrize("break_it", [lambda path: path.chmod(0o644), lambda path: path.write_bytes(b"{")])
    def test_one_that_can_not_be_used_any_more_leaves_no_key_good_and_one_line_in_the_log(
        self, open_site, break_it, caplog
    ):
        _, token = open_site.create()
        other, _ = open_site.create()
        open_site.check(token)
        caplog.clear()
        open_site.revoke(other)
        break_it(open_site.path)
        for _ in range(5):
            refused(open_site, token, "there is no key")
            open_site.uptime += 0.5
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert str(open_site.path) in caplog.text

    def test_once_it_is_mended_keys_are_good_again(self, open_site, caplog):
        caplog.set_level(logging.INFO)
        _, token = open_site.create()
        open_site.path.chmod(0o644)
        refused(open_site, token, "there is no key")
        open_site.path.chmod(0o600)
        refused(open_site, token, "there is no key")
        open_site.uptime += 1.0
        assert open_site.check(token)
        assert "can be read again" in caplog.text

    def test_a_file_that_was_put_there_by_hand_is_read_when_that_is_asked_for(self, open_site):
        _, token = open_site.create()
        open_site.check(token)
        kept = open_site.path.read_bytes()
        open_site.path.write_bytes(kept.replace(b'"revoked": null', b'"revoked": "2026-01-01T00:00:00Z"'))
        open_site.check(token)  # nobody said that it has changed
        open_site.keyring.reopen()
        refused(open_site, token, "is revoked")

    def test_a_version_file_that_was_replaced_is_found_when_that_is_asked_for(self, open_site):
        key, token = open_site.create()
        open_site.file.version_path.unlink()
        open_site.keyring.reopen()
        open_site.revoke(key)
        refused(open_site, token, "is revoked")

    def test_a_file_that_is_found_damaged_then_leaves_no_key_good(self, open_site, caplog):
        _, token = open_site.create()
        open_site.check(token)
        open_site.path.write_bytes(b"")
        open_site.keyring.reopen()
        refused(open_site, token, "there is no key")
        assert "damaged" in caplog.text


class TestWhatIsDoneByHand:
    """By an operator, a backup or a tool: the number says nothing of it, and it is looked at now and then."""

    def test_nothing_is_no_change(self, open_site):
        open_site.create()
        assert not open_site.keyring.look()

    def test_a_change_by_the_command_line_is_none(self, open_site):
        _, token = open_site.create()
        open_site.check(token)
        key, _ = open_site.create()
        open_site.revoke(key)
        assert not open_site.keyring.look()

    def test_a_file_that_others_can_write_to_is_used_no_more(self, open_site):
        _, token = open_site.create()
        open_site.check(token)
        open_site.path.chmod(0o666)
        assert open_site.keyring.look()
        refused(open_site, token, "there is no key")
        assert not open_site.keyring.look(), "it is said once"

    def test_another_file_in_its_place_is_read(self, open_site):
        _, token = open_site.create()
        open_site.check(token)
        kept = open_site.path.read_bytes()
        open_site.path.unlink()
        open_site.path.write_bytes(kept.replace(b'"revoked": null', b'"revoked": "2026-01-01T00:00:00Z"'))
        open_site.path.chmod(0o600)
        assert open_site.keyring.look()
        refused(open_site, token, "is revoked")

    def test_a_number_in_another_file_is_found(self, open_site):
        key, token = open_site.create()
        open_site.check(token)
        number = open_site.file.version_path
        kept = number.read_bytes()
        number.unlink()
        number.write_bytes(kept)
        number.chmod(0o600)
        open_site.revoke(key)  # which servers that know the old one don't see
        assert open_site.keyring.look()
        refused(open_site, token, "is revoked")

    def test_a_number_that_was_cut_off_ends_nothing_and_hides_nothing(self, open_site):
        key, token = open_site.create()
        open_site.check(token)
        open_site.file.version_path.write_bytes(b"")
        open_site.check(token)
        open_site.revoke(key)
        refused(open_site, token, "is revoked")

    def test_a_keyring_that_was_closed_knows_nobody(self, open_site):
        _, token = open_site.create()
        open_site.keyring.close()
        open_site.keyring.close()
        refused(open_site, token, "there is no key")


def test_the_number_is_believed_for_a_moment(site):
    keyring = Keyring(site.file, TOKENS, lambda: site.now, lambda: site.uptime, look=0.5)
    keyring.open()
    site.uptime = 1.0
    before = keyring.version()
    site.create()
    assert keyring.version() == before
    site.uptime = 1.5
    assert keyring.version() != before
