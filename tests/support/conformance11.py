"""The contract of REST v1.1 as tests, one behaviour each. For every store, directly and through HTTP."""

from __future__ import annotations

from typing import Any, cast

import pytest

from leveret.model import HELD, Change, Draft, Filters, Page, Policy, Put, Want, Wanted, timestamp
from leveret.store.base import QueueFull, Store
from support.interface_conformance import CLAIM, NOW, Heard, OpenedStore
from support.subject import Settle
from support.subject11 import New, Outcome, Seen, State, Subject11

LONGEST = 2**31 - 1
DEAD = {"dead-letter-queue", "dead-letter-reason", "dead-letter-deliveries", "dead-letter-time"}


def ids(messages: list[Seen]) -> list[str]:
    return [message.id for message in messages]


def fill(subject: Subject11, *names: str, queue: str = "q", account: str = "a", **given: Any) -> None:
    for name in names:
        subject.put(account, queue, name, **given)


def seen(subject: Subject11, id: str = "m", queue: str = "q") -> Seen:
    """A message that is there."""
    found = subject.get("a", queue, id)
    assert found is not None
    return found


def claimed(subject: Subject11, queue: str = "q", **given: Any) -> Seen:
    """The one message that a claim gets."""
    (found,) = subject.claim("a", queue, **given)
    return found


def receipt_of(found: Seen | str | None) -> str:
    assert isinstance(found, Seen), found
    assert found.receipt
    return found.receipt


def held(subject: Subject11, hide: int = 60, id: str = "m") -> str:
    """Put a message and claim it: the receipt."""
    subject.put("a", "q", id)
    return receipt_of(claimed(subject, hide=hide))


def wear_out(subject: Subject11, *names: str, deliveries: int = 1, queue: str = "q", **given: Any) -> None:
    """Put messages and have them claimed so often; then they are visible again, and no time has passed."""
    fill(subject, *names, queue=queue, **given)
    for _ in range(deliveries):
        for name in names:
            receipt = receipt_of(subject.change("a", queue, name, hide=1))
            subject.change("a", queue, name, hide=0, receipt=receipt)


def everything(subject: Subject11, queue: str = "q") -> list[str]:
    return ids(subject.list("a", queue, match_hidden=True))


