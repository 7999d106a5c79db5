"""Group commit: what waits is one transaction, answered when it is safe; what fails, fails alone."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest

from leveret.model import Change, Draft, Filters, Page, Put
from leveret.store.base import StoreError, StoreFailed, StoreFull
from leveret.store.sqlite import SqliteStore, shard, writer
from leveret.store.sqlite.file import DatabaseFile
from leveret.store.sqlite.shard import Broken, Shard
from scalestack.event.loops import LoopThread
from scalestack.event.pending import Pending
from support.disk import OpenStore
from support.subject import START as NOW
from support.together import together
from support.web import PATIENCE, eventually

CLAIM = Filters(limit=1)


def statements(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the store executes from now on, once it has kept house."""
    eventually(lambda: not store._writers[0]._chores)
    seen: list[str] = []
    store._writers[0]._connection.set_trace_callback(seen.append)
    return seen


def put(store: SqliteStore, id: str, body: bytes = b"") -> Callable[[], Any]:
    return lambda: store.put("a", "q", [Draft(id, body, 600, 0)], NOW)


def come_and_go(store: SqliteStore, account: str, queue: str) -> None:
    store.put(account, queue, [Draft("1", b"", 600, 0)], NOW)
    store.delete(account, queue, ["1"], NOW)


def test_what_waits_is_one_transaction(
    open_store: OpenStore, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    seen = statements(store, monkeypatch)
    assert together(loop, *(put(store, f"{n}") for n in range(100))) == [[Put.CREATED]] * 100
    assert seen.count("COMMIT") == 1
    assert len([text for text in seen if text.startswith("INSERT OR IGNORE INTO messages")]) <= 10


def test_answers_come_after_the_commit(
    open_store: OpenStore, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    shard = store._writers[0]._shard
    write = shard.write
    committed = threading.Event()
    held = threading.Event()

    def slow_write(*args: Any) -> Any:
        answered = write(*args)
        committed.set()
        assert held.wait(PATIENCE)
        return answered

    monkeypatch.setattr(shard, "write", slow_write)
    answered: Future[Any] = Future()

    def run() -> None:
        put(store, "1")().listen(lambda value, error: answered.set_result(value))

    loop.call(run).result(PATIENCE)
    assert committed.wait(PATIENCE)
    assert not answered.done()
    held.set()
    assert answered.result(PATIENCE) == [Put.CREATED]


def test_a_loop_is_woken_once_for_all_answers_of_a_batch(
    open_store: OpenStore, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    posts: list[Any] = []
    post = loop.post
    monkeypatch.setattr(loop, "post", lambda *args: (posts.append(args), post(*args)))
    together(loop, *(put(store, f"{n}") for n in range(50)))
    assert len([args for args in posts if len(args) == 2]) == 1


def test_claims_that_come_together_get_messages_of_their_own_in_order(open_store: OpenStore, loop: LoopThread) -> None:
    store = open_store()
    store.put("a", "q", [Draft(f"{n}", b"", 600, 0) for n in range(10)], NOW)

    def claim() -> Any:
        return store.update_matching("a", "q", CLAIM, Change(hide=60), NOW)

    answers = together(loop, *[claim] * 12)
    assert [[message.id for message in found] for found in answers] == [[f"{n}"] for n in range(10)] + [[], []]


def test_reads_that_match_hidden_messages_together_all_see_the_first(open_store: OpenStore, loop: LoopThread) -> None:
    store = open_store()
    store.put("a", "q", [Draft(f"{n}", b"", 600, 0) for n in range(10)], NOW)
    everything = Filters(limit=1, match_hidden=True)
    answers = together(loop, *[lambda: store.update_matching("a", "q", everything, Change(hide=60), NOW)] * 3)
    assert [found[0].id for found in answers] == ["0", "0", "0"]


def test_the_same_id_put_twice_together_is_created_and_replaced(open_store: OpenStore, loop: LoopThread) -> None:
    store = open_store()
    answers = together(loop, put(store, "1", b"first"), put(store, "2"), put(store, "1", b"second"))
    assert answers == [[Put.CREATED], [Put.CREATED], [Put.REPLACED]]
    assert [message.body for message in store.select("a", "q", Filters(), NOW)] == [b"second", b""]


def test_what_fails_fails_alone(open_store: OpenStore, loop: LoopThread) -> None:
    store = open_store()
    too_large = b"x" * 5_000_000
    store._writers[0]._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000)
    first, failed, last = together(loop, put(store, "1"), put(store, "2", too_large), put(store, "3"))
    assert (first, last) == ([Put.CREATED], [Put.CREATED])
    assert isinstance(failed, Exception)
    assert [message.id for message in store.select("a", "q", Filters(), NOW)] == ["1", "3"]


def test_what_can_not_be_written_fails_alone(open_store: OpenStore, loop: LoopThread) -> None:
    store = open_store()
    first, failed, last = together(loop, put(store, "1"), put(store, "\ud800"), put(store, "3"))
    assert (first, last) == ([Put.CREATED], [Put.CREATED])
    assert isinstance(failed, UnicodeEncodeError)


def test_counts_are_right_after_a_failure(open_store: OpenStore, loop: LoopThread) -> None:
    store = open_store()
    together(loop, put(store, "1"), put(store, "\ud800"))
    store.delete("a", "q", ["1"], NOW)
    assert store.list_accounts(Page(), NOW) == []


class TestVanished:
    """The rows of queues and accounts that are no longer there, in a store that never rests."""

    @pytest.fixture
    def store(self, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> SqliteStore:
        monkeypatch.setattr(writer, "_IDLE", 3600.0)
        monkeypatch.setattr(shard, "_EMPTY", 10)
        return open_store()

    @staticmethod
    def rows(store: SqliteStore) -> tuple[int, int]:
        store.close()
        with closing(sqlite3.connect(store._files[0].path)) as connection:
            queues, accounts = [
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("queues", "accounts")
            ]
        return queues, accounts

    def test_many_are_freed(self, store: SqliteStore) -> None:
        for number in range(100):
            come_and_go(store, f"{number}", "q")
            come_and_go(store, "kept", f"{number}")
        queues, accounts = self.rows(store)
        assert queues + accounts <= 12

    def test_accounts_whose_queues_are_deleted_whole_are_freed(self, store: SqliteStore) -> None:
        for number in range(100):
            store.put(f"{number}", "q", [Draft("1", b"", 600, 0)], NOW)
            store.delete_queues(f"{number}", Page(), NOW)
        queues, accounts = self.rows(store)
        assert queues + accounts <= 12

    def test_a_few_stay_for_when_they_are_there_again(self, store: SqliteStore) -> None:
        for _ in range(100):
            come_and_go(store, "a", "q")
        assert self.rows(store) == (1, 1)

    def test_those_that_come_again_are_new_ones(self, store: SqliteStore) -> None:
        for _ in range(3):
            for number in range(20):
                come_and_go(store, f"{number % 7}", f"{number}")
        store.put("1", "q", [Draft("1", b"", 600, 0)], NOW)
        store.put("0", "q", [Draft("1", b"", 600, 0)], NOW)
        assert store.list_accounts(Page(), NOW) == ["1", "0"]


class TestFullDisk:
    @pytest.fixture
    def store(self, open_store: OpenStore) -> SqliteStore:
        """A store with room for a few messages more, which `free` gives it."""
        store = open_store()
        store.put("a", "q", [Draft(f"{n}", b"x" * 1000, 600, 0) for n in range(100)], NOW)
        connection = store._writers[0]._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 4}")
        return store

    def test_puts_are_refused_and_the_rest_goes_on(self, store: SqliteStore) -> None:
        with pytest.raises(StoreFull, match="the disk is full"):
            store.put("a", "q", [Draft("large", b"x" * 500_000, 600, 0)], NOW)
        assert len(store.select("a", "q", Filters(), NOW)) == 100
        assert store.update_matching("a", "q", CLAIM, Change(hide=60), NOW)[0].id == "0"
        assert store.delete("a", "q", ["1"], NOW) != [None]

    def test_it_is_one_line_in_the_log(self, store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(3):
            with pytest.raises(StoreFull):
                store.put("a", "q", [Draft("large", b"x" * 500_000, 600, 0)], NOW)
        assert caplog.text.count("the disk is full") == 1

    def test_a_smaller_message_may_still_fit(self, store: SqliteStore) -> None:
        with pytest.raises(StoreFull):
            store.put("a", "q", [Draft("large", b"x" * 500_000, 600, 0)], NOW)
        assert store.put("a", "q", [Draft("small", b"x", 600, 0)], NOW) == [Put.CREATED]

    def test_a_put_is_stored_whole_or_not_at_all(self, store: SqliteStore) -> None:
        with pytest.raises(StoreFull):
            store.put("a", "q", [Draft("small", b"x", 600, 0), Draft("large", b"x" * 500_000, 600, 0)], NOW)
        assert store.get("a", "q", ["small", "large"], NOW) == [None, None]

    def test_what_came_together_with_it_is_done(self, store: SqliteStore, loop: LoopThread) -> None:
        small, large, deleted = together(
            loop,
            put(store, "small"),
            put(store, "large", b"x" * 500_000),
            lambda: store.delete("a", "q", ["5"], NOW),
        )
        assert small == [Put.CREATED]
        assert isinstance(large, StoreFull)
        assert deleted[0].id == "5"

    def test_what_finds_no_room_even_in_what_was_kept_back_is_told_so(self, store: SqliteStore) -> None:
        def set_policies() -> None:
            for number in range(1_000):
                store.change_policy("a", f"{number:0200}", {"max_deliveries": 1}, NOW)

        with pytest.raises(StoreFull, match="none left of the room that is kept back"):
            set_policies()
        assert len(store.select("a", "q", Filters(), NOW)) == 100

    def test_a_start_without_room_to_keep_back_is_a_line_in_the_log(
        self, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(DatabaseFile, "reserve", lambda self: False)
        store = open_store()
        assert "no room to keep back" in caplog.text
        with pytest.raises(StoreFull):
            store.put("a", "q", [Draft("1", b"", 600, 0)], NOW)

    def test_there_is_room_again_for_what_was_deleted(self, store: SqliteStore) -> None:
        for _ in range(3):
            with pytest.raises(StoreFull):
                store.put("a", "q", [Draft("large", b"x" * 80_000, 600, 0)], NOW)
        store.delete_matching("a", "q", Filters(limit=50), NOW)
        assert store.put("a", "q", [Draft("large", b"x" * 30_000, 600, 0)], NOW + 2) == [Put.CREATED]


class TestHouseOnAFullDisk:
    """What frees space needs a little room in the log, and finds none."""

    @pytest.fixture
    def tried(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What was tried and found the disk full."""
        tried: list[str] = []

        def fail(name: str) -> Callable[[Shard], bool]:
            def chore(shard: Shard) -> bool:
                tried.append(name)
                full = sqlite3.OperationalError("database or disk is full")
                full.sqlite_errorname = "SQLITE_FULL"
                raise full

            return chore

        for name in ("purge", "drop_empty"):
            monkeypatch.setattr(Shard, name, fail(name))
        return tried

    def test_an_idle_store_goes_on(self, open_store: OpenStore, tried: list[str]) -> None:
        store = open_store()
        store.put("a", "q", [Draft("1", b"", 600, 0)], NOW)
        store.delete_queues("a", Page(), NOW)
        eventually(lambda: set(tried) == {"purge", "drop_empty"} and not store._writers[0]._chores)
        assert store.put("a", "q", [Draft("2", b"", 600, 0)], NOW) == [Put.CREATED]

    def test_a_busy_store_goes_on(
        self, open_store: OpenStore, tried: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writer, "_IDLE", 3600.0)
        monkeypatch.setattr(shard, "_EMPTY", 1)
        store = open_store()
        for number in range(5):
            come_and_go(store, "a", f"{number}")
        store.put("a", "q", [Draft("1", b"", 600, 0)], NOW)
        store.delete_queues("a", Page(), NOW)
        assert store.put("a", "q", [Draft("2", b"", 600, 0)], NOW) == [Put.CREATED]
        assert [message.id for message in store.select("a", "q", Filters(), NOW)] == ["2"]
        assert set(tried) == {"purge", "drop_empty"}

    def test_where_the_log_can_not_be_emptied_the_room_that_is_kept_back_is_taken(
        self, open_store: OpenStore, tried: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writer.Writer, "_checkpoint", lambda *_, **__: False)
        released: list[None] = []
        monkeypatch.setattr(DatabaseFile, "release", lambda self: released.append(None))
        store = open_store()
        store.put("a", "q", [Draft("1", b"", 600, 0)], NOW)
        eventually(lambda: released)
        assert store.get("a", "q", ["1"], NOW) != [None]


class TestBroken:
    @pytest.fixture
    def told(self) -> list[str]:
        return []

    @pytest.fixture
    def store(self, open_store: OpenStore, told: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
        """A store in which the next write fails as one does whose sync failed."""
        store = open_store(broken=told.append)

        def fail(*args: Any) -> Any:
            raise Broken("disk I/O error (SQLITE_IOERR_FSYNC)")

        monkeypatch.setattr(store._writers[0]._shard, "write", fail)
        yield store
        store.close()
        store._writers[0]._connection.close()  # which a store that is broken doesn't touch any more

    def test_nothing_is_acknowledged_and_it_is_told_once(self, store: SqliteStore, told: list[str]) -> None:
        for _ in range(2):
            with pytest.raises(StoreFailed, match="SQLITE_IOERR_FSYNC"):
                store.put("a", "q", [Draft("1", b"", 600, 0)], NOW)
        assert told == ["disk I/O error (SQLITE_IOERR_FSYNC)"]

    def test_all_that_waits_is_refused(self, store: SqliteStore, loop: LoopThread) -> None:
        answers = together(loop, put(store, "1"), put(store, "2"), lambda: store.list_accounts(Page(), NOW))
        assert all(isinstance(answer, StoreFailed) for answer in answers)

    def test_it_is_never_tried_again(self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(StoreFailed):
            store.put("a", "q", [Draft("1", b"", 600, 0)], NOW)
        monkeypatch.undo()
        with pytest.raises(StoreError):
            store.get("a", "q", ["1"], NOW)
        store.close()


def test_what_is_asked_while_closing_is_refused(open_store: OpenStore, loop: LoopThread) -> None:
    store = open_store()

    def run() -> Pending[Any]:
        pending = put(store, "1")()
        store.close()  # before the loop's next turn, in which the request would be sent
        return pending

    pending = loop.call(run).result(PATIENCE)
    failed: Future[Any] = Future()
    loop.call(pending.listen, lambda value, error: failed.set_result(error)).result(PATIENCE)
    assert isinstance(failed.result(PATIENCE), StoreFailed)


def test_many_threads_may_ask_at_once(open_store: OpenStore) -> None:
    store = open_store()
    claimed: list[str] = []

    def work(worker: int) -> None:
        for n in range(50):
            store.put("a", "q", [Draft(f"{worker}.{n}", b"", 600, 0)], NOW)
            claimed.extend(message.id for message in store.delete_matching("a", "q", CLAIM, NOW))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(f"{worker}.{n}" for worker in range(4) for n in range(50))
