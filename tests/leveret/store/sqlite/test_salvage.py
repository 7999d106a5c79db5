"""Salvage: whatever happened to a file, what is not damaged comes out of it, and nothing else."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import sqlite3
import struct
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from leveret.model import MAX_SECONDS, Change, Draft, Filters, Meta, Page, Policy
from leveret.store.base import Unusable
from leveret.store.sqlite import pages as reader
from leveret.store.sqlite import rows
from leveret.store.sqlite import salvage as module
from leveret.store.sqlite.files import shard_paths
from leveret.store.sqlite.pages import INTERIOR, Pages, interior, leaf
from leveret.store.sqlite.salvage import Report, salvage
from leveret.store.sqlite.store import shard_of
from support.disk import OpenStore, open_at
from support.subject import START as NOW

PAGE = 4096

# By sequence: account, queue, id, created, expires, hidden, visible_at, deliveries, body and meta.
Contents: TypeAlias = dict[int, tuple[Any, ...]]
Damage: TypeAlias = Callable[[bytearray], None]


def contents(path: Path, checked: bool = True) -> Contents:
    """All messages that are there, where the file is sound, and where what it says of queues and accounts is true."""
    with closing(sqlite3.connect(path)) as connection:
        execute = connection.execute
        if checked:
            assert execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            counted = execute(
                "SELECT queue, count(*), total(hidden), total(length(body)), min(expires) FROM messages GROUP BY queue"
            ).fetchall()
            said = execute("SELECT number, messages, hidden, bytes, due FROM queues ORDER BY number").fetchall()
            assert said == counted
            counted = execute(
                "SELECT account, count(*), sum(messages), sum(bytes) FROM queues GROUP BY account"
            ).fetchall()
            said = execute("SELECT number, queues, messages, bytes FROM accounts ORDER BY number").fetchall()
            assert said == counted
            assert execute("SELECT next_sequence > max(sequence) FROM store, messages").fetchone() in ((1,), (None,))
        return {
            sequence: tuple(row)
            for sequence, *row in execute(
                "SELECT sequence, accounts.name, queues.name, id, created, expires, messages.hidden, visible_at, "
                "deliveries, body, meta FROM messages JOIN queues ON queues.number = queue "
                "JOIN accounts ON accounts.number = account ORDER BY sequence"
            )
        }


def listed(path: Path) -> list[tuple[str, str]]:
    """Accounts and their queues, in their order, as a store that is opened at a path lists them."""
    store = open_at(path)
    try:
        return [
            (name, queue) for name in store.list_accounts(Page(), NOW) for queue in store.list_queues(name, Page(), NOW)
        ]
    finally:
        store.close()


def bodies(found: Contents) -> set[tuple[str, bytes, bytes | None]]:
    return {(row[2], row[8], row[9]) for row in found.values()}


@dataclass(frozen=True)
class Small:
    """A small database in which there is one of everything."""

    data: bytes
    contents: Contents
    all_bodies: set[tuple[str, bytes, bytes | None]]  # those that were deleted among them
    used: dict[int, set[int]]  # by page: the messages of which something is in it, deleted ones among them
    inner: set[int]  # the pages that lead to those
    roots: dict[str, int]  # the first pages of tables

    def pages(self) -> range:
        return range(1, len(self.data) // PAGE + 1)


def fill(path: Path) -> None:
    chance = random.Random(1)
    store = open_at(path)
    for round in range(12):
        for number in range(6):
            body = chance.randbytes(chance.choice([0, 10, 300, 1500, 6000]))
            meta = Meta("text/plain", {"number": str(number)}) if round % 3 == 0 else None
            draft = Draft(f"{number}-{round}", body, 600 * (round % 2), 30 * (round % 4 == 0), meta)
            store.put(f"account {number % 3}", f"queue {number}", [draft], NOW)
    store.put("account 0", "queue 0", [Draft("long", chance.randbytes(20_000), 0, 0)], NOW)
    store.update("account 0", "queue 0", ["long"], Change(hide=100), NOW)
    for number in range(6):
        store.delete(f"account {number % 3}", f"queue {number}", [f"{number}-{round}" for round in (1, 5, 9)], NOW)
    store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        # As a queue and an account are while the space of what was deleted is not freed yet.
        connection.execute("INSERT INTO dead_queues SELECT number FROM queues WHERE name = 'queue 3'")
        connection.execute("DELETE FROM queues WHERE name = 'queue 3'")
        connection.execute("INSERT INTO dead_accounts SELECT number FROM accounts WHERE name = 'account 1'")
        connection.execute("DELETE FROM accounts WHERE name = 'account 1'")
        connection.execute("UPDATE accounts SET queues = 1 WHERE name = 'account 0'")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    path = tmp_path_factory.mktemp("small") / "queue.db"
    fill(path)
    used: dict[int, set[int]] = defaultdict(set)
    inner = set()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() > (0,)
        all_bodies = set(connection.execute("SELECT id, body, meta FROM messages"))
    with closing(Pages(path)) as pages:
        stack = [roots(path.read_bytes())["messages"]]
        while stack:
            number = stack.pop()
            page = pages.page(number)
            if page[0] == INTERIOR:
                inner.add(number)
                stack += interior(page, 0, PAGE)[0]
            else:
                for cell in leaf(page, 0, PAGE)[0]:
                    for each in (number, *pages.record(cell)[1]):
                        used[each].add(cell.rowid)
    assert inner
    data = path.read_bytes()
    return Small(data, contents(path, checked=False), all_bodies, dict(used), inner, roots(data))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new.db"


@pytest.fixture
def salvaged(path: Path, new: Path) -> Callable[[bytes], tuple[Contents, Report]]:
    """What comes out of a file with these bytes; more than once in a test."""

    def salvaged(data: bytes) -> tuple[Contents, Report]:
        path.write_bytes(data)
        for file in new.parent.glob("new.db*"):
            file.unlink()
        report = salvage(path, new)
        assert path.read_bytes() == data
        found = contents(new)
        assert (report.messages, report.bytes) == (len(found), sum(len(row[8]) for row in found.values()))
        return found, report

    return salvaged


Salvaged: TypeAlias = Callable[[bytes], tuple[Contents, Report]]


class TestIntact:
    def test_all_comes_out_as_it_was(self, small: Small, salvaged: Salvaged) -> None:
        found, report = salvaged(small.data)
        assert found == small.contents
        assert len(found) > 25
        assert report == Report(report.messages, report.bytes, queues=3)
        assert report.whole

    def test_deleted_queues_and_accounts_do_not_come_back(self, small: Small, salvaged: Salvaged, new: Path) -> None:
        salvaged(small.data)
        with closing(sqlite3.connect(new)) as connection:
            assert connection.execute("SELECT count(*) FROM messages").fetchone() == (len(small.contents),)
        assert listed(new) == [("account 0", "queue 0"), ("account 2", "queue 2"), ("account 2", "queue 5")]

    def test_a_store_goes_on_with_it(self, open_store: OpenStore, path: Path, new: Path) -> None:
        store = open_store()
        store.put(
            "a", "q", [Draft(f"{n}", b"%d" % n, 600 * (n == 1), 30 * (n == 2), Meta("a/b")) for n in range(4)], NOW
        )
        store.close()
        assert salvage(path, new).whole
        again = open_at(new, NOW + 1)
        seen = again.select("a", "q", Filters(match_hidden=True), NOW + 1)
        assert [(each.id, each.body, each.ttl(NOW), each.hide(NOW)) for each in seen] == [
            ("0", b"0", 0, 0), ("1", b"1", 600, 0), ("2", b"2", 0, 30), ("3", b"3", 0, 0)
        ]  # fmt: skip
        assert all(each.meta == Meta("a/b") for each in seen)
        again.put("a", "q", [Draft("4", b"", 0, 0)], NOW + 1)
        assert [each.id for each in again.select("a", "q", Filters(), NOW + 31)] == ["0", "1", "2", "3", "4"]
        assert [each.id for each in again.select("a", "q", Filters(), NOW + 601)] == ["0", "2", "3", "4"]
        again.close()

    def test_accounts_and_queues_keep_their_order(self, open_store: OpenStore, path: Path, new: Path) -> None:
        names = [(account, queue) for account in ("z", "a", "m") for queue in ("2", "3", "1")]
        store = open_store()
        for account, queue in names:
            store.put(account, queue, [Draft("1", b"", 0, 0)], NOW)
        store.close()
        salvage(path, new)
        assert listed(new) == names

    def test_bodies_of_any_length_are_whole(self, open_store: OpenStore, path: Path, new: Path) -> None:
        sizes = [0, 1, 3900, 4000, 4061, 4096, 5000, 8192, 100_000, 1 << 20]
        store = open_store()
        store.put("a", "q", [Draft(f"{size}", random.Random(size).randbytes(size), 0, 0) for size in sizes], NOW)
        store.close()
        assert salvage(path, new).bytes == sum(sizes)
        assert all(row[8] == random.Random(int(row[2])).randbytes(int(row[2])) for row in contents(new).values())

    def test_more_than_fits_in_a_transaction(
        self, open_store: OpenStore, path: Path, new: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_BATCH", 100)
        monkeypatch.setattr(module, "_TELL", 4)
        store = open_store()
        store.put("a", "q", [Draft(f"{n}", b"", 0, 0) for n in range(1050)], NOW)
        store.close()
        told: list[tuple[int, int]] = []
        assert salvage(path, new, lambda done, of: told.append((done, of))).messages == 1050
        assert len(contents(new)) == 1050
        assert len(told) > 2
        assert told == sorted(told)
        assert all(done <= of for done, of in told)

    def test_a_file_without_messages_is_whole(self, open_store: OpenStore, path: Path, new: Path) -> None:
        open_store().close()
        assert salvage(path, new) == Report()
        assert listed(new) == []

    def test_a_file_and_its_log_that_were_copied_while_in_use(
        self, open_store: OpenStore, path: Path, new: Path
    ) -> None:
        store = open_store()
        store.put("a", "q", [Draft(f"{n}", b"x" * 5000, 0, 0) for n in range(100)], NOW)
        copy = path.with_name("copy.db")
        shutil.copy(path, copy)
        shutil.copy(f"{path}-wal", f"{copy}-wal")
        log = Path(f"{copy}-wal").read_bytes()
        assert len(log) > 100 * 5000
        assert salvage(copy, new).whole
        assert len(contents(new)) == 100
        assert Path(f"{copy}-wal").read_bytes() == log


class TestPolicies:
    FULL = Policy(0, 5, 3, "dead ü", 7, 2**53)

    @pytest.fixture
    def policed(self, open_store: OpenStore, path: Path) -> Path:
        """A database with policies, of queues that have messages and of others."""
        store = open_store()
        for number in range(40):
            store.put("a", f"{number}", [Draft("1", b"x", 0, 0)], NOW)
            store.change_policy("a", f"{number}", {"default_ttl": number, "max_deliveries": 1}, NOW)
        store.change_policy("b", "empty ü", self.FULL.members(), NOW)
        store.change_policy("b", "gone", {"default_ttl": 5}, NOW)
        store.change_policy("b", "gone", None, NOW)
        for _ in range(2):
            store.put("a", "0", [Draft("2", b"", 0, 0)], NOW)
            store.update("a", "0", ["1", "2"], Change(hide=0), NOW)
            store.update_matching("a", "0", Filters(), Change(hide=5), NOW)
            store.update_matching("a", "0", Filters(match_hidden=True), Change(hide=5), NOW)
        store.put("a", "0", [Draft("3", b"", 0, 0)], NOW)
        store.close()
        return path

    def test_they_come_out_as_they_were(self, policed: Path, new: Path) -> None:
        assert salvage(policed, new).whole
        store = open_at(new, NOW)
        for number in range(40):
            assert store.change_policy("a", f"{number}", {}, NOW) == Policy(number, max_deliveries=1)
        assert store.change_policy("b", "empty ü", {}, NOW) == self.FULL
        assert store.change_policy("b", "gone", {}, NOW) == Policy()
        (state,) = store.find_queues("a", ["0"], NOW)
        assert (state.messages, state.dropped) == (1, 3)
        assert store.list_accounts(Page(), NOW) == ["a"]
        store.close()

    def test_each_shard_keeps_its_own(self, open_store: OpenStore, path: Path, tmp_path: Path) -> None:
        names = [f"account {number}" for number in range(12)]
        store = open_store(shards=3)
        for number, name in enumerate(names):
            store.change_policy(name, "q", {"default_hide": number}, NOW)
        store.close()
        target = tmp_path / "new.db"
        for source, new in zip(shard_paths(path, 3), shard_paths(target, 3), strict=True):
            assert salvage(source, new).whole
        store = open_at(target, NOW, shards=3)
        for number, name in enumerate(names):
            assert store.change_policy(name, "q", {}, NOW) == Policy(default_hide=number)
        store.close()

    def test_messages_are_whole_where_their_page_is_lost(self, policed: Path, new: Path) -> None:
        before = contents(policed)
        data = policed.read_bytes()
        policed.write_bytes(zeroed(data, roots(data)["policies"]))
        report = salvage(policed, new)
        assert not report.whole
        assert contents(new) == before

    def test_none_comes_out_that_could_not_be_set(self, policed: Path, new: Path) -> None:
        data = policed.read_bytes()
        start = (roots(data)["policies"] - 1) * PAGE
        for attempt in range(60):
            chance = random.Random(attempt)
            damaged = bytearray(data)
            for _ in range(chance.choice([1, 8, 64])):
                damaged[start + chance.randrange(PAGE)] ^= 1 << chance.randrange(8)
            policed.write_bytes(damaged)
            for file in new.parent.glob("new.db*"):
                file.unlink()
            salvage(policed, new)
            assert len(contents(new)) == 40
            with closing(sqlite3.connect(new)) as connection:
                rows = connection.execute("SELECT * FROM policies").fetchall()
            for _, _, queue, ttl, hide, deliveries, dead_letter, messages, size, dropped in rows:
                assert all(value is None or 0 <= value <= MAX_SECONDS for value in (ttl, hide))
                assert all(value is None or 0 < value < 2**63 for value in (deliveries, messages, size))
                assert dead_letter is None or 0 < len(dead_letter.encode()) <= 255
                assert dead_letter != queue
                assert dropped >= 0

    def test_a_lease_goes_on(self, open_store: OpenStore, path: Path, new: Path) -> None:
        store = open_store()
        store.put("a", "q", [Draft("1", b"", 600, 0)], NOW)
        (claimed,) = store.update_matching("a", "q", Filters(limit=1), Change(hide=60), NOW)
        store.close()
        salvage(path, new)
        store = open_at(new, NOW + 1)
        (deleted,) = store.delete("a", "q", ["1"], NOW + 59, receipts=[claimed.receipt])
        assert deleted.deliveries == 1
        store.close()


class TestOnePage:
    """Damage in one page costs what is in that page, and nothing else."""

    @pytest.mark.parametrize("kind", ["a bit of its header", "any bit", "zeros", "garbage", "another page"])
    def test_any_page(self, small: Small, salvaged: Salvaged, kind: str) -> None:
        for number, attempt in product(small.pages(), range(3)):
            chance = random.Random(f"{kind} {number} {attempt}")
            data = bytearray(small.data)
            at = (number - 1) * PAGE
            if kind in ("a bit of its header", "any bit"):
                data[at + chance.randrange(12 if kind == "a bit of its header" else PAGE)] ^= 1 << chance.randrange(8)
            elif kind == "another page":
                other = chance.choice(list(small.pages())) - 1
                data[at : at + PAGE] = data[other * PAGE : other * PAGE + PAGE]
            else:
                data[at : at + PAGE] = bytes(PAGE) if kind == "zeros" else chance.randbytes(PAGE)
            found, report = salvaged(bytes(data))
            lost = small.contents.keys() - found.keys()
            touched = small.used.get(number, set())
            assert lost <= touched, number
            assert not (lost and report.whole), number
            # Where queues are lost, it is not known either which of them were in the account that was deleted.
            assert bodies(found) <= (small.all_bodies if number == small.roots["queues"] else bodies(small.contents))
            if number in small.used or number in small.inner:  # and so there is no name in it
                assert all(found[each] == small.contents[each] for each in small.contents.keys() - touched), number

    def test_a_damaged_message_is_named_and_not_copied(self, small: Small, salvaged: Salvaged) -> None:
        sequence = next(each for each, row in small.contents.items() if row[2] == "long")
        body = small.contents[sequence][8]
        data = small.data.replace(body[10_000:10_100], bytes(100))
        assert data != small.data
        found, report = salvaged(data)
        assert small.contents.keys() - found.keys() == {sequence}
        assert (report.damaged, report.names, report.missing) == (1, ["account 0/queue 0/long"], 1)
        assert not report.scanned

    def test_the_first_few_of_many_are_named(self, open_store: OpenStore, path: Path, new: Path) -> None:
        store = open_store()
        store.put("a", "q", [Draft(f"{n}", b"precious", 0, 0) for n in range(100)], NOW)
        store.close()
        path.write_bytes(path.read_bytes().replace(b"precious", b"preciouz"))
        report = salvage(path, new)
        assert (report.messages, report.damaged, report.missing) == (0, 100, 100)
        assert report.names == [f"a/q/{n}" for n in range(10)]
        assert listed(new) == []

    def test_leaves_below_a_lost_interior_page_are_found(self, small: Small, salvaged: Salvaged) -> None:
        found, report = salvaged(zeroed(small.data, *small.inner))
        assert found == small.contents
        assert (report.scanned, report.damaged_pages, report.missing) == (True, len(small.inner), 0)

    def test_a_page_that_the_disk_cannot_read_is_a_damaged_page(
        self, small: Small, salvaged: Salvaged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        number = max(small.used)
        pread = os.pread

        def failing(file: int, size: int, at: int) -> bytes:
            if size == PAGE and at == (number - 1) * PAGE:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return pread(file, size, at)

        monkeypatch.setattr(reader.os, "pread", failing)
        found, report = salvaged(small.data)
        assert small.contents.keys() - found.keys() == small.used[number]
        assert not report.whole


def zeroed(data: bytes, *numbers: int) -> bytes:
    changed = bytearray(data)
    for number in numbers:
        changed[(number - 1) * PAGE : number * PAGE] = bytes(PAGE)
    return bytes(changed)


def roots(data: bytes) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "some.db"
        path.write_bytes(data)
        with closing(sqlite3.connect(path)) as connection:
            return dict(connection.execute("SELECT name, rootpage FROM sqlite_schema"))


class TestNames:
    """What is known of queues and accounts, where the pages of that are lost."""

    def test_page_1_is_not_needed(self, small: Small, salvaged: Salvaged) -> None:
        found, report = salvaged(zeroed(small.data, 1))
        assert found == small.contents
        assert (report.damaged_pages, report.missing, report.nameless) == (1, 0, 0)

    def test_page_1_and_the_tree_of_messages_are_not_needed(self, small: Small, salvaged: Salvaged) -> None:
        found, _ = salvaged(zeroed(small.data, 1, small.roots["messages"]))
        assert found == small.contents

    def test_queues_without_a_name_get_one_by_their_number(self, small: Small, salvaged: Salvaged, new: Path) -> None:
        found, report = salvaged(zeroed(small.data, small.roots["queues"]))
        # Of a queue whose account is not known, it is not known either that the account was deleted.
        assert bodies(small.contents) <= bodies(found)
        assert report.nameless == 5
        assert not report.whole
        assert {name for name, _ in listed(new)} == {"salvaged"}
        assert all(re.fullmatch(r"queue-\d+", queue) for _, queue in listed(new))

    def test_an_account_without_a_name_gets_one_by_its_number(
        self, small: Small, salvaged: Salvaged, new: Path
    ) -> None:
        found, report = salvaged(zeroed(small.data, small.roots["accounts"]))
        assert bodies(found) == bodies(small.contents)
        assert report.nameless == 3
        assert listed(new) == [("salvaged-1", "queue 0"), ("salvaged-3", "queue 2"), ("salvaged-3", "queue 5")]

    def test_what_was_deleted_does_not_come_back_where_only_the_list_of_that_is_lost(
        self, small: Small, salvaged: Salvaged
    ) -> None:
        found, _ = salvaged(zeroed(small.data, *(small.roots[name] for name in ("dead_queues", "dead_accounts"))))
        assert found == small.contents

    def test_an_account_that_has_the_name_already_is_left_alone(
        self, open_store: OpenStore, path: Path, new: Path
    ) -> None:
        store = open_store()
        store.put("salvaged", "queue-1", [Draft("mine", b"", 0, 0)], NOW)
        store.put("other", "q", [Draft("1", b"", 0, 0)], NOW)
        store.close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE queues SET name = 'no/name' WHERE name = 'q'")
        salvage(path, new)
        assert listed(new) == [("salvaged", "queue-1"), ("salvaged-2", "queue-2")]

    def test_without_the_list_of_all_a_store_of_its_own_is_made(
        self, small: Small, salvaged: Salvaged, new: Path
    ) -> None:
        found, report = salvaged(zeroed(small.data, small.roots["store"]))
        assert found == small.contents
        assert report.detached
        assert len(listed(new)) == 3

    def test_free_pages_are_not_looked_at_though_the_list_of_them_is_lost(
        self, open_store: OpenStore, path: Path, new: Path
    ) -> None:
        store = open_store()
        store.put("a", "q", [Draft(f"{n}", b"x" * 300, 0, 0) for n in range(400)], NOW)
        store.delete("a", "q", [f"{n}" for n in range(400) if n >= 60], NOW)
        store.close()
        data = path.read_bytes()
        (trunk,) = struct.unpack_from(">I", data, 32)
        assert trunk
        path.write_bytes(zeroed(data, trunk, 1, roots(data)["messages"]))
        salvage(path, new)
        assert {row[2] for row in contents(new).values()} == {f"{n}" for n in range(60)}


class TestShards:
    ACCOUNTS: Final = [f"account {n}" for n in range(12)]

    @pytest.fixture
    def shards(self, open_store: OpenStore, path: Path) -> list[Path]:
        store = open_store(shards=3)
        for account in self.ACCOUNTS:
            store.put(account, "q", [Draft("1", account.encode(), 0, 0)], NOW)
        store.close()
        return [path, path.with_name("queue-1.db"), path.with_name("queue-2.db")]

    def test_a_salvaged_one_fits_in_with_the_others(self, open_store: OpenStore, shards: list[Path], new: Path) -> None:
        for shard in shards:
            assert salvage(shard, new).whole
            new.replace(shard)
            new.with_name("new.db-lock").unlink()
        assert open_store(shards=3).list_accounts(Page(), NOW) == self.ACCOUNTS

    def test_what_lost_its_name_is_in_an_account_of_that_shard(
        self, open_store: OpenStore, shards: list[Path], new: Path
    ) -> None:
        shard = shards[1]
        data = shard.read_bytes()
        shard.write_bytes(zeroed(data, *(roots(data)[name] for name in ("accounts", "queues"))))
        many = salvage(shard, new).nameless
        new.replace(shard)
        store = open_store(shards=3)
        (name,) = [each for each in store.list_accounts(Page(), NOW) if each.startswith("salvaged")]
        assert shard_of(name, 3) == 1
        found = [store.get(name, queue, ["1"], NOW)[0].body.decode() for queue in store.list_queues(name, Page(), NOW)]
        assert sorted(found) == sorted(each for each in self.ACCOUNTS if shard_of(each, 3) == 1)
        assert len(found) == many


class TestTruncated:
    @pytest.mark.parametrize("more", [0, 1, 100, 4000])
    def test_what_is_before_the_end_comes_out(self, small: Small, salvaged: Salvaged, more: int) -> None:
        last = max(small.roots.values())
        for pages in range(last, len(small.data) // PAGE):
            found, report = salvaged(small.data[: pages * PAGE + more])
            gone = {each for number, used in small.used.items() if number > pages for each in used}
            assert {each: row for each, row in small.contents.items() if each not in gone}.items() <= found.items()
            assert found.items() <= small.contents.items()
            assert not (gone & small.contents.keys() - found.keys() and report.whole)

    @pytest.mark.parametrize(
        "size", [*range(0, 20 * PAGE, 3 * PAGE), 1, 16, 99, 100, 101, 513, PAGE - 1, 2 * PAGE + 77]
    )
    def test_where_hardly_anything_is_left_nothing_wrong_comes_out(
        self, small: Small, path: Path, new: Path, size: int
    ) -> None:
        path.write_bytes(small.data[:size])
        if size < 3 * PAGE:  # the page of the first table
            with pytest.raises(Unusable, match="is no database of Leveret's, or nothing of it can be read"):
                salvage(path, new)
            assert not list(new.parent.glob("new.db*"))
        else:
            assert not salvage(path, new).whole
            assert bodies(contents(new)) <= bodies(small.contents)


class TestLog:
    """Twelve commits in the log: each one a message, and the count of its queue."""

    COMMITS = 12

    @pytest.fixture
    def logged(self, open_store: OpenStore, path: Path) -> Path:
        store = open_store()
        store.put("a", "q", [Draft("filed", b"", 0, 0)], NOW)
        store.close()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            (first,) = connection.execute("SELECT max(sequence) + 1 FROM messages").fetchone()
            for number in range(self.COMMITS):
                row = rows.row(first + number, 1, Draft(f"{number}", b"logged" * 200, 0, 0), NOW)
                connection.execute("BEGIN")
                connection.execute(f"INSERT INTO messages VALUES ({rows.marks(rows.COLUMNS)})", row)
                connection.execute("UPDATE queues SET messages = messages + 1, bytes = bytes + 1200")
                connection.execute("COMMIT")
            copy = path.with_name("copy.db")
            shutil.copy(path, copy)
            shutil.copy(f"{path}-wal", f"{copy}-wal")
        return copy

    def out(self, path: Path, new: Path) -> tuple[int, Report]:
        """How many of the commits came out."""
        report = salvage(path, new)
        found = [row[2] for row in contents(new).values()]
        assert found == ["filed", *(f"{number}" for number in range(len(found) - 1))]
        return len(found) - 1, report

    def test_what_is_in_it_comes_out(self, logged: Path, new: Path) -> None:
        assert self.out(logged, new) == (self.COMMITS, Report(13, 1200 * self.COMMITS, queues=1))

    def test_what_is_behind_a_flipped_bit_does_too(self, logged: Path, new: Path) -> None:
        log = Path(f"{logged}-wal")
        data = bytearray(log.read_bytes())
        data[len(data) // 2] ^= 1
        log.write_bytes(data)
        commits, report = self.out(logged, new)
        assert commits == self.COMMITS
        assert (report.log_cut, report.log_outlived, report.whole, report.missing) == (True, True, False, 0)

    def test_a_last_commit_that_may_be_torn_does_not(self, logged: Path, new: Path) -> None:
        log = Path(f"{logged}-wal")
        data = bytearray(log.read_bytes())
        data[-100] ^= 1
        log.write_bytes(data)
        commits, report = self.out(logged, new)
        assert commits == self.COMMITS - 1
        assert (report.log_cut, report.log_outlived, report.whole, report.missing) == (True, False, False, 0)

    def test_what_was_cut_off_does_not(self, logged: Path, new: Path) -> None:
        log = Path(f"{logged}-wal")
        os.truncate(log, log.stat().st_size // 2)
        commits, report = self.out(logged, new)
        assert 0 < commits < self.COMMITS
        assert report.log_cut

    def test_the_file_may_be_damaged_as_well(self, logged: Path, new: Path) -> None:
        data = bytearray(logged.read_bytes())
        data[:100] = bytes(100)
        logged.write_bytes(data)
        assert self.out(logged, new)[0] == self.COMMITS

    def test_pages_that_are_in_the_log_may_be_lost_in_the_file(self, logged: Path, new: Path) -> None:
        data = logged.read_bytes()
        with closing(Pages(logged)) as pages:
            number = next(each for each in range(2, pages.last) if data[(each - 1) * PAGE :][:PAGE] != pages.page(each))
        logged.write_bytes(zeroed(data, number))
        assert self.out(logged, new) == (self.COMMITS, Report(13, 1200 * self.COMMITS, queues=1))


class TestHostile:
    def test_a_body_that_looks_like_a_page_of_messages_is_a_body(
        self, small: Small, open_store: OpenStore, path: Path, new: Path
    ) -> None:
        number = next(
            each for each, used in small.used.items() if small.data[(each - 1) * PAGE] == 13 and len(used) > 2
        )
        page = small.data[(number - 1) * PAGE : number * PAGE]
        # In each place that it can have in a page, whole and in parts.
        body = b"".join(page + bytes(shift) for shift in range(0, 64, 4)) + page[4:] * 20
        store = open_store()
        store.put("a", "q", [Draft("evil", body, 0, 0), *(Draft(f"{n}", b"x" * 3000, 0, 0) for n in range(40))], NOW)
        store.close()
        data = path.read_bytes()
        for lost in ((), (1,), (roots(data)["messages"],), (1, 2, roots(data)["messages"])):
            path.write_bytes(zeroed(data, *lost))
            salvage(path, new)
            assert {row[2] for row in contents(new).values()} == {"evil", *(f"{n}" for n in range(40))}
            for file in new.parent.glob("new.db*"):
                file.unlink()

    def test_a_message_with_a_right_checksum_and_an_impossible_time_is_not_copied(
        self, open_store: OpenStore, path: Path, new: Path
    ) -> None:
        store = open_store()
        store.put("a", "q", [Draft("1", b"", 0, 0), Draft("2", b"", 0, 0)], NOW + 0.5)
        store.close()
        data = path.read_bytes()
        path.write_bytes(data.replace(struct.pack(">d", NOW + 0.5), struct.pack(">d", float("nan")), 1))
        report = salvage(path, new)
        assert (report.messages, report.damaged) == (1, 1)

    def test_a_tree_that_leads_everywhere_has_an_end(self, small: Small, salvaged: Salvaged) -> None:
        count = len(small.pages())
        web = bytearray(PAGE)
        struct.pack_into(">BHHHBI", web, 0, INTERIOR, 0, 700, 1500, 0, small.roots["messages"])
        for cell in range(700):
            struct.pack_into(">H", web, 12 + 2 * cell, 1500 + cell)
        for at in range(1500, PAGE - 4):
            struct.pack_into(">I", web, at, at % count + 1)
        data = bytearray(small.data)
        for number in (small.roots["messages"], *small.inner):
            data[(number - 1) * PAGE : number * PAGE] = web
        found, report = salvaged(bytes(data))
        assert found == small.contents
        assert not report.whole

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.binary(max_size=20_000), st.booleans())
    @example(b"", True)
    @example(b"", False)
    @example(b"SQLite format 3\0", False)
    def test_garbage_is_a_clear_error(self, garbage: bytes, with_header: bool) -> None:
        header = b"SQLite format 3\0\x10\0\x02\x02\0\x40\x20\x20" if with_header else b""
        with tempfile.TemporaryDirectory() as directory:
            path, new = Path(directory) / "garbage.db", Path(directory) / "new.db"
            path.write_bytes(header + garbage)
            path.with_name("garbage.db-wal").write_bytes(garbage[::-1])
            with pytest.raises(
                Unusable, match=r"garbage\.db is no database of Leveret's, or nothing of it can be read"
            ):
                salvage(path, new)
            assert not new.exists()

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=600)), max_size=40))
    def test_however_much_is_overwritten_only_true_messages_come_out(
        self, small: Small, overwritten: list[tuple[float, bytes]]
    ) -> None:
        data = bytearray(small.data)
        for where, new_bytes in overwritten:
            at = int(where * len(data))
            data[at : at + len(new_bytes)] = new_bytes[: len(data) - at]
        with tempfile.TemporaryDirectory() as directory:
            path, new = Path(directory) / "some.db", Path(directory) / "new.db"
            path.write_bytes(data)
            salvage(path, new)
            assert bodies(contents(new)) <= small.all_bodies


class TestRefusals:
    def refusal(self, path: Path, new: Path) -> str:
        with pytest.raises(Unusable) as refused:
            salvage(path, new)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    def test_a_file_in_use_by_the_name_of_who_has_it(self, open_store: OpenStore, path: Path, new: Path) -> None:
        store = open_store()
        lock = path.with_name("queue.db-lock")
        before = (lock.read_bytes(), lock.stat().st_mtime_ns)
        assert re.search(
            rf"queue\.db is in use by process {os.getpid()} \(.+\); stop it first$", self.refusal(path, new)
        )
        assert (lock.read_bytes(), lock.stat().st_mtime_ns) == before
        assert not list(new.parent.glob("new.db*"))
        store.close()
        assert salvage(path, new).whole
        assert (lock.read_bytes(), lock.stat().st_mtime_ns) == before

    def test_while_it_runs_no_server_can_have_the_file(self, open_store: OpenStore, path: Path, new: Path) -> None:
        open_store().close()

        def look(done: int, of: int) -> None:
            with pytest.raises(Unusable, match="is in use"):
                open_store()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_TELL", 1)
            salvage(path, new, look)
        open_store()

    def test_a_file_that_is_not_there(self, path: Path, new: Path) -> None:
        assert self.refusal(path, new) == f"{path} is not there, or is no file"

    def test_a_folder(self, tmp_path: Path, new: Path) -> None:
        assert self.refusal(tmp_path, new) == f"{tmp_path} is not there, or is no file"

    @pytest.mark.parametrize("beside", ["new.db", "new.db-wal", "new.db-lock"])
    def test_a_new_one_that_is_there_already(self, open_store: OpenStore, path: Path, new: Path, beside: str) -> None:
        open_store().close()
        there = new.with_name(beside)
        there.write_bytes(b"precious")
        assert self.refusal(path, new) == f"{there} is there already; give the name of a new file"
        assert there.read_bytes() == b"precious"

    def test_a_database_of_somebody_else(self, path: Path, new: Path) -> None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE messages (x)")
            other.execute("INSERT INTO messages VALUES (1)")
            other.commit()
        assert "is no database of Leveret's" in self.refusal(path, new)
        assert not list(new.parent.glob("new.db*"))

    def test_a_file_that_may_not_be_read(self, path: Path, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.write_bytes(b"")

        def forbidden(source: Path) -> Iterator[Any]:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(source))

        monkeypatch.setattr(module, "Pages", forbidden)
        assert self.refusal(path, new) == f"{path} can't be read: Permission denied"

    def test_what_was_begun_is_removed_where_it_fails(
        self, open_store: OpenStore, path: Path, new: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_store().close()

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(module._Copy, "_finish", full)
        assert self.refusal(path, new) == f"{new} can't be written: database or disk is full"
        assert not list(new.parent.glob("new.db*"))
