"""All of a store's state is on disk: nothing is lost or changed by closing it and opening it again."""

from __future__ import annotations

import pytest

from leveret.model import HELD, Change, Draft, Filters, Meta, Page, Policy, Put
from leveret.store.base import QueueFull
from support.disk import OpenStore
from support.interface_conformance import CLAIM, Heard
from support.subject import START as NOW


def ids(messages: object) -> list[str]:
    assert isinstance(messages, list)
    return [message.id for message in messages]


def test_messages_are_as_they_were(open_store: OpenStore) -> None:
    meta = Meta("text/plain", {"X-A": "ä"}, "key", "group")
    drafts = [Draft("1", b"\0\xff", 600, 0, meta), Draft("ü", b"", 0, 30)]
    store = open_store()
    store.put("a", "q", drafts, NOW)
    before = store.get("a", "q", ["1", "ü"], NOW)
    store.close()
    after = open_store(NOW + 1).get("a", "q", ["1", "ü"], NOW + 1)
    for old, new in zip(before, after, strict=True):
        assert {name: getattr(old, name) for name in old.__slots__} == {
            name: getattr(new, name) for name in new.__slots__
        }
    assert after[0].meta == meta


def test_a_lease_lasts_and_ends_at_its_time(open_store: OpenStore) -> None:
    store = open_store()
    store.put("a", "q", [Draft("1", b"", 600, 0), Draft("2", b"", 600, 0)], NOW)
    store.update_matching("a", "q", CLAIM, Change(hide=60), NOW)
    store.close()
    store = open_store(NOW + 59)
    assert ids(store.select("a", "q", Filters(), NOW + 59.75)) == ["2"]
    store.delete("a", "q", ["2"], NOW + 59.75)
    assert store.next_visible("a", "q", Filters(), NOW + 59.75) == NOW + 60
    assert ids(store.select("a", "q", Filters(), NOW + 60)) == ["1"]


def test_deliveries_are_counted_on(open_store: OpenStore) -> None:
    store = open_store()
    store.put("a", "q", [Draft("1", b"", 600, 0)], NOW)
    for start in (0, 100):
        store.update_matching("a", "q", CLAIM, Change(hide=10), NOW + start)
        store.close()
        store = open_store(NOW + start)
    (message,) = store.get("a", "q", ["1"], NOW + 100)
    assert message.deliveries == 2


def test_what_expired_meanwhile_is_gone(open_store: OpenStore) -> None:
    store = open_store()
    store.put("a", "q", [Draft("1", b"", 10, 0), Draft("2", b"", 20, 0)], NOW)
    store.put("a", "gone", [Draft("1", b"", 10, 0)], NOW)
    store.close()
    store = open_store(NOW + 10)
    assert ids(store.select("a", "q", Filters(), NOW + 10)) == ["2"]
    assert store.list_queues("a", Page(), NOW + 10) == ["q"]


def test_order_is_kept_and_goes_on(open_store: OpenStore) -> None:
    store = open_store()
    for name in ("2", "1"):
        store.put(name, name, [Draft("x", b"", 0, 0)], NOW)
        store.put("a", "q", [Draft(name, b"", 0, 0)], NOW)
    store.close()
    store = open_store(NOW)
    store.put("a", "q", [Draft("0", b"", 0, 0)], NOW)
    store.put("0", "q", [Draft("x", b"", 0, 0)], NOW)
    assert ids(store.select("a", "q", Filters(), NOW)) == ["2", "1", "0"]
    assert store.list_accounts(Page(), NOW) == ["2", "a", "1", "0"]


def test_a_clock_that_was_set_back_repeats_no_sequence_and_no_place(open_store: OpenStore) -> None:
    store = open_store(NOW)
    store.put("a", "q", [Draft("1", b"", 0, 0)], NOW)
    (before,) = store.delete("a", "q", ["1"], NOW)
    store.put("a", "q", [Draft("1", b"", 0, 0)], NOW)
    store.close()
    store = open_store(NOW - 86400)
    store.put("a", "q", [Draft("2", b"", 0, 0)], NOW - 86400)
    store.put("b", "q", [Draft("2", b"", 0, 0)], NOW - 86400)
    first, second = store.get("a", "q", ["1", "2"], NOW - 86400)
    assert before.sequence < first.sequence < second.sequence
    assert store.list_accounts(Page(), NOW - 86400) == ["a", "b"]


def test_an_id_is_replaced_in_its_place(open_store: OpenStore) -> None:
    store = open_store()
    store.put("a", "q", [Draft("1", b"old", 0, 0), Draft("2", b"", 0, 0)], NOW)
    store.close()
    store = open_store()
    assert store.put("a", "q", [Draft("1", b"new", 0, 0)], NOW) == [Put.REPLACED]
    assert [(message.id, message.body) for message in store.select("a", "q", Filters(), NOW)] == [
        ("1", b"new"),
        ("2", b""),
    ]


def test_what_is_due_from_before_is_said(open_store: OpenStore) -> None:
    store = open_store()
    store.put("a", "q", [Draft("1", b"", 10, 0)], NOW)
    store.close()
    heard = Heard()
    store = open_store(NOW + 5, signals=heard)
    assert store.list_accounts(Page(), NOW + 5) == ["a"]  # answered after what there was to say
    assert heard.dues == [NOW + 10]
    assert store.sweep(NOW + 10) is None