class V11Conformance:
    """Subclasses have a fixture `subject`: an empty `Subject11`."""

    # What messages carry

    def test_a_new_message(self, subject: Subject11) -> None:
        assert subject.put("a", "q", "m", b"x") == "created"
        found = seen(subject)
        assert found == Seen("m", 600, 0, b"x", subject.now, 0, found.marker, None, {}, None)

    def test_content_type_and_headers_are_kept(self, subject: Subject11) -> None:
        subject.put("a", "q", "m", content_type="text/plain; charset=utf-8", headers={"Trace": "1", "x": "ä, ö"})
        for found in (seen(subject), *subject.list("a", "q"), *subject.claim("a", "q")):
            assert found.content_type == "text/plain; charset=utf-8"
            assert found.headers == {"Trace": "1", "x": "ä, ö"}

    def test_a_content_type_alone_and_headers_alone(self, subject: Subject11) -> None:
        subject.put("a", "q", "1", content_type="a/b")
        subject.put("a", "q", "2", headers={"A": "b"})
        assert [(m.content_type, m.headers) for m in subject.list("a", "q")] == [("a/b", {}), (None, {"A": "b"})]

    def test_a_replacement_has_nothing_of_what_was_there(self, subject: Subject11) -> None:
        subject.put("a", "q", "m", b"old", content_type="a/b", headers={"A": "b"})
        subject.change("a", "q", "m", hide=5)
        before = seen(subject)
        subject.advance(10)
        assert subject.put("a", "q", "m", b"new") == "replaced"
        assert seen(subject) == Seen("m", 600, 0, b"new", subject.now, 0, before.marker)

    def test_created_is_when_it_was_put_and_stays(self, subject: Subject11) -> None:
        fill(subject, "m")
        created = subject.now
        subject.advance(10.25)
        subject.claim("a", "q", hide=1)
        subject.change("a", "q", "m", ttl=50)
        assert seen(subject).created == created

    # Deliveries and leases

    def test_each_claim_is_a_delivery(self, subject: Subject11) -> None:
        fill(subject, "m")
        counts = []
        for _ in range(3):
            counts.append(claimed(subject, hide=5).deliveries)
            subject.advance(5)
        assert counts == [1, 2, 3]
        assert seen(subject).deliveries == 3

    def test_a_hide_by_id_without_receipt_is_a_delivery_and_a_lease(self, subject: Subject11) -> None:
        fill(subject, "m")
        found = subject.change("a", "q", "m", hide=60)
        assert cast("Seen", found).deliveries == 1
        assert cast("Seen", subject.delete("a", "q", "m", receipt_of(found))).id == "m"

    def test_a_hidden_put_is_no_delivery(self, subject: Subject11) -> None:
        subject.put("a", "q", "m", hide=60)
        assert seen(subject).deliveries == 0

    def test_what_does_not_hide_is_no_delivery_and_gives_no_receipt(self, subject: Subject11) -> None:
        fill(subject, "m")
        for found in (
            subject.change("a", "q", "m", ttl=50),
            subject.change("a", "q", "m", hide=0),
            *subject.claim("a", "q", hide=0),
            *subject.list("a", "q"),
            subject.get("a", "q", "m"),
            *subject.pop("a", "q"),
        ):
            assert isinstance(found, Seen)
            assert (found.deliveries, found.receipt) == (0, None)

    def test_receipts_are_shown_to_who_hides_alone(self, subject: Subject11) -> None:
        held(subject)
        assert seen(subject).receipt is None
        assert [m.receipt for m in subject.list("a", "q", match_hidden=True)] == [None]
        assert [outcome.message and outcome.message.receipt for outcome in subject.get_many("a", "q", ["m"])] == [None]

    def test_every_message_of_a_claim_has_a_receipt_of_its_own(self, subject: Subject11) -> None:
        fill(subject, "1", "2", "3")
        receipts = {receipt_of(found) for found in subject.claim("a", "q", limit=3)}
        assert len(receipts) == 3

    def test_every_claim_gives_another_receipt(self, subject: Subject11) -> None:
        fill(subject, "m")
        receipts = set()
        for _ in range(4):
            receipts.add(receipt_of(claimed(subject, hide=5)))
            subject.advance(5)
        assert len(receipts) == 4

    def test_claims_at_one_instant_give_different_receipts(self, subject: Subject11) -> None:
        fill(subject, "m")
        first = receipt_of(claimed(subject))
        second = receipt_of(claimed(subject, match_hidden=True))
        third = receipt_of(subject.change("a", "q", "m", hide=60))
        assert len({first, second, third}) == 3
        assert [subject.change("a", "q", "m", receipt=each) == "held" for each in (first, second, third)] == [
            True,
            True,
            False,
        ]

    def test_delete_with_its_receipt(self, subject: Subject11) -> None:
        receipt = held(subject)
        subject.advance(59.75)
        assert cast("Seen", subject.delete("a", "q", "m", receipt)).id == "m"
        assert subject.delete("a", "q", "m", receipt) is None

    @pytest.mark.parametrize("foreign", ["", "x", "0.0.0.0", "ä", "'; --", "1" * 500])
    def test_what_is_no_receipt_holds_nothing(self, subject: Subject11, foreign: str) -> None:
        held(subject)
        before = seen(subject)
        assert subject.delete("a", "q", "m", foreign) == "held"
        assert subject.change("a", "q", "m", ttl=5, hide=5, receipt=foreign) == "held"
        assert seen(subject) == before

    def test_the_receipt_of_another_message_holds_nothing(self, subject: Subject11) -> None:
        fill(subject, "1", "2")
        first, second = (receipt_of(found) for found in subject.claim("a", "q", limit=2))
        assert subject.delete("a", "q", "1", second) == "held"
        assert subject.change("a", "q", "2", hide=5, receipt=first) == "held"
        assert cast("Seen", subject.delete("a", "q", "1", first)).id == "1"

    def test_without_receipt_the_message_is_meant_whoever_holds_it(self, subject: Subject11) -> None:
        held(subject)
        assert cast("Seen", subject.delete("a", "q", "m")).id == "m"

    def test_a_lease_ends_at_the_instant_at_which_the_message_is_visible(self, subject: Subject11) -> None:
        receipt = held(subject, hide=60)
        subject.advance(60)
        before = seen(subject)
        assert subject.delete("a", "q", "m", receipt) == "held"
        assert subject.change("a", "q", "m", hide=60, receipt=receipt) == "held"
        assert seen(subject) == before

    def test_a_lease_that_ran_out_stays_ended_for_the_next_holder(self, subject: Subject11) -> None:
        old = held(subject, hide=5)
        subject.advance(5)
        new = receipt_of(claimed(subject))
        assert subject.delete("a", "q", "m", old) == "held"
        assert subject.change("a", "q", "m", hide=0, receipt=old) == "held"
        assert seen(subject).hide == 60
        assert cast("Seen", subject.delete("a", "q", "m", new)).id == "m"

    def test_a_release_ends_the_lease(self, subject: Subject11) -> None:
        receipt = held(subject)
        released = subject.change("a", "q", "m", hide=0, receipt=receipt)
        assert cast("Seen", released)[2:6:3] == (0, 1)  # it is visible, and was delivered once
        assert subject.delete("a", "q", "m", receipt) == "held"
        assert ids(subject.list("a", "q")) == ["m"]

    def test_a_release_by_anybody_ends_the_lease(self, subject: Subject11) -> None:
        receipt = held(subject)
        subject.change("a", "q", "m", hide=0)
        assert subject.delete("a", "q", "m", receipt) == "held"

    def test_a_hide_by_anybody_ends_the_lease(self, subject: Subject11) -> None:
        receipt = held(subject)
        subject.change("a", "q", "m", hide=60)
        assert subject.delete("a", "q", "m", receipt) == "held"

    def test_a_claim_of_hidden_messages_ends_the_lease(self, subject: Subject11) -> None:
        receipt = held(subject)
        subject.claim("a", "q", match_hidden=True)
        assert subject.delete("a", "q", "m", receipt) == "held"

    @pytest.mark.parametrize("hide", [0, 60])
    def test_a_replacement_ends_the_lease_in_the_same_instant_too(self, subject: Subject11, hide: int) -> None:
        receipt = held(subject, hide=60)
        assert subject.put("a", "q", "m", b"new", hide=hide) == "replaced"
        assert subject.delete("a", "q", "m", receipt) == "held"
        assert subject.change("a", "q", "m", hide=9, receipt=receipt) == "held"
        assert seen(subject).body == b"new"

    def test_a_replacement_that_is_claimed_again_has_another_receipt(self, subject: Subject11) -> None:
        old = held(subject)
        subject.put("a", "q", "m", b"new")
        new = receipt_of(claimed(subject))
        assert new != old
        assert subject.delete("a", "q", "m", old) == "held"
        assert cast("Seen", subject.delete("a", "q", "m", new)).body == b"new"

    def test_one_that_is_gone_and_put_again_is_not_held_by_the_old_receipt(self, subject: Subject11) -> None:
        old = held(subject)
        subject.delete("a", "q", "m")
        assert subject.change("a", "q", "m", hide=5, receipt=old) is None
        subject.put("a", "q", "m", hide=60)
        assert subject.delete("a", "q", "m", old) == "held"

    def test_one_that_expired_under_its_lease_is_gone(self, subject: Subject11) -> None:
        subject.put("a", "q", "m", ttl=10)
        receipt = receipt_of(claimed(subject))
        subject.advance(10)
        assert subject.delete("a", "q", "m", receipt) is None
        assert subject.change("a", "q", "m", hide=60, receipt=receipt) is None

    def test_an_extension_is_no_delivery_and_begins_now(self, subject: Subject11) -> None:
        receipt = held(subject, hide=60)
        subject.advance(30)
        extended = cast("Seen", subject.change("a", "q", "m", hide=60, receipt=receipt))
        assert (extended.hide, extended.deliveries) == (60, 1)
        subject.advance(59.75)
        assert subject.list("a", "q") == []
        subject.advance(0.25)
        assert ids(subject.list("a", "q")) == ["m"]

    def test_all_receipts_of_one_lease_are_good(self, subject: Subject11) -> None:
        receipts = [held(subject, hide=60)]
        for _ in range(3):
            subject.advance(1)
            receipts.append(receipt_of(subject.change("a", "q", "m", hide=60, receipt=receipts[-1])))
        assert len(set(receipts)) == 4
        subject.advance(59)
        for receipt in receipts:
            assert cast("Seen", subject.change("a", "q", "m", receipt=receipt)).deliveries == 1
        assert cast("Seen", subject.delete("a", "q", "m", receipts[0])).id == "m"

    def test_all_receipts_of_a_lease_end_with_it(self, subject: Subject11) -> None:
        first = held(subject, hide=60)
        second = receipt_of(subject.change("a", "q", "m", hide=5, receipt=first))
        subject.advance(5)
        assert subject.delete("a", "q", "m", first) == "held"
        assert subject.delete("a", "q", "m", second) == "held"

    def test_a_receipt_alone_asks_whether_it_is_good(self, subject: Subject11) -> None:
        receipt = held(subject)
        before = seen(subject)
        assert subject.change("a", "q", "m", receipt=receipt) == before
        assert seen(subject) == before

    def test_a_ttl_with_a_receipt_leaves_the_lease(self, subject: Subject11) -> None:
        receipt = held(subject)
        changed = cast("Seen", subject.change("a", "q", "m", ttl=9, receipt=receipt))
        assert (changed.ttl, changed.hide, changed.receipt) == (9, 60, None)
        assert cast("Seen", subject.delete("a", "q", "m", receipt)).id == "m"

    # Markers

    def test_markers_grow_in_the_order_of_messages(self, subject: Subject11) -> None:
        fill(subject, *"3124")
        markers = [message.marker for message in subject.list("a", "q")]
        assert markers == sorted(set(markers))

    def test_a_marker_is_of_the_place_and_stays_with_it(self, subject: Subject11) -> None:
        fill(subject, "1", "2")
        before = seen(subject, "1").marker
        subject.claim("a", "q")
        subject.put("a", "q", "1", b"new")
        assert seen(subject, "1").marker == before

    def test_after_is_what_follows(self, subject: Subject11) -> None:
        fill(subject, *"1234")
        assert ids(subject.list("a", "q", after=seen(subject, "2").marker)) == ["3", "4"]
        assert subject.list("a", "q", after=seen(subject, "4").marker) == []

    def test_after_a_message_that_is_deleted(self, subject: Subject11) -> None:
        fill(subject, *"1234")
        marker = seen(subject, "2").marker
        subject.delete("a", "q", "2")
        subject.delete("a", "q", "1")
        assert ids(subject.list("a", "q", after=marker)) == ["3", "4"]

    def test_after_a_message_that_expired(self, subject: Subject11) -> None:
        fill(subject, "1", "2", ttl=10)
        fill(subject, "3")
        marker = seen(subject, "2").marker
        subject.advance(10)
        assert ids(subject.list("a", "q", after=marker)) == ["3"]

    def test_after_a_message_that_is_hidden(self, subject: Subject11) -> None:
        fill(subject, "1", "2", "3")
        marker = claimed(subject).marker
        assert ids(subject.list("a", "q", after=marker)) == ["2", "3"]

    def test_after_survives_the_queue(self, subject: Subject11) -> None:
        fill(subject, "1", "2")
        marker = seen(subject, "2").marker
        subject.pop("a", "q", limit=None)
        assert subject.queues("a") == []
        fill(subject, "3", "1")
        assert ids(subject.list("a", "q", after=marker)) == ["3", "1"]

    def test_an_id_that_is_put_again_has_a_later_place(self, subject: Subject11) -> None:
        fill(subject, "1", "2")
        marker = seen(subject, "1").marker
        subject.delete("a", "q", "1")
        fill(subject, "1")
        assert seen(subject, "1").marker > seen(subject, "2").marker > marker
        assert ids(subject.list("a", "q", after=marker)) == ["2", "1"]

    def test_an_unknown_marker_is_the_beginning_and_after_its_place(self, subject: Subject11) -> None:
        fill(subject, "1", "2")
        assert ids(subject.list("a", "q", marker="none")) == ["1", "2"]
        assert ids(subject.list("a", "q", after="0")) == ["1", "2"]
        assert subject.list("a", "q", after="fffffffffffffff") == []

    @pytest.mark.parametrize("limit", [1, 2, 7])
    @pytest.mark.parametrize("newest_first", [False, True], ids=["fifo", "lifo"])
    def test_pages_are_the_whole_list(self, subject: Subject11, newest_first: bool, limit: int) -> None:
        fill(subject, *(f"{number}" for number in range(20)))
        subject.claim("a", "q", limit=3)
        for hidden in (False, True):
            whole = subject.list("a", "q", newest_first=newest_first, match_hidden=hidden)
            assert len(whole) == 20 - 3 * (not hidden)
            paged: list[Seen] = []
            while page := subject.list(
                "a", "q", limit, after=paged[-1].marker if paged else None, newest_first=newest_first,
                match_hidden=hidden,
            ):  # fmt: skip
                assert len(page) <= limit
                paged += page
            assert paged == whole

    def test_pages_go_on_while_messages_are_popped(self, subject: Subject11) -> None:
        fill(subject, *(f"{number}" for number in range(10)))
        found: list[str] = []
        after: str | None = None
        while page := subject.list("a", "q", 3, after=after):
            found += ids(page)
            after = page[-1].marker
            subject.pop("a", "q", limit=2)
            subject.delete("a", "q", page[-1].id)
        assert found == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]

    def test_claims_and_pops_after_a_marker(self, subject: Subject11) -> None:
        fill(subject, *"12345")
        marker = seen(subject, "2").marker
        subject.delete("a", "q", "2")
        assert ids(subject.claim("a", "q", after=marker)) == ["3"]
        assert ids(subject.pop("a", "q", after=marker)) == ["4"]
        assert ids(subject.claim("a", "q", after=marker, limit=None)) == ["5"]
        assert ids(subject.list("a", "q")) == ["1"]

    # The newest first

    def test_lifo_is_fifo_the_other_way_round(self, subject: Subject11) -> None:
        fill(subject, *"1234")
        subject.change("a", "q", "3", hide=60)
        assert ids(subject.list("a", "q", newest_first=True)) == ["4", "2", "1"]
        assert ids(subject.list("a", "q", newest_first=True, match_hidden=True)) == ["4", "3", "2", "1"]

    def test_lifo_with_limit(self, subject: Subject11) -> None:
        fill(subject, *"1234")
        assert ids(subject.list("a", "q", 2, newest_first=True)) == ["4", "3"]

    def test_lifo_after_a_place_is_what_is_older(self, subject: Subject11) -> None:
        fill(subject, *"1234")
        marker = seen(subject, "3").marker
        subject.delete("a", "q", "3")
        assert ids(subject.list("a", "q", after=marker, newest_first=True)) == ["2", "1"]
        assert ids(subject.list("a", "q", 1, marker="2", newest_first=True)) == ["1"]
        assert subject.list("a", "q", after=seen(subject, "1").marker, newest_first=True) == []
        assert subject.list("a", "q", after="0", newest_first=True) == []

    def test_lifo_claims_and_pops(self, subject: Subject11) -> None:
        fill(subject, *"12345")
        assert ids(subject.claim("a", "q", newest_first=True)) == ["5"]
        assert ids(subject.claim("a", "q", limit=2, newest_first=True)) == ["4", "3"]
        assert ids(subject.pop("a", "q", newest_first=True)) == ["2"]
        assert everything(subject) == ["1", "3", "4", "5"]

    def test_lifo_does_not_see_what_expired(self, subject: Subject11) -> None:
        fill(subject, "1", "2")
        fill(subject, "3", "4", ttl=5)
        subject.advance(5)
        assert ids(subject.list("a", "q", 1, newest_first=True)) == ["2"]

    # Many at once

    def test_many_are_put_in_their_order(self, subject: Subject11) -> None:
        fill(subject, "0")
        assert subject.put_many("a", "q", [New(name.encode(), name) for name in "312"]) == ["3", "1", "2"]
        assert ids(subject.list("a", "q")) == ["0", "3", "1", "2"]
        assert [message.body for message in subject.list("a", "q")] == [b"body", b"3", b"1", b"2"]

    def test_many_are_put_each_with_its_own(self, subject: Subject11) -> None:
        subject.put_many(
            "a",
            "q",
            [New(b"1", "1", ttl=9), New(b"2", "2", hide=7), New(b"3", "3", content_type="a/b", headers={"A": "1"})],
        )
        found = subject.list("a", "q", match_hidden=True)
        assert [(m.ttl, m.hide, m.content_type, m.headers) for m in found] == [
            (9, 0, None, {}), (600, 7, None, {}), (600, 0, "a/b", {"A": "1"})
        ]  # fmt: skip

    def test_ids_that_are_not_given_are_unique_and_sorted(self, subject: Subject11) -> None:
        given = [subject.put_many("a", "q", [New(b"")] * 300) for _ in range(3)]
        names = [name for some in given for name in some]
        assert len(set(names)) == 900
        for some in given:
            assert list(some) == sorted(some)
        assert ids(subject.list("a", "q")) == names

    def test_some_with_ids_and_some_without(self, subject: Subject11) -> None:
        first, second, third = subject.put_many("a", "q", [New(b"1"), New(b"2", "mine"), New(b"3")])
        assert second == "mine"
        assert ids(subject.list("a", "q")) == [first, "mine", third]

    def test_many_may_replace(self, subject: Subject11) -> None:
        fill(subject, "1", "2")
        subject.put_many("a", "q", [New(b"new", "2"), New(b"3", "3")])
        assert [(message.id, message.body) for message in subject.list("a", "q")] == [
            ("1", b"body"), ("2", b"new"), ("3", b"3")
        ]  # fmt: skip

    def test_an_id_twice_in_one_is_put_twice(self, subject: Subject11) -> None:
        assert subject.put_many("a", "q", [New(b"1", "m"), New(b"2", "other"), New(b"3", "m")]) == ["m", "other", "m"]
        assert [(message.id, message.body) for message in subject.list("a", "q")] == [("m", b"3"), ("other", b"2")]

    def test_many_are_stored_or_none(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_messages": 3})
        fill(subject, "1", "2")
        assert subject.put_many("a", "q", [New(b"new", "1"), New(b"", "3"), New(b"", "4")]) == "full"
        assert [(message.id, message.body) for message in subject.list("a", "q")] == [("1", b"body"), ("2", b"body")]
        assert subject.put_many("a", "q", [New(b"new", "1"), New(b"", "3")]) == ["1", "3"]

    def test_outcomes_by_id_are_in_the_order_of_the_ids(self, subject: Subject11) -> None:
        fill(subject, *"123")
        asked = ["3", "none", "1"]
        for outcomes in (
            subject.get_many("a", "q", asked),
            subject.change_many("a", "q", asked, hide=5),
            subject.delete_many("a", "q", asked),
        ):
            assert [(each.id, each.status) for each in outcomes] == [("3", "done"), ("none", "gone"), ("1", "done")]
        assert everything(subject) == ["2"]

    def test_outcomes_hold_the_messages(self, subject: Subject11) -> None:
        subject.put("a", "q", "1", b"one", content_type="a/b")
        (read,) = subject.get_many("a", "q", ["1"])
        assert read == Outcome("1", "done", seen(subject, "1"))
        (changed,) = subject.change_many("a", "q", ["1"], ttl=50, hide=5)
        assert changed.message == seen(subject, "1")._replace(receipt=receipt_of(changed.message))
        (deleted,) = subject.delete_many("a", "q", ["1"])
        assert deleted.message == changed.message._replace(receipt=None)

    def test_many_of_a_queue_that_is_not_there_are_gone(self, subject: Subject11) -> None:
        expected = [Outcome("1", "gone"), Outcome("2", "gone")]
        assert subject.get_many("a", "q", ["1", "2"]) == expected
        assert subject.change_many("a", "q", ["1", "2"], hide=5) == expected
        assert subject.delete_many("a", "q", ["1", "2"], ["x", "y"]) == expected
        assert subject.accounts() == []

    def test_many_hides_are_deliveries_with_receipts(self, subject: Subject11) -> None:
        fill(subject, "1", "2")
        outcomes = subject.change_many("a", "q", ["1", "2"], hide=60)
        receipts = [receipt_of(each.message) for each in outcomes]
        assert [each.message.deliveries for each in outcomes if each.message] == [1, 1]
        deleted = subject.delete_many("a", "q", ["1", "2"], receipts)
        assert [each.status for each in deleted] == ["done", "done"]

    def test_each_of_many_is_done_gone_or_held_for_itself(self, subject: Subject11) -> None:
        fill(subject, *"123")
        one, two, three = (receipt_of(found) for found in subject.claim("a", "q", limit=3))
        subject.change("a", "q", "2", hide=60)
        subject.delete("a", "q", "3")
        outcomes = subject.delete_many("a", "q", ["1", "2", "3"], [one, two, three])
        assert [each.status for each in outcomes] == ["done", "held", "gone"]
        assert everything(subject) == ["2"]

    def test_many_extensions(self, subject: Subject11) -> None:
        fill(subject, *"123")
        receipts = [receipt_of(found) for found in subject.claim("a", "q", limit=3, hide=10)]
        subject.change("a", "q", "2", hide=0)
        outcomes = subject.change_many("a", "q", ["1", "2", "3"], hide=100, receipts=receipts)
        assert [(each.status, each.message and each.message.deliveries) for each in outcomes] == [
            ("done", 1), ("held", None), ("done", 1)
        ]  # fmt: skip
        assert ids(subject.list("a", "q")) == ["2"]
        fresh = [receipt_of(each.message) for each in outcomes if each.message]
        assert [each.status for each in subject.delete_many("a", "q", ["1", "3"], fresh)] == ["done"] * 2

    def test_an_id_twice_among_many_is_done_once_and_then_gone(self, subject: Subject11) -> None:
        receipt = held(subject)
        outcomes = subject.delete_many("a", "q", ["m", "m"], ["wrong", receipt])
        assert [each.status for each in outcomes] == ["held", "done"]
        fill(subject, "m")
        assert [each.status for each in subject.delete_many("a", "q", ["m", "m"])] == ["done", "gone"]

    def test_an_id_twice_among_many_is_changed_twice(self, subject: Subject11) -> None:
        fill(subject, "m")
        first, second = subject.change_many("a", "q", ["m", "m"], hide=60)
        assert [each.message and each.message.deliveries for each in (first, second)] == [1, 2]
        assert subject.delete("a", "q", "m", receipt_of(first.message)) == "held"
        assert cast("Seen", subject.delete("a", "q", "m", receipt_of(second.message))).id == "m"

    def test_a_thousand_ids(self, subject: Subject11) -> None:
        names = [f"{number}" for number in range(1000)]
        subject.put_many("a", "q", [New(b"", name) for name in names])
        claims = subject.claim("a", "q", limit=1000)
        receipts = [receipt_of(found) for found in claims]
        assert {each.status for each in subject.delete_many("a", "q", names, receipts)} == {"done"}
        assert subject.queues("a") == []

    # Only where it is new

    def test_only_new_creates_what_is_not_there(self, subject: Subject11) -> None:
        assert subject.put("a", "q", "m", b"1", only_new=True) == "created"

    def test_only_new_leaves_what_is_there_as_it_is(self, subject: Subject11) -> None:
        receipt = held(subject)
        before = seen(subject)
        assert subject.put("a", "q", "m", b"2", ttl=9, hide=0, headers={"A": "b"}, only_new=True) == "exists"
        assert seen(subject) == before
        assert cast("Seen", subject.delete("a", "q", "m", receipt)).body == b"body"

    def test_only_new_in_place_of_one_that_expired(self, subject: Subject11) -> None:
        subject.put("a", "q", "m", b"1", ttl=5)
        fill(subject, "other")
        subject.advance(5)
        assert subject.put("a", "q", "m", b"2", only_new=True) == "created"
        assert ids(subject.list("a", "q")) == ["other", "m"]

    def test_only_new_of_what_was_deleted(self, subject: Subject11) -> None:
        fill(subject, "m")
        subject.delete("a", "q", "m")
        assert subject.put("a", "q", "m", only_new=True) == "created"

    # Policies

    def test_a_policy_is_answered_with_what_is_set(self, subject: Subject11) -> None:
        assert subject.policy("a", "q", {}) == {}
        assert subject.policy("a", "q", {"default_ttl": 0, "dead_letter": "d ü"}) == {
            "default_ttl": 0,
            "dead_letter": "d ü",
        }
        assert subject.policy("a", "q", {"max_bytes": 2**53, "max_deliveries": LONGEST}) == {
            "default_ttl": 0,
            "max_deliveries": LONGEST,
            "dead_letter": "d ü",
            "max_bytes": 2**53,
        }

    def test_null_removes_a_member_and_nothing_else(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"default_ttl": 5, "default_hide": 6})
        assert subject.policy("a", "q", {"default_ttl": None, "max_messages": None}) == {"default_hide": 6}

    def test_null_removes_the_policy(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"default_ttl": 5, "max_messages": 1})
        assert subject.policy("a", "q", None) == {}
        assert subject.policy("a", "q", {}) == {}
        fill(subject, "1", "2")
        assert [message.ttl for message in subject.list("a", "q")] == [600, 600]

    def test_a_policy_is_of_one_queue_of_one_account(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"default_ttl": 5})
        for account, queue in (("a", "q"), ("a", "r"), ("b", "q")):
            subject.put(account, queue, "m")
            found = cast("Seen", subject.get(account, queue, "m"))
            assert found.ttl == (5 if (account, queue) == ("a", "q") else 600)

    def test_a_policy_makes_no_queue(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"default_ttl": 5})
        assert subject.accounts() == []
        assert subject.queues("a") == []
        assert subject.states("a") == []

    def test_a_policy_lasts_though_the_queue_is_empty(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"default_ttl": 5})
        fill(subject, "1")
        subject.advance(5)
        assert subject.queues("a") == []
        fill(subject, "1", "2")
        subject.pop("a", "q", limit=None)
        assert subject.policy("a", "q", {}) == {"default_ttl": 5}
        fill(subject, "3")
        assert seen(subject, "3").ttl == 5

    def test_defaults_are_for_what_was_not_given(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"default_ttl": 50, "default_hide": 5})
        subject.put("a", "q", "neither")
        subject.put("a", "q", "ttl", ttl=600)
        subject.put("a", "q", "hide", hide=7)
        subject.put("a", "q", "zeros", ttl=0, hide=0)
        found = subject.list("a", "q", match_hidden=True)
        assert [(m.id, m.ttl, m.hide) for m in found] == [
            ("neither", 50, 5), ("ttl", 600, 5), ("hide", 50, 7), ("zeros", 0, 0)
        ]  # fmt: skip

    def test_a_default_of_0_counts(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"default_ttl": 0})
        fill(subject, "m")
        assert seen(subject).ttl == 0

    def test_defaults_are_for_many_too_and_for_replacements(self, subject: Subject11) -> None:
        fill(subject, "1")
        subject.policy("a", "q", {"default_ttl": 50, "default_hide": 5})
        subject.put_many("a", "q", [New(b"", "1"), New(b"", "2", ttl=9, hide=0)])
        assert [(m.id, m.ttl, m.hide) for m in subject.list("a", "q", match_hidden=True)] == [("1", 50, 5), ("2", 9, 0)]

    def test_a_policy_leaves_what_is_there_alone(self, subject: Subject11) -> None:
        fill(subject, "m")
        subject.policy("a", "q", {"default_ttl": 5, "default_hide": 5})
        subject.change("a", "q", "m")
        assert seen(subject)[:3] == ("m", 600, 0)

    def test_max_messages(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_messages": 2})
        assert [subject.put("a", "q", name) for name in "123"] == ["created", "created", "full"]
        subject.claim("a", "q")
        assert subject.put("a", "q", "3") == "full"
        subject.delete("a", "q", "1")
        assert subject.put("a", "q", "3") == "created"

    def test_a_full_queue_takes_replacements(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_messages": 1})
        fill(subject, "m")
        assert subject.put("a", "q", "m", b"new") == "replaced"
        assert subject.put("a", "q", "m", only_new=True) == "exists"
        assert subject.put("a", "q", "other", only_new=True) == "full"

    def test_max_bytes(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_bytes": 10})
        assert subject.put("a", "q", "1", b"x" * 11) == "full"
        assert subject.put("a", "q", "1", b"x" * 6) == "created"
        assert subject.put("a", "q", "2", b"x" * 5) == "full"
        assert subject.put("a", "q", "2", b"x" * 4) == "created"
        assert subject.put("a", "q", "3", b"") == "created"
        assert subject.put("a", "q", "1", b"x" * 7) == "full"
        assert subject.put("a", "q", "1", b"x" * 6) == "replaced"
        assert subject.put("a", "q", "1", b"x") == "replaced"
        assert subject.put("a", "q", "3", b"x" * 5) == "replaced"

    def test_many_that_are_too_much_for_a_new_queue(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_messages": 2, "max_bytes": 10})
        assert subject.put_many("a", "q", [New(b"")] * 3) == "full"
        assert subject.put_many("a", "q", [New(b"x" * 6)] * 2) == "full"
        assert subject.accounts() == []
        assert subject.put_many("a", "q", [New(b"x" * 6, "1"), New(b"x" * 4, "1")]) == ["1", "1"]

    def test_what_expired_takes_no_room(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_messages": 2, "max_bytes": 10})
        subject.put("a", "q", "1", b"x" * 9, ttl=5)
        subject.put("a", "q", "2", b"x", ttl=0)
        subject.advance(5)
        assert subject.put("a", "q", "3", b"x" * 9) == "created"
        assert ids(subject.list("a", "q")) == ["2", "3"]

    def test_a_queue_beyond_its_limit_may_get_no_fuller(self, subject: Subject11) -> None:
        fill(subject, *"123", body=b"x" * 10)
        subject.policy("a", "q", {"max_messages": 2, "max_bytes": 5})
        assert subject.put("a", "q", "1", b"x" * 11) == "full"
        assert subject.put("a", "q", "4", b"") == "full"
        assert subject.put("a", "q", "1", b"y" * 10) == "replaced"
        assert subject.put("a", "q", "1", b"y") == "replaced"
        assert subject.put_many("a", "q", [New(b"y", "2"), New(b"y", "3")]) == ["2", "3"]

    def test_a_limit_is_of_the_whole_and_not_of_its_steps(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_bytes": 10})
        fill(subject, "1", "2", body=b"x" * 5)
        assert subject.put_many("a", "q", [New(b"x" * 9, "1"), New(b"x", "2")]) == ["1", "2"]

    def test_full_queues_can_be_read_claimed_and_deleted(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_messages": 1})
        receipt = held(subject)
        assert subject.put("a", "q", "2") == "full"
        assert cast("Seen", subject.change("a", "q", "m", hide=9, receipt=receipt)).hide == 9
        assert cast("Seen", subject.delete("a", "q", "m")).id == "m"

    # Dead letters

    def test_a_message_is_handed_out_max_deliveries_times(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 3, "dead_letter": "dead"})
        fill(subject, "m")
        counts = []
        for _ in range(3):
            counts.append(claimed(subject, hide=5).deliveries)
            assert subject.list("a", "dead") == []
            subject.advance(5)
        assert counts == [1, 2, 3]
        assert ids(subject.list("a", "q")) == ["m"]  # it is there until somebody would get it
        assert subject.claim("a", "q") == []
        assert subject.queues("a") == ["dead"]

    def test_a_dead_letter_is_whole(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        created = subject.now
        wear_out(subject, "m", body=b"\xff\x00", ttl=100, content_type="a/b", headers={"Trace": "1"})
        subject.advance(10.5)
        subject.claim("a", "q")
        (found,) = subject.list("a", "dead")
        assert found[:6] == ("m", 90, 0, b"\xff\x00", created, 0)
        assert found.content_type == "a/b"
        assert found.headers == {
            "Trace": "1",
            "dead-letter-queue": "q",
            "dead-letter-reason": "max-deliveries",
            "dead-letter-deliveries": "1",
            "dead-letter-time": timestamp(subject.now),
        }

    def test_a_dead_letter_without_meta_gets_headers(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 2, "dead_letter": "dead"})
        wear_out(subject, "m", deliveries=2)
        subject.claim("a", "q")
        assert set(seen(subject, queue="dead").headers) == DEAD
        assert seen(subject, queue="dead").headers["dead-letter-deliveries"] == "2"

    def test_dead_letters_come_to_the_end_in_order(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        fill(subject, "before", queue="dead")
        wear_out(subject, *"213")
        assert subject.claim("a", "q", limit=3) == []
        fill(subject, "after", queue="dead")
        assert everything(subject, "dead") == ["before", "2", "1", "3", "after"]
        markers = [message.marker for message in subject.list("a", "dead")]
        assert markers == sorted(markers)

    def test_a_follower_of_the_dead_letter_queue_misses_none(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        wear_out(subject, "m")
        fill(subject, "later", queue="dead")
        marker = seen(subject, "later", "dead").marker
        subject.claim("a", "q")
        assert ids(subject.list("a", "dead", after=marker)) == ["m"]

    def test_a_dead_letter_replaces_none(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        subject.put("a", "dead", "m", b"first")
        for body in (b"second", b"third"):
            wear_out(subject, "m", body=body)
            subject.claim("a", "q")
        found = subject.list("a", "dead")
        assert [message.body for message in found] == [b"first", b"second", b"third"]
        assert len(set(ids(found))) == 3
        assert [message.headers.get("dead-letter-id") for message in found] == [None, "m", "m"]

    def test_an_id_of_the_greatest_length_that_is_taken(self, subject: Subject11) -> None:
        long = "é" * 127
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        fill(subject, long, queue="dead")
        wear_out(subject, long)
        subject.claim("a", "q")
        _, found = subject.list("a", "dead")
        assert found.headers["dead-letter-id"] == long
        assert len(found.id.encode()) <= 255
        assert cast("Seen", subject.delete("a", "dead", found.id)).id == found.id

    def test_an_id_that_expired_in_the_dead_letter_queue_is_free(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        subject.put("a", "dead", "m", ttl=5)
        fill(subject, "other", queue="dead")
        wear_out(subject, "m")
        subject.advance(5)
        subject.claim("a", "q")
        assert everything(subject, "dead") == ["other", "m"]

    def test_the_default_ttl_of_the_dead_letter_queue_counts_from_the_move(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead", "default_ttl": 20})
        subject.policy("a", "dead", {"default_ttl": 1000})
        wear_out(subject, "m")
        subject.advance(15)
        subject.claim("a", "q")
        assert seen(subject, queue="dead").ttl == 1000

    def test_a_default_ttl_of_0_keeps_dead_letters_for_ever(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        subject.policy("a", "dead", {"default_ttl": 0})
        wear_out(subject, "m", ttl=9)
        subject.claim("a", "q")
        assert seen(subject, queue="dead").ttl == 0

    def test_a_dead_letter_expires_when_it_would_have(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        wear_out(subject, "m", ttl=10)
        wear_out(subject, "for ever", ttl=0)
        subject.claim("a", "q", limit=2)
        subject.advance(10)
        assert everything(subject, "dead") == ["for ever"]

    def test_a_claim_goes_on_to_the_next_message(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        wear_out(subject, "1", "2")
        fill(subject, "3", "4")
        assert claimed(subject).id == "3"
        assert everything(subject, "dead") == ["1", "2"]
        assert everything(subject) == ["3", "4"]

    def test_a_claim_of_several_is_filled(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        for name in "123456789":
            wear_out(subject, name, deliveries=int(name) % 3 == 1)
        assert ids(subject.claim("a", "q", limit=4)) == ["2", "3", "5", "6"]
        assert everything(subject, "dead") == ["1", "4"]  # nobody would have got the next yet
        assert everything(subject) == ["2", "3", "5", "6", "7", "8", "9"]

    def test_a_claim_of_all(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        for name in "1234":
            wear_out(subject, name, deliveries=int(name) % 2)
        found = subject.claim("a", "q", limit=None)
        assert [(message.id, message.deliveries) for message in found] == [("2", 1), ("4", 1)]
        assert everything(subject, "dead") == ["1", "3"]

    def test_a_claim_of_the_newest(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        fill(subject, "1", "2")
        wear_out(subject, "3", "4")
        assert claimed(subject, newest_first=True).id == "2"
        assert everything(subject, "dead") == ["4", "3"]
        assert everything(subject) == ["1", "2"]

    def test_a_claim_after_a_place_leaves_what_is_before(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        wear_out(subject, "1", "2", "3")
        fill(subject, "4")
        assert claimed(subject, after=seen(subject, "2").marker).id == "4"
        assert everything(subject) == ["1", "2", "4"]

    def test_a_claim_of_hidden_messages_takes_them_from_their_holders(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        receipt = held(subject)
        fill(subject, "other")
        assert claimed(subject).id == "other"
        assert subject.claim("a", "q", limit=None, match_hidden=True) == []
        assert subject.delete("a", "q", "m", receipt) is None
        assert [(m.id, m.hide, m.deliveries) for m in subject.list("a", "dead")] == [("m", 0, 0), ("other", 0, 0)]

    def test_the_old_receipt_does_not_hold_the_dead_letter(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        receipt = held(subject)
        subject.claim("a", "q", match_hidden=True)
        new = receipt_of(claimed(subject, queue="dead"))
        assert subject.delete("a", "dead", "m", receipt) == "held"
        assert cast("Seen", subject.delete("a", "dead", "m", new)).id == "m"

    def test_extensions_are_no_hand_outs(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        receipt = held(subject)
        for _ in range(5):
            receipt = receipt_of(subject.change("a", "q", "m", hide=60, receipt=receipt))
        assert cast("Seen", subject.delete("a", "q", "m", receipt)).deliveries == 1

    def test_who_only_reads_or_pops_or_releases_buries_nothing(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        wear_out(subject, "1", "2")
        assert ids(subject.list("a", "q")) == ["1", "2"]
        assert ids(subject.claim("a", "q", hide=0, limit=None)) == ["1", "2"]
        assert ids(subject.pop("a", "q")) == ["1"]
        assert subject.queues("a") == ["q"]

    def test_without_a_dead_letter_queue_they_are_dropped_and_counted(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1})
        wear_out(subject, "1", "2")
        fill(subject, "3")
        assert claimed(subject).id == "3"
        assert everything(subject) == ["3"]
        (state,) = subject.states("a")
        assert state.dropped == 2

    def test_what_was_dropped_is_counted_though_the_queue_was_empty(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1})
        for _ in range(3):
            wear_out(subject, "m")
            assert subject.claim("a", "q") == []
            assert subject.accounts() == []
        fill(subject, "m")
        (state,) = subject.states("a")
        assert state.dropped == 3

    def test_the_count_of_the_dropped_goes_with_the_policy(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1})
        wear_out(subject, "m")
        subject.claim("a", "q")
        subject.policy("a", "q", None)
        fill(subject, "m")
        assert [state.dropped for state in subject.states("a")] == [0]

    def test_a_limit_that_is_set_later_counts_what_was_delivered_before(self, subject: Subject11) -> None:
        wear_out(subject, "m", deliveries=5)
        subject.policy("a", "q", {"max_deliveries": 6, "dead_letter": "dead"})
        assert claimed(subject, hide=1).deliveries == 6
        subject.advance(1)
        assert subject.claim("a", "q") == []
        assert everything(subject, "dead") == ["m"]

    def test_a_replacement_may_be_delivered_again(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        wear_out(subject, "m")
        subject.put("a", "q", "m", b"new")
        assert claimed(subject).body == b"new"

    def test_dead_letters_may_die_again(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        subject.policy("a", "dead", {"max_deliveries": 1, "dead_letter": "q"})
        wear_out(subject, "m")
        for queue, other in (("q", "dead"), ("dead", "q")):
            assert subject.claim("a", queue) == []
            assert subject.queues("a") == [other]
            assert claimed(subject, queue=other, hide=1).deliveries == 1
            subject.advance(1)

    def test_a_dead_letter_queue_that_is_full_takes_them_all_the_same(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        subject.policy("a", "dead", {"max_messages": 1})
        wear_out(subject, "1", "2")
        assert subject.claim("a", "q", limit=2) == []
        assert everything(subject, "dead") == ["1", "2"]

    def test_a_dead_letter_is_visible_at_once(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        subject.policy("a", "dead", {"default_hide": 60})
        wear_out(subject, "m")
        subject.claim("a", "q")
        assert ids(subject.list("a", "dead")) == ["m"]

    def test_thousands_that_are_due_at_once(self, subject: Subject11) -> None:
        subject.policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"})
        many = 2600
        for start in range(0, many, 650):
            subject.put_many("a", "q", [New(b"x", f"{number}") for number in range(start, start + 650)])
        while subject.claim("a", "q", hide=5, limit=1000):
            pass
        fill(subject, "alive")
        subject.advance(5)
        assert claimed(subject).id == "alive"
        assert everything(subject) == ["alive"]
        states = subject.states("a", names=["dead", "q"])
        assert [(state.messages, state.hidden, state.bytes) for state in states] == [(many, 0, many), (1, 1, 4)]
        assert ids(subject.list("a", "dead", limit=3)) == ["0", "1", "2"]

    # Queues as they are

    def test_the_state_of_a_queue(self, subject: Subject11) -> None:
        fill(subject, "1", "2", "3", body=b"xyz")
        subject.policy("a", "q", {"default_ttl": 50})
        subject.advance(7.75)
        subject.claim("a", "q", limit=2)
        assert subject.states("a") == [State("q", 3, 1, 2, 9, 7, {"default_ttl": 50})]

    def test_states_are_in_the_order_of_queues_and_of_one_account(self, subject: Subject11) -> None:
        for queue in ("z", "a", "m"):
            fill(subject, "1", queue=queue)
        fill(subject, "1", account="other")
        assert [state.id for state in subject.states("a")] == ["z", "a", "m"]
        assert [state.id for state in subject.states("a", limit=1, marker="z")] == ["a"]
        assert subject.states("none") == []

    def test_states_of_named_queues(self, subject: Subject11) -> None:
        for queue in ("1", "2", "3"):
            fill(subject, "m", queue=queue)
        assert [state.id for state in subject.states("a", names=["3", "none", "1"])] == ["3", "1"]
        assert subject.states("a", names=["none"]) == []

    def test_a_state_is_exact_at_the_instant(self, subject: Subject11) -> None:
        subject.put("a", "q", "1", b"1", ttl=10, hide=5)
        subject.put("a", "q", "2", b"22", ttl=20, hide=15)
        subject.put("a", "q", "3", b"333", ttl=0)
        states = []
        for seconds in (0, 4.75, 0.25, 4.75, 0.25, 5, 5):
            subject.advance(seconds)
            (state,) = subject.states("a")
            states.append((state.messages, state.hidden, state.bytes))
        assert states == [(3, 2, 6), (3, 2, 6), (3, 1, 6), (3, 1, 6), (2, 1, 5), (2, 0, 5), (1, 0, 3)]
        subject.delete("a", "q", "3")
        assert subject.states("a") == []

    def test_the_oldest_is_the_first_in_order(self, subject: Subject11) -> None:
        fill(subject, "1", "2")
        subject.advance(10)
        fill(subject, "3")
        subject.put("a", "q", "1", b"new")
        subject.advance(5)
        assert [state.oldest for state in subject.states("a")] == [5]
        subject.delete("a", "q", "1")
        assert [state.oldest for state in subject.states("a")] == [15]

    def test_the_oldest_may_be_hidden(self, subject: Subject11) -> None:
        fill(subject, "1")
        subject.advance(10)
        fill(subject, "2")
        subject.claim("a", "q")
        assert [state.oldest for state in subject.states("a")] == [10]

    def test_states_after_many_extensions_and_releases(self, subject: Subject11) -> None:
        names = [f"{number}" for number in range(100)]
        subject.put_many("a", "q", [New(b"x", name) for name in names])
        receipts = [receipt_of(found) for found in subject.claim("a", "q", limit=100, hide=30)]
        for _ in range(3):
            subject.advance(1)
            subject.change_many("a", "q", names, hide=30, receipts=receipts)
        assert [(state.visible, state.hidden) for state in subject.states("a")] == [(0, 100)]
        subject.change_many("a", "q", names[:90], hide=0, receipts=receipts[:90])
        assert [(state.visible, state.hidden) for state in subject.states("a")] == [(90, 10)]
        subject.advance(29.75)
        assert [(state.visible, state.hidden) for state in subject.states("a")] == [(90, 10)]
        subject.advance(0.25)
        assert [(state.visible, state.hidden) for state in subject.states("a")] == [(100, 0)]


class V11InterfaceConformance(OpenedStore):
    """What v1.1 asks of the `Store` interface and REST does not show."""

    @pytest.fixture
    def worn_out(self, store: Store, settle: Settle, heard: Heard) -> Store:
        """Two messages that were delivered once, which is what they may be; the second never expires."""
        settle(store.change_policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"}, NOW))
        settle(store.put("a", "q", [Draft("1", b"x", 600, 0), Draft("2", b"", 0, 0)], NOW))
        settle(store.update_matching("a", "q", Filters(limit=2), Change(hide=5), NOW))
        settle(store.update("a", "q", ["1", "2"], Change(hide=0), NOW))
        heard.visibles.clear()
        heard.dues.clear()
        return store

    def test_dead_letters_are_told(self, worn_out: Store, settle: Settle, heard: Heard) -> None:
        assert settle(worn_out.update_matching("a", "q", Filters(limit=5), Change(hide=5), NOW)) == []
        assert heard.deaths == [("a", "q", 2, 0)]

    def test_the_dropped_are_told(self, worn_out: Store, settle: Settle, heard: Heard) -> None:
        settle(worn_out.change_policy("a", "q", {"dead_letter": None}, NOW))
        assert settle(worn_out.update_matching("a", "q", Filters(limit=5), Change(hide=5), NOW)) == []
        assert heard.deaths == [("a", "q", 0, 2)]
        assert not [queue for _, queue, _ in heard.visibles if queue != "q"]

    def test_the_dead_letter_queue_is_said_to_have_something(
        self, worn_out: Store, settle: Settle, heard: Heard
    ) -> None:
        settle(worn_out.update_matching("a", "q", CLAIM, Change(hide=5), NOW))
        assert ("a", "dead", NOW) in heard.visibles

    def test_the_expiry_of_a_dead_letter_is_due(self, worn_out: Store, settle: Settle, heard: Heard) -> None:
        settle(worn_out.change_policy("a", "dead", {"default_ttl": 50}, NOW))
        settle(worn_out.update_matching("a", "q", Filters(limit=5), Change(hide=5), NOW))
        assert heard.dues == [NOW + 50]
        assert settle(worn_out.sweep(NOW + 50)) is None
        assert settle(worn_out.list_accounts(Page(), NOW + 50)) == []

    def test_nothing_is_told_of_a_claim_that_finds_the_living(self, store: Store, settle: Settle, heard: Heard) -> None:
        settle(store.change_policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"}, NOW))
        settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW))
        settle(store.update_matching("a", "q", CLAIM, Change(hide=5), NOW))
        assert heard.deaths == []
        assert settle(store.list_queues("a", Page(), NOW)) == ["q"]

    @pytest.mark.parametrize("want", [Want.ALL, Want.ATTRIBUTES, Want.NOTHING])
    def test_what_is_wanted_changes_nothing_of_what_is_done(
        self, worn_out: Store, settle: Settle, want: Wanted
    ) -> None:
        settle(worn_out.put("a", "q", [Draft(name, b"y", 600, 0) for name in "34"], NOW))
        found = settle(worn_out.update_matching("a", "q", Filters(limit=2), Change(hide=5), NOW, want))
        assert bool(found)
        states = {state.name: state for state in settle(worn_out.describe_queues("a", Page(), NOW))}
        assert [(states[name].messages, states[name].hidden, states[name].bytes) for name in ("q", "dead")] == [
            (2, 2, 2), (2, 0, 1)
        ]  # fmt: skip
        (moved,) = settle(worn_out.get("a", "dead", ["1"], NOW))
        assert moved.body == b"x"

    @pytest.mark.parametrize("want", [Want.ALL, Want.ATTRIBUTES, Want.NOTHING])
    def test_held_is_told_whatever_is_wanted(self, store: Store, settle: Settle, want: Wanted) -> None:
        settle(store.put("a", "q", [Draft(name, b"", 600, 0) for name in "12"], NOW))
        one, _ = settle(store.update_matching("a", "q", Filters(limit=2), Change(hide=5), NOW))
        ids, receipts = ["1", "none", "2"], [one.receipt, "", one.receipt]
        changed = settle(store.update("a", "q", ids, Change(hide=9), NOW, want, receipts))
        assert (changed[0] is None, changed[1], changed[2]) == (False, None, HELD)
        assert changed[0] is not HELD
        deleted = settle(store.delete("a", "q", ids, NOW, want, receipts))
        assert (deleted[0] is None, deleted[1], deleted[2]) == (False, None, HELD)
        assert deleted[0] is not HELD
        assert [each.id for each in settle(store.select("a", "q", Filters(match_hidden=True), NOW))] == ["2"]

    def test_an_extension_says_when_the_message_is_visible(self, store: Store, settle: Settle, heard: Heard) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW))
        (claimed,) = settle(store.update_matching("a", "q", CLAIM, Change(hide=5), NOW))
        heard.visibles.clear()
        settle(store.update("a", "q", ["1"], Change(hide=9), NOW, receipts=["no"]))
        assert heard.visibles == []
        settle(store.update("a", "q", ["1"], Change(hide=9), NOW, receipts=[claimed.receipt]))
        assert heard.visibles == [("a", "q", NOW + 9)]
        assert settle(store.next_visible("a", "q", Filters(), NOW)) == NOW + 9

    def test_a_default_hide_says_when_the_message_is_visible(self, store: Store, settle: Settle, heard: Heard) -> None:
        settle(store.change_policy("a", "q", {"default_hide": 7, "default_ttl": 9}, NOW))
        settle(store.put("a", "q", [Draft("1", b"", 600, 0, ttl_given=False, hide_given=False)], NOW))
        assert heard.visibles == [("a", "q", NOW + 7)]
        assert heard.dues == [NOW + 9]

    def test_as_many_bodies_as_fit_and_one_at_least(self, store: Store, settle: Settle) -> None:
        settle(
            store.put("a", "q", [Draft(f"{n}", b"x" * size, 0, 0) for n, size in enumerate((9, 4, 3, 3, 0, 5))], NOW)
        )
        after = None
        pages = []
        while found := settle(store.select("a", "q", Filters(after=after, max_bytes=7), NOW)):
            pages.append([len(message.body) for message in found])
            after = found[-1].sequence
        assert pages == [[9], [4, 3], [3, 0], [5]]

    def test_claims_of_as_many_bodies_as_fit(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft(f"{size}", b"x" * size, 0, 0) for size in (9, 4, 3)], NOW))
        filters = Filters(limit=10, max_bytes=7)
        claims = [settle(store.update_matching("a", "q", filters, Change(hide=9), NOW)) for _ in range(3)]
        assert [[len(message.body) for message in found] for found in claims] == [[9], [4, 3], []]

    def test_a_claim_buries_what_fits_and_stops_at_a_dead_letter_that_does_not(
        self, store: Store, settle: Settle
    ) -> None:
        drafts = [Draft(f"{n}", b"x" * size, 0, 0) for n, size in enumerate((4, 3, 2, 9, 1))]
        settle(store.change_policy("a", "q", {"max_deliveries": 1}, NOW))
        settle(store.put("a", "q", drafts, NOW))
        settle(store.update("a", "q", ["1", "3"], Change(hide=1), NOW))
        filters = Filters(limit=10, max_bytes=7)
        claims = [settle(store.update_matching("a", "q", filters, Change(hide=9), NOW + 1)) for _ in range(2)]
        assert [[message.id for message in found] for found in claims] == [["0", "2"], ["4"]]

    @pytest.mark.parametrize("number", [2, 501])  # the second is more than SQLite does in one piece
    def test_what_is_empty_fits_where_all_room_is_taken(self, store: Store, settle: Settle, number: int) -> None:
        drafts = [Draft(f"{n}", b"x" if n < number - 1 else b"", 0, 0) for n in range(number)]
        settle(store.put("a", "q", drafts, NOW))
        found = settle(store.select("a", "q", Filters(max_bytes=number - 1), NOW))
        assert len(found) == number

    def test_an_empty_change_asks_for_the_policy_and_makes_nothing(self, store: Store, settle: Settle) -> None:
        assert settle(store.change_policy("a", "q", {}, NOW)) == Policy()
        assert settle(store.describe_queues("a", Page(), NOW)) == []
        assert settle(store.find_queues("a", ["q"], NOW)) == []

    @pytest.mark.parametrize("whole", ["queue", "account", "messages"])
    def test_a_policy_outlives_what_is_deleted_at_one_stroke(self, store: Store, settle: Settle, whole: str) -> None:
        policy = settle(store.change_policy("a", "q", {"default_ttl": 50, "max_messages": 1}, NOW))
        settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW))
        if whole == "queue":
            settle(store.delete_queues("a", Page(), NOW))
        elif whole == "account":
            settle(store.delete_accounts(Page(), NOW))
        else:
            settle(store.delete_matching("a", "q", Filters(match_hidden=True), NOW, Want.NOTHING))
        assert settle(store.list_accounts(Page(), NOW)) == []
        assert settle(store.change_policy("a", "q", {}, NOW)) == policy
        settle(store.put("a", "q", [Draft("1", b"", 600, 0, ttl_given=False)], NOW))
        assert settle(store.get("a", "q", ["1"], NOW))[0].expires == NOW + 50
        with pytest.raises(QueueFull):
            settle(store.put("a", "q", [Draft("2", b"", 600, 0)], NOW))

    def test_only_new_of_several_that_are_the_same(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"old", 600, 0)], NOW))
        drafts = [Draft(name, b"%d" % n, 600, 0, only_new=True) for n, name in enumerate(["1", "2", "2"])]
        assert settle(store.put("a", "q", drafts, NOW)) == [Put.EXISTS, Put.CREATED, Put.EXISTS]
        assert [message.body for message in settle(store.select("a", "q", Filters(), NOW))] == [b"old", b"1"]
