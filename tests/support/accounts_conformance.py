"""The contract of accounts' totals and quotas, and of what is counted, as tests. For every store."""

from __future__ import annotations

import pytest

from leveret.model import AccountState, Activity, Change, Draft, Filters, Page, Policy, Put, Quota
from leveret.store.base import AccountFull, QueueFull, Store
from support.interface_conformance import CLAIM, NOW, OpenedStore
from support.subject import Settle


def drafts(*ids: str, size: int = 1, ttl: int = 600, hide: int = 0, only_new: bool = False) -> list[Draft]:
    return [Draft(id, b"x" * size, ttl, hide, only_new=only_new) for id in ids]


def counted(store: Store) -> dict[tuple[str, str], Activity]:
    return {(account, queue): activity for account, queue, activity in store.activity() if activity != Activity()}


class AccountsConformance(OpenedStore):
    """For every store."""

    # What an account has

    def test_accounts_are_described_in_their_order(self, store: Store, settle: Settle) -> None:
        settle(store.put("b", "q", drafts("1", "2", size=5), NOW))
        settle(store.put("a", "q", drafts("1"), NOW))
        settle(store.put("b", "r", drafts("1", hide=60), NOW))
        states = [AccountState("b", 2, 3, 11), AccountState("a", 1, 1, 1)]
        assert settle(store.describe_accounts(Page(), NOW)) == states
        assert settle(store.describe_accounts(Page(limit=1), NOW)) == states[:1]
        assert settle(store.describe_accounts(Page(marker="b"), NOW)) == states[1:]

    def test_what_expired_is_in_no_total(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", drafts("1", "2", ttl=10), NOW))
        settle(store.put("a", "q", drafts("3"), NOW))
        settle(store.put("a", "r", drafts("1", ttl=10), NOW))
        settle(store.put("b", "q", drafts("1", ttl=10), NOW))
        assert settle(store.describe_accounts(Page(), NOW + 9.99)) == [
            AccountState("a", 2, 4, 4), AccountState("b", 1, 1, 1)
        ]  # fmt: skip
        assert settle(store.describe_accounts(Page(), NOW + 10)) == [AccountState("a", 1, 1, 1)]

    def test_totals_follow_whatever_happens(self, store: Store, settle: Settle) -> None:
        def totals() -> tuple[int, int, int]:
            (state,) = settle(store.describe_accounts(Page(), NOW)) or [AccountState("a", 0, 0, 0)]
            return state.queues, state.messages, state.bytes

        settle(store.put("a", "q", drafts("1", "2", "3", "4", "5"), NOW))
        assert totals() == (1, 5, 5)
        settle(store.put("a", "q", drafts("1", size=9), NOW))
        assert totals() == (1, 5, 13)
        settle(store.put("a", "q", drafts("1", only_new=True), NOW))
        assert totals() == (1, 5, 13)
        settle(store.delete("a", "q", ["1", "none"], NOW))
        assert totals() == (1, 4, 4)
        settle(store.delete_matching("a", "q", CLAIM, NOW))
        assert totals() == (1, 3, 3)
        (claimed,) = settle(store.update_matching("a", "q", CLAIM, Change(hide=5), NOW))
        settle(store.delete("a", "q", [claimed.id], NOW, receipts=[claimed.receipt]))
        assert totals() == (1, 2, 2)
        settle(store.put("a", "r", drafts("1", "2"), NOW))
        assert totals() == (2, 4, 4)
        settle(store.delete_matching("a", "q", Filters(), NOW))
        assert totals() == (1, 2, 2)
        settle(store.delete_queues("a", Page(), NOW))
        assert totals() == (0, 0, 0)
        settle(store.put("a", "q", drafts("1"), NOW))
        settle(store.delete_accounts(Page(), NOW))
        settle(store.put("a", "q", drafts("1"), NOW))
        assert totals() == (1, 1, 1)

    # Quotas

    def test_messages_up_to_the_quota_are_stored_in_any_queue(self, store: Store, settle: Settle) -> None:
        quota = Quota(messages=3)
        assert settle(store.put("a", "q", drafts("1", "2"), NOW, quota)) == [Put.CREATED] * 2
        assert settle(store.put("a", "r", drafts("1"), NOW, quota)) == [Put.CREATED]
        for queue in ("q", "r", "new"):
            with pytest.raises(AccountFull, match="it may have 3 messages; nothing was stored"):
                settle(store.put("a", queue, drafts("9"), NOW, quota))
        assert settle(store.put("b", "q", drafts("1"), NOW, quota)) == [Put.CREATED]

    def test_nothing_is_stored_of_what_does_not_fit_as_a_whole(self, store: Store, settle: Settle) -> None:
        with pytest.raises(AccountFull):
            settle(store.put("a", "q", drafts("1", "2"), NOW, Quota(messages=1)))
        assert settle(store.list_accounts(Page(), NOW)) == []
        settle(store.put("a", "q", drafts("1"), NOW))
        with pytest.raises(AccountFull):
            settle(store.put("a", "q", drafts("1", "2", size=2), NOW, Quota(messages=1)))
        assert [each.body for each in settle(store.select("a", "q", Filters(), NOW))] == [b"x"]

    def test_bytes_are_those_of_all_bodies(self, store: Store, settle: Settle) -> None:
        quota = Quota(bytes=10)
        settle(store.put("a", "q", drafts("1", size=6), NOW, quota))
        settle(store.put("a", "r", drafts("1", size=4), NOW, quota))
        assert settle(store.put("a", "r", drafts("2", size=0), NOW, quota)) == [Put.CREATED]
        with pytest.raises(AccountFull, match="10 bytes"):
            settle(store.put("a", "r", drafts("3"), NOW, quota))

    def test_a_replacement_counts_by_its_difference(self, store: Store, settle: Settle) -> None:
        quota = Quota(messages=2, bytes=10)
        settle(store.put("a", "q", drafts("1", size=6), NOW, quota))
        settle(store.put("a", "r", drafts("1", size=4), NOW, quota))
        assert settle(store.put("a", "q", drafts("1", size=6), NOW, quota)) == [Put.REPLACED]
        with pytest.raises(AccountFull):
            settle(store.put("a", "q", drafts("1", size=7), NOW, quota))
        assert settle(store.put("a", "q", drafts("1", size=5), NOW, quota)) == [Put.REPLACED]
        assert settle(store.put("a", "q", drafts("1", "1", size=6), NOW, quota)) == [Put.REPLACED] * 2
        assert settle(store.put("a", "q", drafts("1", size=99, only_new=True), NOW, quota)) == [Put.EXISTS]

    def test_what_makes_an_account_over_its_quota_no_fuller_is_possible(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", drafts("1", "2", size=9), NOW))
        assert settle(store.put("a", "q", drafts("1", size=8), NOW, Quota(1, 5, 0))) == [Put.REPLACED]

    def test_a_new_queue_counts_and_one_that_is_there_does_not(self, store: Store, settle: Settle) -> None:
        quota = Quota(queues=2)
        for queue in ("q", "r", "q", "r"):
            settle(store.put("a", queue, drafts(f"{queue}"), NOW, quota))
        with pytest.raises(AccountFull, match="it may have 2 queues"):
            settle(store.put("a", "s", drafts("1"), NOW, quota))
        settle(store.delete("a", "q", ["q"], NOW))
        assert settle(store.put("a", "s", drafts("1"), NOW, quota)) == [Put.CREATED]
        assert settle(store.list_queues("a", Page(), NOW)) == ["r", "s"]

    def test_all_limits_are_named(self, store: Store, settle: Settle) -> None:
        with pytest.raises(AccountFull, match="1,000 messages, 5 bytes and 0 queues"):
            settle(store.put("a", "q", drafts("1"), NOW, Quota(1000, 5, 0)))

    def test_what_expired_makes_room_to_the_instant(self, store: Store, settle: Settle) -> None:
        quota = Quota(messages=4, bytes=4, queues=2)
        settle(store.put("a", "q", drafts("1", "2", ttl=10), NOW, quota))
        settle(store.put("a", "r", drafts("1", "2", ttl=20), NOW, quota))
        with pytest.raises(AccountFull):
            settle(store.put("a", "q", drafts("3"), NOW + 9.99, quota))
        with pytest.raises(AccountFull):
            settle(store.put("a", "s", drafts("1"), NOW + 9.99, quota))
        assert settle(store.put("a", "s", drafts("1"), NOW + 10, quota)) == [Put.CREATED]
        with pytest.raises(AccountFull):
            settle(store.put("a", "s", drafts("2", "3"), NOW + 10, quota))
        assert settle(store.put("a", "t", drafts("1", "2", "3"), NOW + 20, quota)) == [Put.CREATED] * 3

    def test_an_expired_message_is_not_replaced(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", drafts("1", ttl=10), NOW))
        settle(store.put("a", "q", drafts("2", "3"), NOW))
        with pytest.raises(AccountFull):
            settle(store.put("a", "q", drafts("1"), NOW + 10, Quota(messages=2)))
        assert settle(store.put("a", "q", drafts("1"), NOW + 10, Quota(messages=3))) == [Put.CREATED]

    def test_many_that_expired_in_many_queues_make_room(self, store: Store, settle: Settle) -> None:
        for number in range(120):
            settle(store.put("a", f"{number}", drafts(*map(str, range(30)), ttl=10), NOW))
        settle(store.put("a", "deep", drafts(*map(str, range(2500)), ttl=10), NOW))
        settle(store.put("a", "deep", drafts("last", ttl=0), NOW))
        quota = Quota(messages=2, queues=2)
        assert settle(store.put("a", "new", drafts("1"), NOW + 10, quota)) == [Put.CREATED]
        assert settle(store.describe_accounts(Page(), NOW + 10)) == [AccountState("a", 2, 2, 2)]

    def test_the_policy_of_the_queue_is_asked_as_well(self, store: Store, settle: Settle) -> None:
        settle(store.change_policy("a", "q", {"max_messages": 2}, NOW))
        settle(store.put("a", "q", drafts("1", "2"), NOW, Quota(messages=3)))
        with pytest.raises(QueueFull):
            settle(store.put("a", "q", drafts("3"), NOW, Quota(messages=3)))
        with pytest.raises(AccountFull):
            settle(store.put("a", "r", drafts("3", "4"), NOW, Quota(messages=3)))
        assert settle(store.change_policy("a", "q", {}, NOW)) == Policy(max_messages=2)

    def test_no_drafts_are_within_any_quota(self, store: Store, settle: Settle) -> None:
        assert settle(store.put("a", "q", [], NOW, Quota(0, 0, 0))) == []
        assert settle(store.list_accounts(Page(), NOW)) == []

    def test_dead_letters_move_whatever_the_quota_and_count(self, store: Store, settle: Settle) -> None:
        quota = Quota(messages=2, queues=1)
        settle(store.change_policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"}, NOW))
        settle(store.put("a", "q", drafts("1", "2"), NOW, quota))
        settle(store.update_matching("a", "q", CLAIM, Change(hide=1), NOW))
        settle(store.update_matching("a", "q", CLAIM, Change(hide=1), NOW + 1))
        assert settle(store.describe_accounts(Page(), NOW + 1)) == [AccountState("a", 2, 2, 2)]
        with pytest.raises(AccountFull):
            settle(store.put("a", "q", drafts("3"), NOW + 1, quota))

    # What happened

    def test_nothing_is_counted_before_somebody_wants_it(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", drafts("1"), NOW))
        assert store.activity() == []

    def test_each_thing_is_counted_once(self, store: Store, settle: Settle) -> None:
        store.count_activity(True)
        settle(store.put("a", "q", drafts("1", "2", "3", "4"), NOW))
        settle(store.put("a", "q", drafts("1"), NOW))
        settle(store.put("a", "q", drafts("1", only_new=True), NOW))
        settle(store.put("a", "r", drafts("1", ttl=10), NOW))
        (claimed,) = settle(store.update_matching("a", "q", CLAIM, Change(hide=5), NOW))
        settle(store.update("a", "q", ["2", "3", "none"], Change(hide=5), NOW))
        settle(store.update("a", "q", ["1"], Change(hide=9), NOW, receipts=[claimed.receipt]))
        settle(store.update("a", "q", ["1"], Change(hide=0, ttl=60), NOW))
        settle(store.get("a", "q", ["1"], NOW))
        settle(store.delete("a", "q", ["1", "none"], NOW))
        settle(store.delete_matching("a", "q", CLAIM, NOW))
        settle(store.sweep(NOW + 10))
        settle(store.sweep(NOW + 10))
        assert counted(store) == {("a", "q"): Activity(5, 3, 2, 0, 0), ("a", "r"): Activity(1, 0, 0, 1, 0)}

    def test_a_message_that_is_deleted_by_its_receipt_is_counted(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", drafts("1", "2"), NOW))
        claimed, other = settle(store.update_matching("a", "q", Filters(limit=2), Change(hide=5), NOW))
        store.count_activity(True)
        settle(store.delete("a", "q", ["1", "2"], NOW, receipts=[claimed.receipt, claimed.receipt]))
        settle(store.delete("a", "q", ["2"], NOW, receipts=[other.receipt]))
        assert counted(store) == {("a", "q"): Activity(deleted=2)}

    def test_dead_letters_are_counted_where_they_were(self, store: Store, settle: Settle) -> None:
        settle(store.change_policy("a", "q", {"max_deliveries": 1, "dead_letter": "dead"}, NOW))
        settle(store.put("a", "q", drafts("1", "2"), NOW))
        settle(store.update_matching("a", "q", Filters(limit=2), Change(hide=1), NOW))
        store.count_activity(True)
        settle(store.update_matching("a", "q", CLAIM, Change(hide=1), NOW + 1))
        assert counted(store) == {("a", "q"): Activity(dead=2)}
        settle(store.change_policy("a", "dead", {"max_deliveries": 1}, NOW))
        settle(store.update_matching("a", "dead", CLAIM, Change(hide=1), NOW + 1))
        settle(store.update_matching("a", "dead", CLAIM, Change(hide=5), NOW + 2))
        assert counted(store) == {("a", "q"): Activity(dead=2), ("a", "dead"): Activity(claimed=2, dead=1)}

    @pytest.mark.parametrize("number", [3, 1200])
    def test_what_goes_with_its_queue_or_account_is_deleted_but_for_what_expired(
        self, store: Store, settle: Settle, number: int
    ) -> None:
        store.count_activity(True)
        for account in ("a", "b", "c"):
            for queue in ("q", "r"):
                settle(store.put(account, queue, drafts(*map(str, range(number))), NOW))
                settle(store.put(account, queue, drafts("old", ttl=10), NOW))
        settle(store.delete_queues("a", Page(limit=1), NOW + 10))
        settle(store.delete_accounts(Page(marker="a", limit=1), NOW + 10))
        settle(store.delete_matching("c", "q", Filters(), NOW + 10))
        due = settle(store.sweep(NOW + 10))
        while due is not None and due <= NOW + 10:
            due = settle(store.sweep(NOW + 10))
        gone, left = Activity(number + 1, 0, number, 1, 0), Activity(number + 1, 0, 0, 1, 0)
        assert counted(store) == {
            ("a", "q"): gone, ("a", "r"): left, ("b", "q"): gone, ("b", "r"): gone, ("c", "q"): gone, ("c", "r"): left,
        }  # fmt: skip

    def test_a_queue_that_comes_again_goes_on_where_it_was(self, store: Store, settle: Settle) -> None:
        store.count_activity(True)
        for _ in range(3):
            settle(store.put("a", "q", drafts("1"), NOW))
            settle(store.delete("a", "q", ["1"], NOW))
        assert counted(store) == {("a", "q"): Activity(put=3, deleted=3)}

    def test_what_was_counted_stays_while_nothing_is(self, store: Store, settle: Settle) -> None:
        store.count_activity(True)
        settle(store.put("a", "q", drafts("1"), NOW))
        store.count_activity(False)
        settle(store.put("a", "q", drafts("2"), NOW))
        assert counted(store) == {("a", "q"): Activity(put=1)}
        store.count_activity(True)
        settle(store.put("a", "q", drafts("3"), NOW))
        assert counted(store) == {("a", "q"): Activity(put=2)}

    def test_what_is_refused_is_not_counted(self, store: Store, settle: Settle) -> None:
        store.count_activity(True)
        settle(store.put("a", "q", drafts("1"), NOW))
        with pytest.raises(AccountFull):
            settle(store.put("a", "r", drafts("1"), NOW, Quota(messages=1)))
        assert counted(store) == {("a", "q"): Activity(put=1)}

    def test_an_answer_is_a_copy(self, store: Store, settle: Settle) -> None:
        store.count_activity(True)
        settle(store.put("a", "q", drafts("1"), NOW))
        ((_, _, before),) = store.activity()
        settle(store.put("a", "q", drafts("2"), NOW))
        assert before == Activity(put=1)