def test_what_was_deleted_stays_deleted(open_store: OpenStore) -> None:
    store = open_store()
    for queue in ("q", "r", "s"):
        store.put("a", queue, [Draft(f"{n}", b"", 0, 0) for n in range(1000)], NOW)
    store.put("b", "q", [Draft("1", b"", 0, 0)], NOW)
    store.delete_queues("a", Page(limit=1), NOW)
    store.delete_matching("a", "r", Filters(), NOW)
    store.close()
    store = open_store()
    assert store.list_queues("a", Page(), NOW) == ["s"]
    store.delete_accounts(Page(limit=1), NOW)
    store.close()
    store = open_store()
    assert store.list_accounts(Page(), NOW) == ["b"]
    assert store.get("a", "s", ["1"], NOW) == [None]
    assert store.put("a", "s", [Draft("1", b"", 0, 0)], NOW) == [Put.CREATED]


POLICY = Policy(default_ttl=0, default_hide=5, max_deliveries=3, dead_letter="dead ü", max_messages=2, max_bytes=2**53)


def test_policies_are_kept_though_their_queues_are_empty(open_store: OpenStore) -> None:
    store = open_store(shards=3)
    for account in ("a", "b", "c", "ü"):
        store.change_policy(account, "q", POLICY.members(), NOW)
    store.change_policy("a", "gone", {"default_ttl": 5}, NOW)
    store.change_policy("a", "gone", None, NOW)
    store.close()
    store = open_store(shards=3)
    for account in ("a", "b", "c", "ü"):
        assert store.change_policy(account, "q", {}, NOW) == POLICY
    assert store.change_policy("a", "gone", {}, NOW) == Policy()


def test_policies_are_in_force_after_a_restart(open_store: OpenStore) -> None:
    store = open_store()
    store.change_policy("a", "q", {"default_ttl": 50, "max_messages": 1, "max_deliveries": 1}, NOW)
    store.close()
    store = open_store()
    store.put("a", "q", [Draft("1", b"", 600, 0, ttl_given=False)], NOW)
    (message,) = store.get("a", "q", ["1"], NOW)
    assert message.expires == NOW + 50
    with pytest.raises(QueueFull):
        store.put("a", "q", [Draft("2", b"", 600, 0)], NOW)
    store.update_matching("a", "q", CLAIM, Change(hide=5), NOW)
    store.close()
    store = open_store(NOW + 5)
    assert store.update_matching("a", "q", CLAIM, Change(hide=5), NOW + 5) == []
    store.put("a", "q", [Draft("2", b"", 600, 0)], NOW + 5)
    store.close()
    store = open_store(NOW + 5)
    (state,) = store.describe_queues("a", Page(), NOW + 5)
    assert (state.messages, state.dropped) == (1, 1)


def test_a_change_of_a_policy_goes_on_from_what_was_set(open_store: OpenStore) -> None:
    store = open_store()
    store.change_policy("a", "q", {"default_ttl": 5, "max_bytes": 7}, NOW)
    store.close()
    store = open_store()
    assert store.change_policy("a", "q", {"max_bytes": None, "max_messages": 9}, NOW) == Policy(5, max_messages=9)
    store.close()
    assert open_store().change_policy("a", "q", {}, NOW) == Policy(5, max_messages=9)


def test_receipts_are_good_after_a_restart(open_store: OpenStore) -> None:
    store = open_store()
    store.put("a", "q", [Draft(name, b"", 600, 0) for name in "123"], NOW)
    claimed = store.update_matching("a", "q", Filters(limit=3), Change(hide=60), NOW)
    receipts = [message.receipt for message in claimed]
    store.update("a", "q", ["2"], Change(hide=60), NOW)
    store.close()
    store = open_store(NOW + 30)
    extended, lost = store.update("a", "q", ["1", "2"], Change(hide=60), NOW + 30, receipts=receipts[:2])
    assert (extended.deliveries, lost) == (1, HELD)
    store.close()
    store = open_store(NOW + 89)
    first, third = store.delete("a", "q", ["1", "3"], NOW + 89.75, receipts=[receipts[0], receipts[2]])
    assert (first.id, third) == ("1", HELD)


def test_a_message_that_is_put_again_after_a_restart_is_another(open_store: OpenStore) -> None:
    store = open_store()
    store.put("a", "q", [Draft("1", b"", 600, 0)], NOW)
    (old,) = store.update_matching("a", "q", CLAIM, Change(hide=600), NOW)
    store.delete("a", "q", ["1"], NOW)
    store.close()
    store = open_store(NOW - 10)
    store.put("a", "q", [Draft("1", b"", 0, 0)], NOW)
    (new,) = store.update_matching("a", "q", CLAIM, Change(hide=600), NOW)
    assert new.sequence > old.sequence
    assert store.delete("a", "q", ["1"], NOW, receipts=[old.receipt]) == [HELD]


def test_places_are_read_on_from_after_a_restart(open_store: OpenStore) -> None:
    store = open_store()
    store.put("a", "q", [Draft(name, b"", 0, 0) for name in "123"], NOW)
    place = store.get("a", "q", ["2"], NOW)[0].sequence
    store.delete("a", "q", ["2"], NOW)
    store.close()
    store = open_store()
    store.put("a", "q", [Draft("4", b"", 0, 0)], NOW)
    assert ids(store.select("a", "q", Filters(after=place), NOW)) == ["3", "4"]
    assert ids(store.select("a", "q", Filters(after=place, newest_first=True), NOW)) == ["1"]
