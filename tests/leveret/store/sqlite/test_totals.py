"""Totals of accounts under group commit, and after whatever ends a process; what is measured of commits."""

from __future__ import annotations

import shutil
import sqlite3
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from leveret.model import AccountState, Activity, Draft, Page, Put, Quota
from leveret.store.base import COMMIT_SECONDS, AccountFull, StoreError
from leveret.store.sqlite import SqliteStore
from scalestack.event.loops import LoopThread
from support.disk import OpenStore, open_at
from support.subject import START as NOW
from support.together import together
from support.web import eventually


def put(store: SqliteStore, queue: str, id: Any, size: int = 1, quota: Quota | None = None, ttl: int = 0) -> Any:
    return lambda: store.put("a", queue, [Draft(id, b"x" * size, ttl, 0)], NOW, quota)


def outcomes(answers: list[Any]) -> list[str]:
    return ["full" if isinstance(each, AccountFull) else each[0] for each in answers]


def states(store: SqliteStore, now: float = NOW) -> list[AccountState]:
    found: list[AccountState] = store.describe_accounts(Page(), now)  # type: ignore[assignment]
    return found


class TestTogether:
    """Several requests in one transaction."""

    def test_puts_see_each_other(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        quota = Quota(messages=5)
        answers = together(loop, *(put(store, f"{n % 3}", f"{n}", quota=quota) for n in range(9)))
        assert outcomes(answers) == ["created"] * 5 + ["full"] * 4
        assert states(store) == [AccountState("a", 3, 5, 5)]

    def test_bytes_see_each_other(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        calls = [put(store, "q", f"{n}", size, Quota(bytes=10)) for n, size in enumerate((6, 5, 4, 1, 0))]
        assert outcomes(together(loop, *calls)) == ["created", "full", "created", "full", "created"]
        assert states(store) == [AccountState("a", 1, 3, 10)]

    def test_new_queues_see_each_other(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        calls = [put(store, name, f"{n}", quota=Quota(queues=2)) for n, name in enumerate("qrsqr")]
        assert outcomes(together(loop, *calls)) == ["created", "created", "full", "created", "created"]
        assert states(store) == [AccountState("a", 2, 4, 4)]

    def test_replacements_are_not_taken_for_more(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        answers = together(loop, *(put(store, "q", "same", quota=Quota(messages=1)) for _ in range(20)))
        assert outcomes(answers) == ["created"] + ["replaced"] * 19
        assert states(store) == [AccountState("a", 1, 1, 1)]

    def test_what_is_deleted_together_with_a_put_makes_room_for_it(
        self, open_store: OpenStore, loop: LoopThread
    ) -> None:
        store = open_store()
        store.put("a", "q", [Draft("1", b"x", 0, 0)], NOW)
        answers = together(
            loop, lambda: store.delete("a", "q", ["1"], NOW), put(store, "r", "2", quota=Quota(messages=1, queues=1))
        )
        assert answers[1] == [Put.CREATED]
        assert states(store) == [AccountState("a", 1, 1, 1)]

    def test_accounts_are_counted_apart(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        calls = [
            lambda n=n: store.put(f"{n % 4}", "q", [Draft(f"{n}", b"", 0, 0)], NOW, Quota(messages=2))
            for n in range(16)
        ]
        assert outcomes(together(loop, *calls)) == ["created"] * 8 + ["full"] * 8

    def test_a_batch_that_fails_leaves_the_totals_as_they_were(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        store.count_activity(True)
        store.put("a", "q", [Draft("0", b"x", 0, 0)], NOW)
        answers = together(
            loop,
            put(store, "q", "1"),
            put(store, "r", object()),  # no id: the batch fails, and is done again one by one
            put(store, "q", "2", quota=Quota(messages=3)),
            put(store, "q", "3", quota=Quota(messages=3)),
        )
        assert isinstance(answers[1], Exception)
        assert outcomes([answers[0], *answers[2:]]) == ["created", "created", "full"]
        assert states(store) == [AccountState("a", 1, 3, 3)]
        assert store.activity() == [("a", "q", Activity(put=3))]

    def test_a_commit_that_fails_leaves_the_totals_as_they_were(
        self, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = open_store()
        store.count_activity(True)
        store.put("a", "q", [Draft("0", b"x", 0, 0)], NOW)
        eventually(lambda: not store._writers[0]._chores)
        directory = store._writers[0]._shard._directory
        flush = directory.flush

        def fail() -> None:
            flush()
            monkeypatch.setattr(directory, "flush", flush)
            raise sqlite3.OperationalError("injected")

        monkeypatch.setattr(directory, "flush", fail)
        with pytest.raises(StoreError, match="injected"):
            store.put("a", "q", [Draft("1", b"x", 0, 0)], NOW)
        assert states(store) == [AccountState("a", 1, 1, 1)]
        assert store.activity() == [("a", "q", Activity(put=1))]

    def test_puts_that_wait_for_room_are_served_when_it_is_there(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        for queue in ("q", "r", "s"):
            store.put("a", queue, [Draft(f"{n}", b"x", 10, 0) for n in range(1300)] + [Draft("-", b"", 0, 0)], NOW)
        later, quota = NOW + 10, Quota(messages=8)
        calls = [lambda n=n: store.put("a", "new", [Draft(f"{n}", b"", 0, 0)], later, quota) for n in range(9)]
        assert sorted(outcomes(together(loop, *calls))) == ["created"] * 5 + ["full"] * 4
        assert states(store, later) == [AccountState("a", 4, 8, 0)]


class TestRestart:
    def test_totals_are_those_of_before(self, open_store: OpenStore) -> None:
        store = open_store()
        store.put("a", "q", [Draft("1", b"abc", 0, 0), Draft("2", b"", 10, 0)], NOW)
        store.put("b", "q", [Draft("1", b"", 0, 0)], NOW)
        store.close()
        store = open_store()
        assert states(store) == [AccountState("a", 1, 2, 3), AccountState("b", 1, 1, 0)]
        with pytest.raises(AccountFull):
            store.put("a", "r", [Draft("1", b"", 0, 0)], NOW, Quota(messages=2))

    def test_after_a_kill_they_are_those_of_the_last_commit(
        self, open_store: OpenStore, path: Path, tmp_path: Path
    ) -> None:
        store = open_store()
        for number in range(30):
            store.put("a", f"{number % 4}", [Draft(f"{number}", b"x" * number, 0, 0)], NOW)
            if number % 3 == 0:
                store.delete("a", f"{number % 4}", [f"{number}"], NOW)
            if number % 10 == 9:  # what a kill leaves: the file and its log, as they are
                left = tmp_path / f"left {number}" / "queue.db"
                left.parent.mkdir()
                for end in ("", "-wal"):
                    shutil.copy(path.with_name(path.name + end), left.with_name(left.name + end))
                after = open_at(left)
                assert states(after) == states(store)
                after.close()


class TestCommits:
    def test_batches_and_what_is_in_them_are_counted(self, open_store: OpenStore, loop: LoopThread) -> None:
        store = open_store()
        before = store.commits()
        together(loop, *(put(store, "q", f"{n}") for n in range(7)))
        after = store.commits()
        assert (after.batches - before.batches, after.operations - before.operations) == (1, 7)
        assert sum(after.batch_seconds[0]) == after.batches
        assert sum(after.commit_seconds[0]) >= after.batches
        assert after.bounds == COMMIT_SECONDS
        assert len(after.batch_seconds[0]) == len(after.commit_seconds[0]) == len(COMMIT_SECONDS) + 1

    def test_a_commit_is_a_part_of_its_batch(self, open_store: OpenStore) -> None:
        ticks = count()
        store = open_store(timer=lambda: float(next(ticks)))
        put(store, "q", "1")()
        commits = store.commits()
        assert commits.batch_seconds[1] == 3.0  # looked at before it, around the COMMIT, and after
        assert commits.commit_seconds[1] == sum(commits.commit_seconds[0])

    def test_the_shards_are_added_up(self, open_store: OpenStore) -> None:
        store = open_store(shards=3)
        for number in range(9):
            store.put(f"{number}", "q", [Draft("1", b"", 0, 0)], NOW)
        commits = store.commits()
        assert (commits.batches, commits.operations, sum(commits.batch_seconds[0])) == (9, 9, 9)
        assert commits.wal_bytes > 0

    def test_before_it_is_opened_a_store_has_committed_nothing(self, path: Path) -> None:
        commits = SqliteStore(path).commits()
        assert (commits.batches, sum(commits.batch_seconds[0]), commits.wal_bytes) == (0, 0, 0)

    def test_nothing_is_counted_of_what_only_reads(self, open_store: OpenStore) -> None:
        store = open_store()
        store.put("a", "q", [Draft("1", b"", 0, 0)], NOW)
        before = store.commits()
        store.get("a", "q", ["1"], NOW)
        assert store.commits().operations == before.operations
