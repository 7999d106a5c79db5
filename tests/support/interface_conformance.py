"""The contract of the `Store` interface that REST v1.0 does not show, as tests. For every store."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from leveret.model import Change, Draft, Filters, Meta, Page, Put
from leveret.store.base import Store
from support.subject import START, Settle, at_once

NOW = START
CLAIM = Filters(limit=1)


class Heard:
    """Signals that are remembered."""

    def __init__(self) -> None:
        self.visibles: list[tuple[str, str, float]] = []
        self.dues: list[float] = []
        self.deaths: list[tuple[str, str, int, int]] = []

    def visible(self, account: str, queue: str, at: float) -> None:
        self.visibles.append((account, queue, at))

    def due(self, at: float) -> None:
        self.dues.append(at)

    def dead(self, account: str, queue: str, moved: int, dropped: int) -> None:
        self.deaths.append((account, queue, moved, dropped))


class OpenedStore:
    """The fixtures of what a store is asked directly.

    Subclasses have a fixture `make_store`, which makes a store, not yet open; `settle` where answers come later.
    """

    @pytest.fixture
    def settle(self) -> Settle:
        return at_once

    @pytest.fixture
    def heard(self) -> Heard:
        return Heard()

    @pytest.fixture
    def store(self, make_store: Callable[[], Store], heard: Heard) -> Iterator[Store]:
        store = make_store()
        store.open(heard, NOW)
        yield store
        store.close()


class StoreInterfaceConformance(OpenedStore):
    """For every store."""

    # Several at a time

    def test_several_drafts_are_stored_in_order(self, store: Store, settle: Settle) -> None:
        drafts = [Draft(name, name.encode(), 600, 0) for name in ("2", "1", "3")]
        assert settle(store.put("a", "q", drafts, NOW)) == [Put.CREATED] * 3
        assert [message.id for message in settle(store.select("a", "q", Filters(), NOW))] == ["2", "1", "3"]

    def test_several_drafts_may_replace_and_create(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW))
        drafts = [Draft("2", b"", 600, 0), Draft("1", b"", 600, 0), Draft("2", b"new", 600, 0)]
        assert settle(store.put("a", "q", drafts, NOW)) == [Put.CREATED, Put.REPLACED, Put.REPLACED]
        found = settle(store.select("a", "q", Filters(), NOW))
        assert [(message.id, message.body) for message in found] == [("1", b""), ("2", b"new")]

    def test_no_drafts_make_no_queue(self, store: Store, settle: Settle) -> None:
        assert settle(store.put("a", "q", [], NOW)) == []
        assert settle(store.list_accounts(Page(), NOW)) == []

    def test_answers_by_id_are_in_the_order_of_the_ids(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft(name, b"", 600, 0) for name in "123"], NOW))
        ids = ["3", "none", "1"]
        for answer in (
            store.get("a", "q", ids, NOW),
            store.update("a", "q", ids, Change(hide=5), NOW),
            store.delete("a", "q", ids, NOW),
        ):
            assert [message and message.id for message in settle(answer)] == ["3", None, "1"]
        assert [message.id for message in settle(store.select("a", "q", Filters(), NOW))] == ["2"]

    def test_answers_by_id_of_a_queue_that_is_not_there(self, store: Store, settle: Settle) -> None:
        assert settle(store.get("a", "q", ["1", "2"], NOW)) == [None, None]
        assert settle(store.update("a", "q", ["1", "2"], Change(ttl=5), NOW)) == [None, None]
        assert settle(store.delete("a", "q", ["1", "2"], NOW)) == [None, None]

    def test_an_id_that_is_deleted_twice_in_one_call_is_there_once(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW))
        first, second = settle(store.delete("a", "q", ["1", "1"], NOW))
        assert first.id == "1"
        assert second is None

    # What a message carries

    def test_a_message_has_its_times_and_its_place(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"x", 600, 0), Draft("2", b"y", 0, 5)], NOW))
        first, second = settle(store.get("a", "q", ["1", "2"], NOW + 1))
        assert (first.created, first.expires, first.visible_at) == (NOW, NOW + 600, 0.0)
        assert (second.created, second.expires, second.visible_at) == (NOW, float("inf"), NOW + 5)
        assert first.sequence < second.sequence
        assert first.meta is None

    def test_a_sequence_is_never_used_twice(self, store: Store, settle: Settle) -> None:
        seen: list[int] = []
        for _ in range(3):
            settle(store.put("a", "q", [Draft("1", b"", 600, 0), Draft("2", b"", 600, 0)], NOW))
            seen += [message.sequence for message in settle(store.delete("a", "q", ["1", "2"], NOW))]
        for _ in range(2):
            settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW))
            seen += [message.sequence for message in settle(store.select("a", "q", Filters(), NOW))]
            settle(store.delete_queues("a", Page(), NOW))
        assert seen == sorted(set(seen))

    def test_replacing_keeps_the_sequence_and_renews_the_rest(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 0, Meta("text/plain"))], NOW))
        (before,) = settle(store.update_matching("a", "q", CLAIM, Change(hide=5), NOW))
        settle(store.put("a", "q", [Draft("1", b"", 600, 0, Meta("image/png"))], NOW + 1))
        (after,) = settle(store.get("a", "q", ["1"], NOW + 1))
        assert after.sequence == before.sequence
        assert (before.deliveries, after.deliveries) == (1, 0)
        assert after.created == NOW + 1
        assert after.meta == Meta("image/png")
        settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW + 2))
        assert settle(store.get("a", "q", ["1"], NOW + 2))[0].meta is None

    def test_meta_is_kept(self, store: Store, settle: Settle) -> None:
        meta = Meta("text/plain", {"trace": "1"}, "key", "group")
        settle(store.put("a", "q", [Draft("1", b"", 600, 0), Draft("2", b"", 600, 0, meta)], NOW))
        settle(store.update("a", "q", ["2"], Change(hide=5), NOW))
        assert [m.meta for m in settle(store.delete("a", "q", ["1", "2"], NOW))] == [None, meta]

    def test_hiding_by_a_change_is_a_delivery(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 0), Draft("2", b"", 600, 50)], NOW))
        changes = [Change(hide=5), Change(hide=0), Change(ttl=50), Change(), Change(ttl=50, hide=5)]
        counts = [settle(store.update("a", "q", ["1"], change, NOW))[0].deliveries for change in changes]
        assert counts == [1, 1, 1, 1, 2]
        (claimed,) = settle(store.update_matching("a", "q", CLAIM, Change(hide=5), NOW + 5))
        assert (claimed.id, claimed.deliveries) == ("1", 3)
        assert settle(store.get("a", "q", ["2"], NOW))[0].deliveries == 0

    def test_a_message_that_was_answered_does_not_change(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"old", 600, 0)], NOW))
        (before,) = settle(store.get("a", "q", ["1"], NOW))
        settle(store.update("a", "q", ["1"], Change(ttl=5, hide=5), NOW))
        settle(store.put("a", "q", [Draft("1", b"new", 7, 0)], NOW))
        settle(store.delete("a", "q", ["1"], NOW))
        assert (before.body, before.expires, before.visible_at, before.deliveries) == (b"old", NOW + 600, 0.0, 0)

    # Signals

    def test_each_put_is_signalled(self, store: Store, settle: Settle, heard: Heard) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 0), Draft("2", b"", 600, 30)], NOW))
        assert heard.visibles == [("a", "q", NOW), ("a", "q", NOW + 30)]
        settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW + 1))
        assert heard.visibles[2:] == [("a", "q", NOW + 1)]

    def test_each_change_of_hide_is_signalled(self, store: Store, settle: Settle, heard: Heard) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 0), Draft("2", b"", 600, 0)], NOW))
        heard.visibles.clear()
        settle(store.update_matching("a", "q", CLAIM, Change(hide=60), NOW))
        settle(store.update("a", "q", ["1", "none"], Change(hide=0), NOW + 1))
        assert heard.visibles == [("a", "q", NOW + 60), ("a", "q", NOW + 1)]

    def test_what_makes_nothing_visible_is_not_signalled(self, store: Store, settle: Settle, heard: Heard) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW))
        heard.visibles.clear()
        settle(store.update("a", "q", ["none"], Change(hide=0), NOW))
        settle(store.update("a", "none", ["1"], Change(hide=0), NOW))
        settle(store.get("a", "q", ["1"], NOW))
        settle(store.delete("a", "q", ["1"], NOW))
        assert heard.visibles == []

    def test_a_signal_comes_when_the_change_can_be_seen(self, make_store: Callable[[], Store], settle: Settle) -> None:
        found: list[bool] = []
        store = make_store()

        class Look(Heard):
            def visible(self, account: str, queue: str, at: float) -> None:
                answer = store.get(account, queue, ["1"], NOW)
                # A store that answers later can't be waited for from within.
                found.append(not isinstance(answer, list) or answer[0] is not None)

        store.open(Look(), NOW)
        settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW))
        settle(store.update("a", "q", ["1"], Change(hide=5), NOW))
        assert found == [True, True]
        store.close()

    def test_due_is_said_when_it_gets_earlier(self, store: Store, settle: Settle, heard: Heard) -> None:
        for name, ttl in (("1", 600), ("2", 700), ("3", 0), ("4", 50)):
            settle(store.put("a", "q", [Draft(name, b"", ttl, 0)], NOW))
        assert heard.dues == [NOW + 600, NOW + 50]
        settle(store.put("b", "q", [Draft("1", b"", 60, 0)], NOW))
        assert heard.dues == [NOW + 600, NOW + 50]
        settle(store.update("b", "q", ["1"], Change(ttl=10), NOW))
        assert heard.dues == [NOW + 600, NOW + 50, NOW + 10]

    def test_nothing_is_due_where_nothing_expires(self, store: Store, settle: Settle, heard: Heard) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 0, 0)], NOW))
        assert heard.dues == []
        assert settle(store.sweep(NOW)) is None

    # The sweep

    def test_sweep_answers_when_it_is_next_due(self, store: Store, settle: Settle, heard: Heard) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 10, 0), Draft("2", b"", 50, 0)], NOW))
        settle(store.put("b", "q", [Draft("1", b"", 30, 0)], NOW))
        assert settle(store.sweep(NOW + 10)) == NOW + 30
        assert settle(store.sweep(NOW + 30)) == NOW + 50
        assert settle(store.sweep(NOW + 50)) is None

    def test_what_sweep_answered_counts_as_said(self, store: Store, settle: Settle, heard: Heard) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 10, 0), Draft("2", b"", 50, 0)], NOW))
        settle(store.sweep(NOW + 10))
        heard.dues.clear()
        settle(store.put("a", "q", [Draft("3", b"", 60, 0)], NOW + 10))
        assert heard.dues == []
        settle(store.put("a", "q", [Draft("4", b"", 20, 0)], NOW + 10))
        assert heard.dues == [NOW + 30]

    def test_sweep_leaves_what_is_there(self, store: Store, settle: Settle) -> None:
        drafts = [Draft(f"{n}", b"", 10 if n % 3 else 100, n % 2 * 20) for n in range(100)]
        settle(store.put("a", "q", drafts, NOW))
        before = [m.id for m in settle(store.select("a", "q", Filters(match_hidden=True), NOW + 10))]
        settle(store.sweep(NOW + 10))
        assert [m.id for m in settle(store.select("a", "q", Filters(match_hidden=True), NOW + 10))] == before
        assert before == [f"{n}" for n in range(0, 100, 3)]

    def test_sweep_takes_bounded_pieces_and_comes_to_an_end(self, store: Store, settle: Settle) -> None:
        for n in range(5):
            settle(store.put("a", "q", [Draft(f"{n}.{m}", b"", 10, 0) for m in range(1000)], NOW))
        settle(store.put("a", "q", [Draft("last", b"", 90, 0)], NOW))
        answers = [settle(store.sweep(NOW + 10))]
        while answers[-1] <= NOW + 10:
            answers.append(settle(store.sweep(NOW + 10)))
        assert len(answers) > 3
        assert answers[-1] == NOW + 90
        assert [m.id for m in settle(store.select("a", "q", Filters(), NOW + 10))] == ["last"]

    def test_sweep_of_many_queues_comes_to_an_end(self, store: Store, settle: Settle) -> None:
        for n in range(300):
            settle(store.put(f"{n % 7}", f"{n}", [Draft("1", b"", 10, 0)], NOW))
        due = settle(store.sweep(NOW + 10))
        while due is not None:
            due = settle(store.sweep(NOW + 10))
        assert settle(store.list_accounts(Page(), NOW + 10)) == []

    # When to look again

    def test_next_visible_is_the_end_of_the_first_hide(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 30), Draft("2", b"", 600, 20), Draft("3", b"", 0, 40)], NOW))
        assert settle(store.next_visible("a", "q", Filters(), NOW)) == NOW + 20
        settle(store.delete("a", "q", ["2"], NOW))
        assert settle(store.next_visible("a", "q", Filters(), NOW)) == NOW + 30

    def test_next_visible_is_now_where_the_time_came_since_nothing_matched(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 20), Draft("2", b"", 600, 30)], NOW))
        assert settle(store.select("a", "q", Filters(), NOW + 19.999)) == []
        assert settle(store.next_visible("a", "q", Filters(), NOW + 20)) == NOW + 20
        assert settle(store.next_visible("a", "q", CLAIM, NOW + 20.5)) == NOW + 20.5
        assert settle(store.next_visible("a", "q", Filters(marker="1"), NOW + 20.5)) == NOW + 30

    def test_next_visible_is_now_where_all_are_visible(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 20)], NOW))
        assert settle(store.next_visible("a", "q", CLAIM, NOW + 21)) == NOW + 21
        assert settle(store.next_visible("a", "q", Filters(marker="1"), NOW + 21)) is None

    def test_next_visible_heeds_the_marker(self, store: Store, settle: Settle) -> None:
        settle(store.put("a", "q", [Draft("1", b"", 600, 20), Draft("2", b"", 600, 0), Draft("3", b"", 600, 50)], NOW))
        assert settle(store.next_visible("a", "q", Filters(marker="2"), NOW)) == NOW + 50
        assert settle(store.next_visible("a", "q", Filters(marker="3"), NOW)) is None

    def test_next_visible_is_none_where_nothing_will_be(self, store: Store, settle: Settle) -> None:
        assert settle(store.next_visible("a", "q", Filters(), NOW)) is None
        settle(store.put("a", "q", [Draft("1", b"", 10, 30)], NOW))
        assert settle(store.next_visible("a", "q", Filters(), NOW + 10)) is None

    # Opening and closing

    def test_close_may_be_called_again(self, make_store: Callable[[], Store], settle: Settle) -> None:
        store = make_store()
        store.open(Heard(), NOW)
        settle(store.put("a", "q", [Draft("1", b"", 600, 0)], NOW))
        store.close()
        store.close()
