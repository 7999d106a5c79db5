"""What becomes of a message that was delivered too often: id, expiry, and headers that say why."""

from __future__ import annotations

from leveret.model import NEVER, NO_POLICY, Message, Meta, Policy, timestamp
from leveret.store.dead import dead_letter

NOW = 1_700_000_000.25


def letter(id: str = "m", expires: float = NOW + 50, meta: Meta | None = None) -> Message:
    return Message(id, b"body", 0x123, NOW - 100, expires, 0.0, 4, meta)


def test_the_headers_say_where_it_came_from_and_why() -> None:
    id, expires, meta = dead_letter(letter(), "jobs", NO_POLICY, lambda _: False, NOW)
    assert (id, expires) == ("m", NOW + 50)
    assert meta == Meta(
        None,
        {
            "dead-letter-queue": "jobs",
            "dead-letter-reason": "max-deliveries",
            "dead-letter-deliveries": "4",
            "dead-letter-time": timestamp(NOW),
        },
    )


def test_what_the_message_carries_is_kept_and_not_changed() -> None:
    own = Meta("a/b", {"Trace": "1"}, "key", "group")
    _, _, meta = dead_letter(letter(meta=own), "jobs", NO_POLICY, lambda _: False, NOW)
    assert (meta.content_type, meta.dedup_key, meta.group) == ("a/b", "key", "group")
    assert meta.headers is not None
    assert meta.headers["Trace"] == "1"
    assert own == Meta("a/b", {"Trace": "1"}, "key", "group")


def test_a_second_death_says_of_the_second() -> None:
    _, _, first = dead_letter(letter(), "jobs", NO_POLICY, lambda _: False, NOW - 9)
    _, _, second = dead_letter(letter(meta=first), "dead", NO_POLICY, lambda _: False, NOW)
    assert second.headers is not None
    assert second.headers["dead-letter-queue"] == "dead"
    assert second.headers["dead-letter-time"] == timestamp(NOW)


def test_it_never_expires_where_it_never_did() -> None:
    assert dead_letter(letter(expires=NEVER), "q", NO_POLICY, lambda _: False, NOW)[1] == NEVER


def test_the_default_ttl_of_its_new_queue_is_stronger() -> None:
    assert dead_letter(letter(), "q", Policy(default_ttl=9), lambda _: False, NOW)[1] == NOW + 9
    assert dead_letter(letter(), "q", Policy(default_ttl=0), lambda _: False, NOW)[1] == NEVER


def test_an_id_that_is_taken_is_changed_and_told() -> None:
    id, _, meta = dead_letter(letter(), "q", NO_POLICY, {"m"}.__contains__, NOW)
    assert id.startswith("m.")
    assert meta.headers is not None
    assert meta.headers["dead-letter-id"] == "m"


def test_an_id_that_is_taken_as_changed_is_changed_again() -> None:
    taken = {"m", dead_letter(letter(), "q", NO_POLICY, {"m"}.__contains__, NOW)[0]}
    id, _, meta = dead_letter(letter(), "q", NO_POLICY, taken.__contains__, NOW)
    assert id not in taken
    assert meta.headers is not None
    assert meta.headers["dead-letter-id"] == "m"


def test_an_id_never_gets_too_long() -> None:
    for name in ("a" * 255, "é" * 127, "😀" * 63):
        id, _, meta = dead_letter(letter(name), "q", NO_POLICY, {name}.__contains__, NOW)
        assert len(id.encode()) <= 255
        assert meta.headers is not None
        assert meta.headers["dead-letter-id"] == name
