"""Requests that are done together: each is answered as if it were alone, and none touches what is another's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leveret.model import Change, Draft, Filters, Put, Want
from leveret.store.sqlite import SqliteStore
from scalestack.event.loops import LoopThread
from support.disk import OpenStore
from support.interface_conformance import Heard
from support.subject import START as NOW
from support.together import together


def put(store: SqliteStore, queue: str, *drafts: Draft) -> Callable[[], Any]:
    return lambda: store.put("a", queue, drafts, NOW)


def draft(id: str, ttl: int = 600, hide: int = 0, only_new: bool = False) -> Draft:
    return Draft(id, id.encode(), ttl, hide, only_new=only_new)


def delete(store: SqliteStore, queue: str, *ids: str) -> Callable[[], Any]:
    return lambda: store.delete("a", queue, ids, NOW, Want.NOTHING)


def left(store: SqliteStore, queue: str) -> list[str]:
    """The ids that a queue has, once it is seen that their bodies are their own."""
    found = store.select("a", queue, Filters(match_hidden=True), NOW)
    assert [message.body.decode() for message in found] == [message.id for message in found]
    return [message.id for message in found]


def interleaved(store: SqliteStore) -> None:
    """Two queues whose messages lie between each other's."""
    for number in range(6):
        store.put("a", "q", [draft(f"q{number}")], NOW)
        store.put("a", "other", [draft(f"other{number}")], NOW)


