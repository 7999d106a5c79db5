"""Keys as values, and the content of their file."""

import json
import math

import pytest

from scalestack.auth.keys.key import Damaged, Key, State, parse_keys, render_keys

FULL = Key(
    "0123456789",
    bytes(range(32)),
    "acmé",
    ("send", "read"),
    ("jobs-*", "x"),
    created=5.0,
    expires=1e9,
    revoked=77.0,
    comment='the "shop"',
    rotated_from="9876543210",
)
PLAIN = Key("abcdefghij", bytes(32), None, ("admin",))


def changed(**members):
    """The content of a file with one key, other than it was written."""
    document = json.loads(render_keys([PLAIN]))
    document["keys"][0].update(members)
    return json.dumps(document).encode()


def test_keys_are_read_as_they_were_written():
    assert parse_keys(render_keys([FULL, PLAIN])) == {FULL.id: FULL, PLAIN.id: PLAIN}


def test_times_in_the_file_are_of_rfc_3339():
    entry = json.loads(render_keys([FULL]))["keys"][0]
    assert entry["expires"] == "2001-09-09T01:46:40Z"
    assert json.loads(render_keys([PLAIN]))["keys"][0]["expires"] is None


def test_a_key_is_expired_from_the_very_second_on():
    key = Key("0123456789", bytes(32), "a", (), expires=100.0)
    assert key.state(99.999999) is State.VALID
    assert key.state(100.0) is State.EXPIRED


def test_a_key_that_was_revoked_is_nothing_else():
    key = Key("0123456789", bytes(32), "a", (), expires=100.0, revoked=50.0)
    assert {key.state(now) for now in (0.0, 50.0, 100.0)} == {State.REVOKED}


def test_who_shows_it_has_its_rights():
    principal = FULL.principal()
    assert principal.name == "key 0123456789"
    assert (principal.account, principal.expires) == ("acmé", 1e9)
    assert principal.allows("send", "acmé", "jobs-1")
    assert not principal.allows("send", "acmé", "jobs")
    assert not principal.allows("receive", "acmé", "jobs-1")


def test_its_digest_is_not_shown():
    assert "sha256" not in repr(FULL)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no JSON, see line 1"),
        (b"{", "no JSON"),
        (b'"\xff"', "no JSON, see its encoding"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no format number"),
        (b'{"format": "1"}', "no format number"),
        (b'{"format": 2, "keys": []}', "format 2, which a newer version"),
        (b'{"format": 1}', "no list of keys"),
        (b'{"format": 1, "keys": [1]}', "key number 1"),
        (changed(id=1), "key number 1"),
        (changed(sha256="00"), "key number 1"),
        (changed(sha256="zz" * 32), "key number 1"),
        (changed(account=7), "key number 1"),
        (changed(actions="admin"), "key number 1"),
        (changed(actions=[1]), "key number 1"),
        (changed(resources=None), "key number 1"),
        (changed(expires="soon"), "key number 1"),
        (changed(expires=5), "key number 1"),
        (changed(expires="2026-01-01T00:00:00"), "key number 1"),
        (changed(expires="9999-12-31T23:59:59-23:59"), "key number 1"),
        (changed(revoked=False), "key number 1"),
        (changed(more=1), "key number 1"),
        (render_keys([PLAIN, PLAIN]), "key 'abcdefghij' stands in it twice"),
    ],
)
def test_what_is_anything_else_is_damaged(data, says):
    with pytest.raises(Damaged, match=says) as error:
        parse_keys(data)
    assert "\n" not in str(error.value)


def test_a_file_cut_anywhere_is_damaged():
    data = render_keys([FULL, PLAIN]).rstrip()
    for length in range(len(data)):
        with pytest.raises(Damaged):
            parse_keys(data[:length])


def test_never_is_for_ever():
    assert PLAIN.expires == math.inf
    assert PLAIN.state(1e18) is State.VALID
