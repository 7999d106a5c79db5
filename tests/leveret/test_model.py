"""Receipts, markers and policies, as values."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.model import (
    NEVER,
    NO_POLICY,
    Draft,
    Message,
    Policy,
    QueueState,
    holds,
    marker_of,
    place_of,
    timestamp,
)

NOW = 1_700_000_000.5


def message(sequence: int = 7, created: float = NOW, visible_at: float = NOW + 60, deliveries: int = 1) -> Message:
    return Message("m", b"", sequence, created, NEVER, visible_at, deliveries, None)


def is_held(found: Message, receipt: str, now: float = NOW) -> bool:
    return holds(receipt, found.sequence, found.created, found.deliveries, found.visible_at, now)


class TestReceipts:
    def test_a_receipt_holds_its_message_as_long_as_it_is_hidden(self) -> None:
        found = message()
        assert is_held(found, found.receipt)
        assert is_held(found, found.receipt, NOW + 59.75)
        assert not is_held(found, found.receipt, NOW + 60)

    def test_a_receipt_is_good_after_an_extension(self) -> None:
        before, after = message(), message(visible_at=NOW + 90)
        assert before.receipt != after.receipt
        assert is_held(after, before.receipt)

    @pytest.mark.parametrize(
        "other",
        [
            message(sequence=8),
            message(created=math.nextafter(NOW, NEVER)),
            message(deliveries=2),
            message(visible_at=0.0),
        ],
        ids=["another place", "replaced", "claimed again", "released"],
    )
    def test_a_receipt_holds_nothing_else(self, other: Message) -> None:
        assert not is_held(other, message().receipt)

    @pytest.mark.parametrize("text", ["", ".", "..", "...", "x", "7.1.1", "é", "\0", "7" * 10_000])
    def test_what_nobody_gave_holds_nothing(self, text: str) -> None:
        assert not is_held(message(), text)

    def test_a_receipt_is_text_that_needs_no_quoting(self) -> None:
        assert set(message(2**60, 4e9, 8e9, 2**31).receipt) <= set("0123456789abcdef.")

    def test_every_hide_of_a_day_has_a_receipt_of_its_own(self) -> None:
        # A float of this size counts in fourths of a microsecond.
        step = math.ulp(NOW)
        receipts = {message(visible_at=NOW + number * step).receipt for number in range(1, 1000)}
        assert len(receipts) == 999


class TestMarkers:
    @pytest.mark.parametrize("place", [0, 1, 255, 1_700_000_000_000_000, 2**48, 2**60 - 1])
    def test_there_and_back(self, place: int) -> None:
        assert place_of(marker_of(place)) == place

    def test_they_sort_as_places_do(self) -> None:
        places = [0, 1, 15, 16, 2**40, 2**47]
        assert sorted(map(marker_of, places)) == [marker_of(place) for place in places]

    @pytest.mark.parametrize(
        "text",
        ["", "g", "-1", "+1", " 1", "1 ", "1_0", "0x1f", "0X1", "1.0", "\u0663", "\uff11", "f" * 16, "1" * 5000, "\0"],
    )
    def test_what_is_none(self, text: str) -> None:
        assert place_of(text) is None


class TestPolicies:
    def test_nothing_set_is_no_policy(self) -> None:
        assert not Policy()
        assert Policy() == NO_POLICY
        assert Policy().members() == {}

    def test_a_zero_is_something(self) -> None:
        assert Policy(default_ttl=0)
        assert Policy(default_ttl=0).members() == {"default_ttl": 0}

    def test_a_change_sets_removes_and_leaves(self) -> None:
        before = Policy(default_ttl=5, default_hide=6, dead_letter="d")
        after = before.changed({"default_ttl": None, "default_hide": 7, "max_bytes": 8})
        assert after == Policy(default_hide=7, dead_letter="d", max_bytes=8)
        assert before.default_ttl == 5

    def test_removing_the_last_member_is_no_policy(self) -> None:
        assert not Policy(max_messages=1).changed({"max_messages": None})

    def test_limits_make_it_limited(self) -> None:
        assert Policy(max_messages=1).limited
        assert Policy(max_bytes=1).limited
        assert not Policy(default_ttl=1, max_deliveries=1, dead_letter="d").limited

    @pytest.mark.parametrize(("ttl_given", "hide_given"), [(True, True), (True, False), (False, True), (False, False)])
    def test_defaults_are_for_what_was_not_given(self, ttl_given: bool, hide_given: bool) -> None:
        draft = Draft("m", b"x", 600, 0, None, ttl_given, hide_given, only_new=True)
        settled = Policy(default_ttl=5, default_hide=6).settle(draft)
        assert (settled.ttl, settled.hide) == (600 if ttl_given else 5, 0 if hide_given else 6)
        assert (settled.id, settled.body, settled.only_new) == ("m", b"x", True)

    def test_what_has_no_default_stays(self) -> None:
        draft = Draft("m", b"", 600, 3, None, ttl_given=False, hide_given=False)
        settled = Policy(max_messages=5).settle(draft)
        assert (settled.ttl, settled.hide) == (600, 3)

    def test_to_settle_twice_is_to_settle_once(self) -> None:
        draft = Draft("m", b"", 600, 0, None, ttl_given=False, hide_given=False)
        once = Policy(default_ttl=5).settle(draft)
        assert Policy(default_ttl=9).settle(once) == once


def test_visible_is_what_is_not_hidden() -> None:
    assert QueueState("q", 5, 2, 0, None, NO_POLICY, 0).visible == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250000Z"),
        (4_102_444_799.999999, "2099-12-31T23:59:59.999999Z"),
    ],
)
def test_timestamps_are_of_rfc_3339_in_utc(seconds: float, text: str) -> None:
    assert timestamp(seconds) == text


@given(st.lists(st.floats(-1e9, 4e9) | st.integers(0, 3).map(lambda micros: 1e9 + 1 - micros / 2e6), max_size=4))
def test_timestamps_are_rounded_as_the_standard_library_rounds(times: list[float]) -> None:
    for seconds in times:
        assert timestamp(seconds) == datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
