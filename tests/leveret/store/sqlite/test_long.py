"""What touches many messages is done in pieces, so that others get their turn; and space that is free is given back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from leveret.model import Change, Draft, Filters, Page, Want
from leveret.store.base import StoreFull
from leveret.store.sqlite import SqliteStore
from leveret.store.sqlite.lookups import PIECE
from leveret.store.sqlite.writer import Writer
from scalestack.event.loops import LoopThread
from scalestack.event.pending import Pending, gather
from support.disk import OpenStore
from support.interface_conformance import Heard
from support.subject import START as NOW
from support.web import PATIENCE, eventually

MANY = 6 * PIECE + 7
NAMES = [f"{n}" for n in range(MANY)]
_TURNS = 4  # of a loop, from an answer to the next request's being sent


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch, loop: LoopThread) -> None:
    """After each piece the loop has some turns: on a busy machine it may get none while all pieces are done."""
    go_on = Writer._go_on

    def paced(writer: Writer) -> None:
        go_on(writer)
        for _ in range(_TURNS):
            loop.call(lambda: None).result(PATIENCE)

    monkeypatch.setattr(Writer, "_go_on", paced)


@pytest.fixture
def store(open_store: OpenStore) -> SqliteStore:
    """A store with a queue of many messages, and another of one."""
    store = open_store()
    store.put("a", "q", [Draft(name, b"x" * 50, 600, 0) for name in NAMES], NOW)
    store.put("a", "other", [Draft("1", b"", 600, 0)], NOW)
    return store


def ids(messages: Any) -> list[str]:
    return [message.id for message in messages]


def rows(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return int(count)


def overtaken(loop: LoopThread, long: Callable[[], Any], short: Callable[[], Any], rounds: int = 3) -> bool:
    """Whether as many short requests, one after the other, are answered before a long one that came first."""
    answered: Future[bool] = Future()
    left = rounds

    def again(value: Any, error: Any) -> None:
        nonlocal left
        left -= 1
        if left:
            short().listen(again)
        elif not answered.done():
            answered.set_result(True)

    def run() -> None:
        pending = long()
        assert isinstance(pending, Pending)
        pending.listen(lambda value, error: answered.done() or answered.set_result(False))
        short().listen(again)

    loop.call(run).result(PATIENCE)
    return answered.result(PATIENCE)


ALL = Filters(match_hidden=True)
LONG: dict[str, Callable[[SqliteStore], Any]] = {
    "list": lambda store: store.select("a", "q", Filters(), NOW),
    "list hidden": lambda store: store.select("a", "q", ALL, NOW),
    "update": lambda store: store.update_matching("a", "q", Filters(), Change(ttl=50), NOW),
    "claim": lambda store: store.update_matching("a", "q", Filters(), Change(hide=50), NOW),
    "limit": lambda store: store.update_matching("a", "q", Filters(limit=MANY - 5), Change(hide=50), NOW),
    "marker": lambda store: store.update_matching("a", "q", Filters(marker="9"), Change(hide=50), NOW),
    "delete all": lambda store: store.delete_matching("a", "q", ALL, NOW),
    "delete most": lambda store: store.delete_matching("a", "q", Filters(marker="9"), NOW),
}
EXPECTED = {"limit": NAMES[: MANY - 5], "marker": NAMES[10:], "delete most": NAMES[10:]}


@pytest.mark.parametrize("kind", LONG)
def test_it_touches_each_message_once_in_order(store: SqliteStore, kind: str) -> None:
    assert ids(LONG[kind](store)) == EXPECTED.get(kind, NAMES)


@pytest.mark.usefixtures("paced")
@pytest.mark.parametrize("kind", LONG)
def test_others_get_their_turn(store: SqliteStore, loop: LoopThread, kind: str) -> None:
    assert overtaken(loop, lambda: LONG[kind](store), lambda: store.get("a", "other", ["1"], NOW))


def test_who_wants_to_see_nothing_is_only_told_whether_there_was_anything(store: SqliteStore) -> None:
    assert len(store.select("a", "q", Filters(), NOW, Want.NOTHING)) == 1
    assert len(store.update_matching("a", "q", Filters(), Change(ttl=600), NOW, Want.NOTHING)) == 1
    assert len(store.delete_matching("a", "q", Filters(), NOW, Want.NOTHING)) == 1
    assert store.delete_matching("a", "q", Filters(), NOW, Want.NOTHING) == []


def test_what_is_released_in_pieces_is_signalled(open_store: OpenStore) -> None:
    heard = Heard()
    store = open_store(signals=heard)
    store.put("a", "q", [Draft(name, b"", 600, 50) for name in NAMES], NOW)
    heard.visibles.clear()
    store.update_matching("a", "q", ALL, Change(hide=0), NOW + 1, Want.NOTHING)
    assert set(heard.visibles) == {("a", "q", NOW + 1)}


@pytest.mark.usefixtures("paced")
def test_a_long_request_leaves_alone_what_comes_after_it(store: SqliteStore, loop: LoopThread) -> None:
    taken: Future[Any] = Future()

    def run() -> None:
        store.delete_matching("a", "q", Filters(marker="9"), NOW).listen(lambda value, error: taken.set_result(value))
        store.get("a", "other", ["1"], NOW).listen(
            lambda *_: store.put("a", "q", [Draft("late", b"", 600, 0)], NOW).listen(lambda *_: None)
        )

    loop.call(run).result(PATIENCE)
    assert ids(taken.result(PATIENCE)) == NAMES[10:]
    assert ids(store.select("a", "q", Filters(), NOW)) == [*NAMES[:10], "late"]


def damage(store: SqliteStore, id: str) -> None:
    store._writers[0]._connection.execute("UPDATE messages SET checksum = checksum + 1 WHERE id = ?", (id,))


def test_what_earlier_pieces_took_is_answered_where_a_later_one_fails(store: SqliteStore) -> None:
    damage(store, NAMES[2 * PIECE + 5])
    taken = store.delete_matching("a", "q", Filters(limit=MANY - 1), NOW)
    assert ids(taken) == NAMES[: 2 * PIECE]
    assert store.get("a", "q", [NAMES[2 * PIECE]], NOW, Want.ATTRIBUTES) != [None]


def test_a_whole_queue_is_deleted_with_what_is_damaged_in_it(store: SqliteStore) -> None:
    damage(store, NAMES[7])
    assert ids(store.delete_matching("a", "q", ALL, NOW)) == NAMES[:7] + NAMES[8:]
    assert store.list_queues("a", Page(), NOW) == ["other"]


def test_a_long_request_that_finds_no_room_comes_to_an_end(store: SqliteStore) -> None:
    connection = store._writers[0]._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    try:
        claimed = ids(store.update_matching("a", "q", Filters(), Change(hide=60), NOW))
    except StoreFull:
        claimed = []
    hidden = [m.id for m in store.select("a", "q", ALL, NOW) if m.visible_at]
    assert claimed == hidden == NAMES[: len(claimed)]


def test_what_is_put_and_deleted_together_is_deleted_whole(open_store: OpenStore, loop: LoopThread) -> None:
    store = open_store()
    answers: Future[Any] = Future()

    def run() -> None:
        put = store.put("a", "q", [Draft(name, b"", 600, 0) for name in NAMES], NOW)
        together = gather([put, store.delete_matching("a", "q", Filters(), NOW)])
        assert isinstance(together, Pending)
        together.listen(lambda value, error: answers.set_result(value))

    loop.call(run).result(PATIENCE)
    assert ids(answers.result(PATIENCE)[1]) == NAMES


def test_a_whole_queue_is_gone_at_one_stroke(store: SqliteStore, loop: LoopThread) -> None:
    def run() -> Pending[Any]:
        deleting = store.delete_matching("a", "q", ALL, NOW)
        assert isinstance(deleting, Pending)
        return deleting.then(lambda _: store.put("a", "q", [Draft("1", b"new", 600, 0)], NOW))

    again: Future[Any] = Future()
    loop.call(lambda: run().listen(lambda value, error: again.set_result(value))).result(PATIENCE)
    again.result(PATIENCE)
    assert [message.body for message in store.select("a", "q", Filters(), NOW)] == [b"new"]


@pytest.mark.usefixtures("paced")
def test_many_that_reappear_at_once_are_all_there_and_others_get_their_turn(
    store: SqliteStore, loop: LoopThread
) -> None:
    store.update_matching("a", "q", Filters(), Change(hide=50), NOW)
    assert overtaken(
        loop,
        lambda: store.select("a", "q", Filters(limit=1), NOW + 50),
        lambda: store.get("a", "other", ["1"], NOW),
    )
    assert ids(store.select("a", "q", Filters(), NOW + 50)) == NAMES


@pytest.mark.usefixtures("paced")
def test_many_that_expire_at_once_are_all_gone_and_others_get_their_turn(store: SqliteStore, loop: LoopThread) -> None:
    store.put("a", "q", [Draft("stays", b"", 0, 0)], NOW)
    assert overtaken(
        loop,
        lambda: store.select("a", "q", Filters(limit=1), NOW + 600),
        lambda: store.get("a", "other", ["1"], NOW),
    )
    assert ids(store.select("a", "q", Filters(), NOW + 600)) == ["stays"]


def test_accounts_with_many_queues_are_listed_and_deleted_in_pieces(open_store: OpenStore, loop: LoopThread) -> None:
    store = open_store()
    queues = [f"{n}" for n in range(2500)]

    filled: Future[Any] = Future()

    def fill() -> None:
        puts = gather([store.put("a", queue, [Draft("1", b"", 600, 0)], NOW) for queue in queues])
        assert isinstance(puts, Pending)
        puts.listen(lambda value, error: filled.set_result(value))

    loop.call(fill).result(PATIENCE)
    filled.result(PATIENCE)
    assert store.list_queues("a", Page(), NOW) == queues
    assert overtaken(loop, lambda: store.list_queues("a", Page(), NOW), lambda: store.get("b", "q", ["1"], NOW), 1)
    assert store.delete_queues("a", Page(limit=2400), NOW) == queues[:2400]
    assert store.list_queues("a", Page(), NOW) == queues[2400:]


class TestSpace:
    """The space of what is gone is given back to the disk while nobody asks for anything."""

    BODY = b"x" * 2000

    def filled(self, store: SqliteStore, path: Path) -> None:
        for start in range(0, 5000, 500):
            store.put("b", "q", [Draft(f"{n}", self.BODY, 600, 0) for n in range(start, start + 500)], NOW)

    @pytest.mark.parametrize(
        "end",
        [
            lambda store: store.delete_accounts(Page(), NOW),
            lambda store: store.delete_queues("b", Page(), NOW),
            lambda store: store.delete_matching("b", "q", Filters(), NOW, Want.NOTHING),
            lambda store: store.delete_matching("b", "q", Filters(), NOW),
            lambda store: store.delete("b", "q", [f"{n}" for n in range(5000)], NOW),
            lambda store: store.sweep(NOW + 600),
        ],
        ids=["accounts", "queues", "messages", "messages that are read", "by id", "expiry"],
    )
    def test_a_queue_that_is_empty_again_leaves_a_small_file(
        self, open_store: OpenStore, path: Path, end: Callable[[SqliteStore], Any]
    ) -> None:
        store = open_store()
        self.filled(store, path)
        end(store)
        eventually(lambda: path.stat().st_size < 2_000_000)
        store.close()
        assert rows(path, "messages") == 0

    def test_nothing_is_left_of_names_either(self, open_store: OpenStore, path: Path) -> None:
        store = open_store()
        for n in range(50):
            store.put(f"{n}", "q", [Draft("1", b"", 600, 0)], NOW)
            store.delete(f"{n}", "q", ["1"], NOW)
        writer = store._writers[0]
        eventually(lambda: not writer._chores)
        store.close()
        assert [rows(path, table) for table in ("accounts", "queues", "dead_queues", "dead_accounts")] == [0] * 4

    def test_what_a_crash_left_to_be_freed_is_freed(self, open_store: OpenStore, path: Path) -> None:
        store = open_store()
        self.filled(store, path)
        store.close()
        connection = sqlite3.connect(path)
        with connection:
            connection.execute("INSERT INTO dead_queues SELECT number FROM queues")
            connection.execute("DELETE FROM queues")
            connection.execute("DELETE FROM accounts")
        connection.close()
        store = open_store()
        eventually(lambda: path.stat().st_size < 2_000_000)
        assert store.list_accounts(Page(), NOW) == []