class TestPuts:
    def test_those_of_several_queues_keep_the_order_of_each(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        together(loop, *(put(store, f"{number % 3}", draft(f"{number:02}")) for number in range(30)))
        for queue in range(3):
            assert left(store, f"{queue}") == [f"{number:02}" for number in range(queue, 30, 3)]

    def test_each_is_told_of_its_own_messages(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        store.put("a", "q", [draft("2"), draft("5")], NOW)
        answers = together(
            loop,
            put(store, "q", draft("1"), draft("2"), draft("3")),
            put(store, "other", draft("1")),
            put(store, "q", draft("4")),
            put(store, "q", draft("5"), draft("6")),
        )
        new, old = Put.CREATED, Put.REPLACED
        assert answers == [[new, old, new], [new], [new], [old, new]]

    def test_one_without_messages_among_others(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        first, none, last = together(
            loop, put(store, "q", draft("1")), put(store, "q"), put(store, "q", draft("2"), draft("3"))
        )
        assert (first, none, last) == ([Put.CREATED], [], [Put.CREATED] * 2)
        assert left(store, "q") == ["1", "2", "3"]

    def test_one_that_is_unlike_the_others(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        store.put("a", "q", [draft("there")], NOW)
        answers = together(
            loop,
            put(store, "q", draft("1")),
            put(store, "q", draft("2", ttl=5)),
            put(store, "q", draft("3", hide=7)),
            put(store, "q", draft("there", only_new=True)),
            put(store, "q", draft("4")),
        )
        assert answers == [[Put.CREATED]] * 3 + [[Put.EXISTS], [Put.CREATED]]
        found = store.select("a", "q", Filters(match_hidden=True), NOW)
        assert {message.id: (message.ttl(NOW), message.hide(NOW)) for message in found} == {
            "there": (600, 0),
            "1": (600, 0),
            "2": (5, 0),
            "3": (600, 7),
            "4": (600, 0),
        }


class TestDeletes:
    def test_what_lies_between_and_is_another_queues_stays(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        interleaved(store)
        together(loop, *(delete(store, "q", f"q{number}") for number in range(1, 5)))
        assert left(store, "q") == ["q0", "q5"]
        assert left(store, "other") == [f"other{number}" for number in range(6)]

    def test_what_lies_between_and_was_not_named_stays(self, open_store: OpenStore) -> None:
        store = open_store()
        store.put("a", "q", [draft(f"{number}") for number in range(6)], NOW)
        store.delete("a", "q", ["1", "3"], NOW, Want.NOTHING)
        assert left(store, "q") == ["0", "2", "4", "5"]

    def test_neighbours_in_any_order(self, open_store: OpenStore) -> None:
        store = open_store()
        store.put("a", "q", [draft(f"{number}") for number in range(6)], NOW)
        deleted = store.delete("a", "q", ["3", "1", "2"], NOW, Want.NOTHING)
        assert None not in deleted
        assert left(store, "q") == ["0", "4", "5"]

    def test_neighbours_in_more_pieces_than_one_statement_takes(self, open_store: OpenStore) -> None:
        store = open_store()
        ids = [f"{number:04}" for number in range(1000)]
        store.put("a", "q", [draft(id) for id in ids], NOW)
        store.delete("a", "q", ids[10:-10], NOW, Want.NOTHING)
        assert left(store, "q") == ids[:10] + ids[-10:]

    def test_those_of_which_none_is_there(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        store.put("a", "q", [draft("1")], NOW)
        assert together(loop, delete(store, "q", "2"), delete(store, "q", "3", "4")) == [[None], [None, None]]
        assert left(store, "q") == ["1"]

    def test_one_without_ids_among_others(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        store.put("a", "q", [draft("1"), draft("2")], NOW)
        none, two = together(loop, delete(store, "q"), delete(store, "q", "1", "2"))
        assert none == []
        assert None not in two


class TestClaims:
    def test_what_lies_between_and_is_another_queues_stays_visible(self, open_store: OpenStore) -> None:
        store = open_store()
        interleaved(store)
        claimed = store.update_matching("a", "q", Filters(limit=4), Change(hide=60), NOW)
        assert [message.id for message in claimed] == ["q0", "q1", "q2", "q3"]
        assert len(store.select("a", "other", Filters(), NOW)) == 6

    def test_what_lies_between_and_is_hidden_keeps_its_lease(self, open_store: OpenStore) -> None:
        store = open_store()
        store.put("a", "q", [draft(f"{number}") for number in range(5)], NOW)
        store.update("a", "q", ["2"], Change(hide=10), NOW)
        claimed = store.update_matching("a", "q", Filters(limit=3), Change(hide=60), NOW)
        assert [message.id for message in claimed] == ["0", "1", "3"]
        (held,) = store.get("a", "q", ["2"], NOW)
        assert (held.hide(NOW), held.deliveries) == (10, 1)

    def test_those_for_messages_and_those_for_a_look_at_them(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        store.put("a", "q", [draft(f"{number}") for number in range(4)], NOW)
        one = Filters(limit=1)
        answers = together(
            loop,
            lambda: store.update_matching("a", "q", one, Change(hide=60), NOW),
            lambda: store.delete_matching("a", "q", one, NOW),
            lambda: store.update_matching("a", "q", one, Change(ttl=5), NOW),
            lambda: store.delete_matching("a", "q", one, NOW),
        )
        assert sorted(found[0].id for found in answers[:2] + answers[3:]) == ["0", "1", "2"]
        assert answers[2][0].hide(NOW) == 0

    def test_when_they_end_is_told_once_for_each(self, open_store: OpenStore) -> None:
        heard = Heard()
        store = open_store(signals=heard)
        store.put("a", "q", [draft(f"{number}") for number in range(5)], NOW)
        heard.visibles.clear()
        store.update_matching("a", "q", Filters(limit=5), Change(hide=60), NOW)
        assert heard.visibles == [("a", "q", NOW + 60)]

    def test_what_is_given_back_is_told_for_each_message(self, open_store: OpenStore) -> None:
        heard = Heard()
        store = open_store(signals=heard)
        store.put("a", "q", [draft(f"{number}", hide=60) for number in range(5)], NOW)
        heard.visibles.clear()
        store.update_matching("a", "q", Filters(limit=5, match_hidden=True), Change(hide=0), NOW)
        assert heard.visibles == [("a", "q", NOW)] * 5
