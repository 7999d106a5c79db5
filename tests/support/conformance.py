"""The contract of REST v1.0 as tests, one behaviour each. For every store, directly and through every front end."""

from __future__ import annotations

import random
import unicodedata

import pytest

from support.subject import Seen, Subject


def ids(messages: list[Seen]) -> list[str]:
    return [message.id for message in messages]


def fill(subject: Subject, *names: str, queue: str = "q", account: str = "a") -> None:
    for name in names:
        subject.put(account, queue, name)


class StoreConformance:
    """Subclasses have a fixture `subject`: an empty `Subject`."""

    # One message

    def test_put_of_a_new_message_is_created(self, subject: Subject) -> None:
        assert subject.put("a", "q", "m") == "created"

    def test_get_answers_what_was_put(self, subject: Subject) -> None:
        subject.put("a", "q", "m", b"hello", ttl=100, hide=0)
        assert subject.get("a", "q", "m") == Seen("m", 100, 0, b"hello")

    def test_get_of_what_is_not_there(self, subject: Subject) -> None:
        assert subject.get("a", "q", "m") is None
        fill(subject, "m")
        assert subject.get("a", "q", "other") is None
        assert subject.get("a", "other", "m") is None
        assert subject.get("other", "q", "m") is None

    def test_get_leaves_the_message_there(self, subject: Subject) -> None:
        fill(subject, "m")
        assert subject.get("a", "q", "m") == subject.get("a", "q", "m")

    def test_delete_answers_the_message_as_it_was_and_it_is_gone(self, subject: Subject) -> None:
        subject.put("a", "q", "m", b"x", ttl=50, hide=5)
        assert subject.delete("a", "q", "m") == Seen("m", 50, 5, b"x")
        assert subject.get("a", "q", "m") is None
        assert subject.delete("a", "q", "m") is None

    def test_delete_of_what_is_not_there(self, subject: Subject) -> None:
        assert subject.delete("a", "q", "m") is None
        fill(subject, "m")
        assert subject.delete("a", "q", "other") is None
        assert ids(subject.list("a", "q")) == ["m"]

    def test_update_of_what_is_not_there(self, subject: Subject) -> None:
        assert subject.update("a", "q", "m", ttl=5) is None
        assert subject.accounts() == []

    def test_update_sets_both_attributes(self, subject: Subject) -> None:
        fill(subject, "m")
        assert subject.update("a", "q", "m", ttl=70, hide=7) == Seen("m", 70, 7, b"body")
        assert subject.get("a", "q", "m") == Seen("m", 70, 7, b"body")

    def test_update_of_hide_leaves_ttl_alone(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=100)
        subject.advance(10)
        assert subject.update("a", "q", "m", hide=7) == Seen("m", 90, 7, b"body")

    def test_update_of_ttl_leaves_hide_alone(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=100, hide=50)
        subject.advance(10)
        assert subject.update("a", "q", "m", ttl=300) == Seen("m", 300, 40, b"body")

    def test_update_of_nothing_changes_nothing(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=100, hide=50)
        subject.advance(10)
        assert subject.update("a", "q", "m") == Seen("m", 90, 40, b"body")

    def test_update_leaves_the_place(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3")
        subject.update("a", "q", "2", ttl=5, hide=0)
        assert ids(subject.list("a", "q")) == ["1", "2", "3"]

    def test_update_with_hide_0_makes_visible(self, subject: Subject) -> None:
        subject.put("a", "q", "m", hide=50)
        subject.update("a", "q", "m", hide=0)
        assert ids(subject.list("a", "q")) == ["m"]

    # Overwriting

    def test_put_of_an_id_that_is_there_replaces_it_whole(self, subject: Subject) -> None:
        subject.put("a", "q", "m", b"old", ttl=100, hide=50)
        assert subject.put("a", "q", "m", b"new", ttl=20, hide=0) == "replaced"
        assert subject.get("a", "q", "m") == Seen("m", 20, 0, b"new")
        assert ids(subject.list("a", "q", match_hidden=True)) == ["m"]

    def test_a_replaced_message_keeps_its_place(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3")
        subject.put("a", "q", "1", b"new")
        assert ids(subject.list("a", "q")) == ["1", "2", "3"]

    def test_put_can_replace_a_hidden_message_by_a_visible_one(self, subject: Subject) -> None:
        subject.put("a", "q", "1", hide=50)
        fill(subject, "2")
        assert subject.put("a", "q", "1") == "replaced"
        assert ids(subject.list("a", "q")) == ["1", "2"]

    def test_put_of_a_deleted_id_is_created_at_the_end(self, subject: Subject) -> None:
        fill(subject, "1", "2")
        subject.delete("a", "q", "1")
        assert subject.put("a", "q", "1") == "created"
        assert ids(subject.list("a", "q")) == ["2", "1"]

    def test_put_of_an_expired_id_is_created_at_the_end(self, subject: Subject) -> None:
        subject.put("a", "q", "1", ttl=10)
        fill(subject, "2")
        subject.advance(10)
        assert subject.put("a", "q", "1") == "created"
        assert ids(subject.list("a", "q")) == ["2", "1"]

    # Time

    def test_ttl_counts_down_and_rounds_up(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=10)
        seen = []
        for _ in range(4):
            message = subject.get("a", "q", "m")
            assert message is not None
            seen.append(message.ttl)
            subject.advance(0.5)
        assert seen == [10, 10, 9, 9]

    def test_hide_counts_down_and_rounds_up(self, subject: Subject) -> None:
        subject.put("a", "q", "m", hide=2)
        seen = []
        for _ in range(5):
            message = subject.get("a", "q", "m")
            assert message is not None
            seen.append(message.hide)
            subject.advance(0.5)
        assert seen == [2, 2, 1, 1, 0]

    def test_the_last_moment_of_a_message_has_a_ttl_of_1(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=10)
        subject.advance(9.75)
        assert subject.get("a", "q", "m") == Seen("m", 1, 0, b"body")

    def test_a_message_is_gone_at_the_instant_it_expires(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=10)
        subject.advance(10)
        assert subject.get("a", "q", "m") is None
        assert subject.list("a", "q", match_hidden=True) == []
        assert subject.update("a", "q", "m", ttl=100) is None
        assert subject.update_matching("a", "q", match_hidden=True, ttl=100) == []
        assert subject.delete_matching("a", "q", match_hidden=True) == []
        assert subject.delete("a", "q", "m") is None

    def test_ttl_0_never_expires(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=0)
        subject.advance(10 * 365 * 86400)
        assert subject.get("a", "q", "m") == Seen("m", 0, 0, b"body")

    def test_update_to_ttl_0_never_expires(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=10)
        assert subject.update("a", "q", "m", ttl=0) == Seen("m", 0, 0, b"body")
        subject.advance(1000)
        assert subject.get("a", "q", "m") is not None

    def test_update_can_end_a_message_that_never_expired(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=0)
        subject.update("a", "q", "m", ttl=5)
        subject.advance(5)
        assert subject.list("a", "q") == []

    def test_update_can_prolong_a_life(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=10)
        subject.advance(9)
        subject.update("a", "q", "m", ttl=10)
        subject.advance(9)
        assert subject.get("a", "q", "m") == Seen("m", 1, 0, b"body")

    def test_the_longest_times(self, subject: Subject) -> None:
        longest = 2**31 - 1
        subject.put("a", "q", "m", ttl=longest, hide=longest)
        assert subject.get("a", "q", "m") == Seen("m", longest, longest, b"body")
        subject.advance(0.5)
        assert subject.get("a", "q", "m") == Seen("m", longest, longest, b"body")

    def test_expiry_takes_only_what_is_due(self, subject: Subject) -> None:
        for name, ttl in (("1", 30), ("2", 10), ("3", 20), ("4", 0)):
            subject.put("a", "q", name, ttl=ttl)
        left = []
        for _ in range(3):
            subject.advance(10)
            left.append(ids(subject.list("a", "q")))
        assert left == [["1", "3", "4"], ["1", "4"], ["4"]]

    # Hiding

    def test_a_hidden_message_is_not_listed(self, subject: Subject) -> None:
        subject.put("a", "q", "m", hide=10)
        assert subject.list("a", "q") == []

    def test_a_hidden_message_is_reached_by_id(self, subject: Subject) -> None:
        subject.put("a", "q", "m", hide=10)
        assert subject.get("a", "q", "m") == Seen("m", 600, 10, b"body")
        assert subject.update("a", "q", "m", ttl=50) == Seen("m", 50, 10, b"body")
        assert subject.delete("a", "q", "m") == Seen("m", 50, 10, b"body")

    def test_a_hidden_message_is_listed_where_asked(self, subject: Subject) -> None:
        subject.put("a", "q", "1", hide=10)
        fill(subject, "2")
        assert ids(subject.list("a", "q", match_hidden=True)) == ["1", "2"]

    def test_a_hidden_message_reappears_at_the_instant_in_its_old_place(self, subject: Subject) -> None:
        fill(subject, "1")
        subject.put("a", "q", "2", hide=10)
        fill(subject, "3")
        subject.advance(9.75)
        assert ids(subject.list("a", "q")) == ["1", "3"]
        subject.advance(0.25)
        assert ids(subject.list("a", "q")) == ["1", "2", "3"]

    def test_a_message_hidden_for_longer_than_it_lives_is_never_listed(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=10, hide=20)
        for _ in range(5):
            assert subject.list("a", "q") == []
            subject.advance(5)
        assert subject.get("a", "q", "m") is None

    def test_a_queue_of_hidden_messages_is_listed(self, subject: Subject) -> None:
        subject.put("a", "q", "m", hide=10)
        assert subject.queues("a") == ["q"]
        assert subject.accounts() == ["a"]

    # Listing messages

    def test_order_is_that_of_insertion(self, subject: Subject) -> None:
        names = [f"{n * 7 % 100}" for n in range(100)]
        fill(subject, *names)
        assert ids(subject.list("a", "q")) == names

    def test_a_queue_that_is_not_there_lists_nothing(self, subject: Subject) -> None:
        assert subject.list("a", "q") == []
        assert subject.update_matching("a", "q", hide=5) == []
        assert subject.delete_matching("a", "q") == []
        assert subject.accounts() == []

    def test_limit_takes_the_first(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3")
        assert ids(subject.list("a", "q", limit=2)) == ["1", "2"]

    def test_a_limit_above_what_is_there_takes_all(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3")
        assert ids(subject.list("a", "q", limit=1000)) == ["1", "2", "3"]

    def test_limit_counts_only_what_matches(self, subject: Subject) -> None:
        subject.put("a", "q", "1", hide=10)
        subject.put("a", "q", "2", ttl=5)
        fill(subject, "3", "4", "5")
        subject.advance(5)
        assert ids(subject.list("a", "q", limit=2)) == ["3", "4"]

    def test_marker_lists_what_comes_after_it(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3")
        assert ids(subject.list("a", "q", marker="1")) == ["2", "3"]

    def test_marker_and_limit_together_page_through_a_queue(self, subject: Subject) -> None:
        names = [str(n) for n in range(50)]
        fill(subject, *names)
        read: list[str] = []
        while page := ids(subject.list("a", "q", limit=7, marker=read[-1] if read else None)):
            read += page
        assert read == names

    def test_nothing_comes_after_the_last_marker(self, subject: Subject) -> None:
        fill(subject, "1", "2")
        assert subject.list("a", "q", marker="2") == []

    def test_an_absent_marker_lists_from_the_beginning(self, subject: Subject) -> None:
        fill(subject, "1", "2")
        assert ids(subject.list("a", "q", marker="never")) == ["1", "2"]

    def test_a_deleted_marker_lists_from_the_beginning(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3")
        subject.delete("a", "q", "2")
        assert ids(subject.list("a", "q", marker="2")) == ["1", "3"]

    def test_an_expired_marker_lists_from_the_beginning(self, subject: Subject) -> None:
        fill(subject, "1")
        subject.put("a", "q", "2", ttl=10)
        fill(subject, "3")
        subject.advance(10)
        assert ids(subject.list("a", "q", marker="2")) == ["1", "3"]

    def test_a_hidden_marker_counts(self, subject: Subject) -> None:
        fill(subject, "1")
        subject.put("a", "q", "2", hide=10)
        fill(subject, "3")
        assert ids(subject.list("a", "q", marker="2")) == ["3"]

    def test_a_marker_of_another_queue_is_absent(self, subject: Subject) -> None:
        fill(subject, "1", "2")
        fill(subject, "x", queue="other")
        assert ids(subject.list("a", "q", marker="x")) == ["1", "2"]

    # Changing and deleting what matches

    def test_update_matching_answers_the_messages_as_they_are_after_it(self, subject: Subject) -> None:
        fill(subject, "1", "2")
        assert subject.update_matching("a", "q", ttl=30, hide=3) == [
            Seen("1", 30, 3, b"body"),
            Seen("2", 30, 3, b"body"),
        ]

    def test_update_matching_leaves_alone_what_it_does_not_name(self, subject: Subject) -> None:
        subject.put("a", "q", "1", ttl=100)
        subject.put("a", "q", "2", ttl=200)
        assert [seen.ttl for seen in subject.update_matching("a", "q", hide=3)] == [100, 200]

    def test_update_matching_passes_over_hidden_messages(self, subject: Subject) -> None:
        subject.put("a", "q", "1", hide=10)
        fill(subject, "2")
        assert ids(subject.update_matching("a", "q", ttl=30)) == ["2"]
        assert subject.get("a", "q", "1") == Seen("1", 600, 10, b"body")

    def test_update_matching_hidden_can_make_all_visible(self, subject: Subject) -> None:
        for name in ("1", "2", "3"):
            subject.put("a", "q", name, hide=10)
        assert ids(subject.update_matching("a", "q", match_hidden=True, hide=0)) == ["1", "2", "3"]
        assert ids(subject.list("a", "q")) == ["1", "2", "3"]

    def test_update_matching_heeds_limit_and_marker(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3", "4")
        assert ids(subject.update_matching("a", "q", limit=2, marker="1", hide=5)) == ["2", "3"]
        assert ids(subject.list("a", "q")) == ["1", "4"]

    def test_claims_take_one_message_after_the_other(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3")
        claimed = [ids(subject.update_matching("a", "q", limit=1, hide=60)) for _ in range(4)]
        assert claimed == [["1"], ["2"], ["3"], []]

    def test_a_claim_whose_hide_ends_is_claimed_again_first(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3")
        subject.update_matching("a", "q", limit=1, hide=60)
        subject.advance(60)
        assert ids(subject.update_matching("a", "q", limit=1, hide=60)) == ["1"]
        assert ids(subject.update_matching("a", "q", limit=1, hide=60)) == ["2"]

    def test_a_claim_can_be_prolonged(self, subject: Subject) -> None:
        fill(subject, "1")
        subject.update_matching("a", "q", limit=1, hide=60)
        subject.advance(50)
        subject.update("a", "q", "1", hide=60)
        subject.advance(50)
        assert subject.update_matching("a", "q", limit=1, hide=60) == []

    def test_a_claim_can_be_given_back(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3")
        subject.update_matching("a", "q", limit=2, hide=60)
        subject.update("a", "q", "1", hide=0)
        assert ids(subject.update_matching("a", "q", limit=1, hide=60)) == ["1"]

    def test_claims_go_on_after_new_messages(self, subject: Subject) -> None:
        fill(subject, "1")
        assert ids(subject.update_matching("a", "q", limit=1, hide=60)) == ["1"]
        assert subject.update_matching("a", "q", limit=1, hide=60) == []
        fill(subject, "2")
        assert ids(subject.update_matching("a", "q", limit=1, hide=60)) == ["2"]

    def test_a_finished_job_does_not_come_back(self, subject: Subject) -> None:
        fill(subject, "1")
        subject.update_matching("a", "q", limit=1, hide=60)
        subject.delete("a", "q", "1")
        subject.advance(60)
        assert subject.list("a", "q", match_hidden=True) == []

    def test_delete_matching_pops_the_first(self, subject: Subject) -> None:
        subject.put("a", "q", "1", b"one", ttl=50)
        fill(subject, "2", "3")
        assert subject.delete_matching("a", "q", limit=2) == [Seen("1", 50, 0, b"one"), Seen("2", 600, 0, b"body")]
        assert ids(subject.list("a", "q")) == ["3"]

    def test_delete_matching_leaves_hidden_messages(self, subject: Subject) -> None:
        subject.put("a", "q", "1", hide=10)
        fill(subject, "2")
        assert ids(subject.delete_matching("a", "q")) == ["2"]
        assert ids(subject.list("a", "q", match_hidden=True)) == ["1"]

    def test_delete_matching_hidden_takes_all(self, subject: Subject) -> None:
        subject.put("a", "q", "1", hide=10)
        fill(subject, "2")
        assert subject.delete_matching("a", "q", match_hidden=True) == [
            Seen("1", 600, 10, b"body"),
            Seen("2", 600, 0, b"body"),
        ]
        assert subject.queues("a") == []

    def test_delete_matching_heeds_marker(self, subject: Subject) -> None:
        fill(subject, "1", "2", "3")
        assert ids(subject.delete_matching("a", "q", marker="1")) == ["2", "3"]
        assert ids(subject.list("a", "q")) == ["1"]

    # Queues and accounts

    def test_nothing_is_there_at_first(self, subject: Subject) -> None:
        assert subject.accounts() == []
        assert subject.queues("a") == []

    def test_an_account_and_a_queue_appear_with_the_first_message(self, subject: Subject) -> None:
        fill(subject, "m")
        assert subject.accounts() == ["a"]
        assert subject.queues("a") == ["q"]

    def test_a_queue_vanishes_with_its_last_message(self, subject: Subject) -> None:
        fill(subject, "m")
        fill(subject, "m", queue="other")
        subject.delete("a", "q", "m")
        assert subject.queues("a") == ["other"]
        assert subject.accounts() == ["a"]

    def test_an_account_vanishes_with_its_last_queue(self, subject: Subject) -> None:
        fill(subject, "m")
        fill(subject, "m", account="b")
        subject.delete_matching("a", "q")
        assert subject.accounts() == ["b"]
        assert subject.queues("a") == []

    def test_a_queue_vanishes_by_expiry(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=10)
        fill(subject, "m", queue="other")
        subject.advance(10)
        assert subject.queues("a") == ["other"]

    def test_an_account_vanishes_by_expiry(self, subject: Subject) -> None:
        subject.put("a", "q", "m", ttl=10)
        fill(subject, "m", account="b")
        subject.advance(10)
        assert subject.accounts() == ["b"]
        assert subject.queues("a") == []

    def test_a_queue_stays_while_any_message_does(self, subject: Subject) -> None:
        subject.put("a", "q", "1", ttl=50)
        subject.put("a", "q", "2", ttl=10)
        subject.delete("a", "q", "1")
        assert subject.queues("a") == ["q"]
        subject.advance(10)
        assert subject.queues("a") == []

    def test_queues_and_accounts_are_in_order_of_appearance(self, subject: Subject) -> None:
        for name in ("z", "a", "m"):
            fill(subject, "1", queue=name, account="acc")
            fill(subject, "1", account=name)
        fill(subject, "2", queue="z", account="acc")
        assert subject.queues("acc") == ["z", "a", "m"]
        assert subject.accounts() == ["acc", "z", "a", "m"]

    def test_a_queue_that_reappears_is_at_the_end(self, subject: Subject) -> None:
        for name in ("1", "2", "3"):
            fill(subject, "m", queue=name)
        subject.delete("a", "1", "m")
        fill(subject, "m", queue="1")
        assert subject.queues("a") == ["2", "3", "1"]

    def test_a_queue_that_reappears_after_expiry_is_at_the_end(self, subject: Subject) -> None:
        subject.put("a", "1", "m", ttl=10)
        fill(subject, "m", queue="2")
        subject.advance(10)
        assert subject.put("a", "1", "m") == "created"
        assert subject.queues("a") == ["2", "1"]

    def test_an_account_that_reappears_is_at_the_end(self, subject: Subject) -> None:
        for name in ("1", "2", "3"):
            fill(subject, "m", account=name)
        subject.delete("1", "q", "m")
        fill(subject, "m", account="1")
        assert subject.accounts() == ["2", "3", "1"]

    def test_an_account_that_reappears_after_expiry_is_at_the_end(self, subject: Subject) -> None:
        subject.put("1", "q", "m", ttl=10)
        fill(subject, "m", account="2")
        subject.advance(10)
        subject.put("1", "new", "m")
        assert subject.accounts() == ["2", "1"]
        assert subject.queues("1") == ["new"]

    def test_a_queue_that_reappears_has_none_of_its_old_messages(self, subject: Subject) -> None:
        fill(subject, "1", "2")
        subject.delete_queues("a")
        fill(subject, "3")
        assert ids(subject.list("a", "q", match_hidden=True)) == ["3"]

    def test_queues_heed_limit_and_marker(self, subject: Subject) -> None:
        for name in ("1", "2", "3", "4"):
            fill(subject, "m", queue=name)
        assert subject.queues("a", limit=2) == ["1", "2"]
        assert subject.queues("a", marker="2") == ["3", "4"]
        assert subject.queues("a", limit=1, marker="2") == ["3"]
        assert subject.queues("a", marker="4") == []
        assert subject.queues("a", marker="never") == ["1", "2", "3", "4"]

    def test_accounts_heed_limit_and_marker(self, subject: Subject) -> None:
        for name in ("1", "2", "3", "4"):
            fill(subject, "m", account=name)
        assert subject.accounts(limit=2) == ["1", "2"]
        assert subject.accounts(marker="2") == ["3", "4"]
        assert subject.accounts(limit=1, marker="2") == ["3"]
        assert subject.accounts(marker="4") == []
        assert subject.accounts(marker="never") == ["1", "2", "3", "4"]

    def test_a_marker_whose_queue_or_account_expired_is_absent(self, subject: Subject) -> None:
        fill(subject, "m", queue="1")
        subject.put("a", "2", "m", ttl=10)
        fill(subject, "m", queue="3")
        subject.put("b", "q", "m", ttl=10)
        subject.advance(10)
        assert subject.queues("a", marker="2") == ["1", "3"]
        assert subject.accounts(marker="b") == ["a"]

    def test_limit_counts_only_queues_and_accounts_that_are_there(self, subject: Subject) -> None:
        subject.put("a", "1", "m", ttl=10)
        subject.put("b", "1", "m", ttl=10)
        subject.put("b", "2", "m")
        subject.put("b", "3", "m")
        subject.advance(10)
        assert subject.queues("b", limit=1) == ["2"]
        assert subject.accounts(limit=1) == ["b"]

    def test_delete_queues_deletes_all_and_names_them(self, subject: Subject) -> None:
        fill(subject, "m", queue="1")
        subject.put("a", "2", "m", hide=10)
        fill(subject, "m", account="b")
        assert subject.delete_queues("a") == ["1", "2"]
        assert subject.delete_queues("a") == []
        assert subject.accounts() == ["b"]
        assert subject.get("a", "2", "m") is None

    def test_delete_queues_heeds_limit_and_marker(self, subject: Subject) -> None:
        for name in ("1", "2", "3", "4"):
            fill(subject, "m", queue=name)
        assert subject.delete_queues("a", limit=2, marker="1") == ["2", "3"]
        assert subject.queues("a") == ["1", "4"]

    def test_delete_accounts_deletes_all_and_names_them(self, subject: Subject) -> None:
        fill(subject, "m", queue="1")
        fill(subject, "m", queue="2")
        fill(subject, "m", account="b")
        assert subject.delete_accounts() == ["a", "b"]
        assert subject.delete_accounts() == []
        assert subject.accounts() == []
        assert subject.queues("a") == []

    def test_delete_accounts_heeds_limit_and_marker(self, subject: Subject) -> None:
        for name in ("1", "2", "3", "4"):
            fill(subject, "m", account=name)
        assert subject.delete_accounts(limit=2, marker="1") == ["2", "3"]
        assert subject.accounts() == ["1", "4"]

    def test_deleting_does_not_name_what_had_expired(self, subject: Subject) -> None:
        subject.put("a", "1", "m", ttl=10)
        subject.put("b", "1", "m", ttl=10)
        fill(subject, "m", queue="2")
        subject.advance(10)
        assert subject.delete_queues("a") == ["2"]
        assert subject.delete_accounts() == []

    # Tenants

    def test_the_same_names_in_two_accounts_are_apart(self, subject: Subject) -> None:
        assert subject.put("a", "q", "m", b"of a") == "created"
        assert subject.put("b", "q", "m", b"of b") == "created"
        subject.update("a", "q", "m", hide=50)
        assert subject.get("b", "q", "m") == Seen("m", 600, 0, b"of b")
        subject.delete_accounts(limit=1)
        assert subject.accounts() == ["b"]
        assert subject.get("b", "q", "m") == Seen("m", 600, 0, b"of b")

    def test_the_same_id_in_two_queues_is_apart(self, subject: Subject) -> None:
        subject.put("a", "1", "m", b"of 1")
        subject.put("a", "2", "m", b"of 2")
        subject.delete("a", "1", "m")
        assert subject.get("a", "2", "m") == Seen("m", 600, 0, b"of 2")

    def test_an_account_a_queue_and_a_message_may_have_one_name(self, subject: Subject) -> None:
        subject.put("same", "same", "same")
        assert subject.accounts() == subject.queues("same") == ids(subject.list("same", "same")) == ["same"]

    # Bodies and names

    @pytest.mark.parametrize(
        "body",
        [b"", b"\0", b"\xff\xfe\x80", bytes(range(256)), "häse".encode(), b'{"json": [1]}', b"\r\n\r\n"],
        ids=["empty", "nul", "no UTF-8", "every byte", "UTF-8", "JSON", "line ends"],
    )
    def test_a_body_is_kept_byte_for_byte(self, subject: Subject, body: bytes) -> None:
        subject.put("a", "q", "m", body)
        assert subject.get("a", "q", "m") == Seen("m", 600, 0, body)
        assert subject.list("a", "q") == [Seen("m", 600, 0, body)]
        assert subject.delete_matching("a", "q") == [Seen("m", 600, 0, body)]

    def test_a_large_body_is_kept(self, subject: Subject) -> None:
        body = random.Random(1).randbytes(1 << 20)
        subject.put("a", "q", "m", body)
        assert subject.get("a", "q", "m") == Seen("m", 600, 0, body)

    @pytest.mark.parametrize(
        "name",
        ["ü", "兎", "🐇", "a b", "a%2Fb", "100%", "a+b", "a?b=c&d", "#", "'\"\\", "...", "%", "x" * 255, "é" * 127],
    )
    def test_a_name_is_kept(self, subject: Subject, name: str) -> None:
        subject.put(name, name, name)
        assert subject.accounts() == [name]
        assert subject.queues(name) == [name]
        assert ids(subject.list(name, name)) == [name]
        assert subject.get(name, name, name) is not None
        assert subject.list(name, name, marker=name) == []

    def test_names_that_differ_only_in_normal_form_are_two(self, subject: Subject) -> None:
        composed = unicodedata.normalize("NFC", "é")
        decomposed = unicodedata.normalize("NFD", "é")
        for name in (composed, decomposed):
            assert subject.put("a", "q", name, name.encode()) == "created"
            fill(subject, "m", queue=name)
            fill(subject, "m", account=name)
        assert ids(subject.list("a", "q")) == [composed, decomposed]
        assert subject.queues("a") == ["q", composed, decomposed]
        assert subject.accounts() == ["a", composed, decomposed]

    def test_names_that_differ_only_in_case_or_trailing_spaces_are_two(self, subject: Subject) -> None:
        for name in ("a", "A", "a ", " a"):
            assert subject.put("t", "q", name) == "created"
        assert ids(subject.list("t", "q")) == ["a", "A", "a ", " a"]
