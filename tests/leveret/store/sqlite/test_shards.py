"""A store in several files: each account in one of them, always the same; all of them or none."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from leveret.model import Draft, Page
from leveret.store.base import Unusable
from leveret.store.sqlite.store import shard_of
from support.disk import OpenStore
from support.subject import START as NOW

ACCOUNTS = [f"account {n}" for n in range(20)]


def fill(open_store: OpenStore, shards: int) -> None:
    store = open_store(shards=shards)
    for account in ACCOUNTS:
        store.put(account, "q", [Draft("1", account.encode(), 0, 0)], NOW)
    store.close()


def test_accounts_are_spread_over_all_files(open_store: OpenStore, path: Path) -> None:
    fill(open_store, 3)
    assert sorted(file.name for file in path.parent.glob("*.db")) == ["queue-1.db", "queue-2.db", "queue.db"]
    assert {shard_of(account, 3) for account in ACCOUNTS} == {0, 1, 2}


def test_an_account_is_found_where_it_was_put(open_store: OpenStore) -> None:
    fill(open_store, 3)
    store = open_store(shards=3)
    assert store.list_accounts(Page(), NOW) == ACCOUNTS
    assert all(store.get(account, "q", ["1"], NOW)[0].body == account.encode() for account in ACCOUNTS)


def test_the_shard_of_an_account_never_changes() -> None:
    assert [shard_of(account, 4) for account in ("a", "b", "ü", "account 7")] == [3, 1, 3, 0]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (3, 2), (2, 3), (2, 1)])
def test_another_number_of_shards_is_refused(open_store: OpenStore, before: int, after: int) -> None:
    fill(open_store, before)
    with pytest.raises(
        Unusable, match=f"is part of a store of shards={before}; set sqlite.shards={before}, not {after}"
    ):
        open_store(shards=after)
    fill(open_store, before)


def test_a_missing_file_is_refused_and_not_made_anew(open_store: OpenStore, path: Path) -> None:
    fill(open_store, 3)
    missing = path.with_name("queue-1.db")
    missing.unlink()
    with pytest.raises(Unusable, match=r"queue-1\.db is missing"):
        open_store(shards=3)
    assert not missing.exists()


def test_a_file_of_another_store_is_refused(open_store: OpenStore, path: Path) -> None:
    fill(open_store, 2)
    one = path.with_name("queue-1.db").read_bytes()
    for file in path.parent.glob("*.db"):
        file.unlink()
    fill(open_store, 2)
    path.with_name("queue-1.db").write_bytes(one)
    with pytest.raises(Unusable, match=r"queue-1\.db is no part of the store of \S+queue\.db"):
        open_store(shards=2)


def test_a_store_whose_making_was_cut_short_is_made_whole(open_store: OpenStore, path: Path) -> None:
    open_store(shards=1).close()
    first = path.read_bytes()
    path.with_name("queue-1.db").write_bytes(first)
    for file in path.parent.glob("*.db"):
        connection = sqlite3.connect(file)
        with connection:
            connection.execute("DELETE FROM store")
        connection.close()
    fill(open_store, 2)
    assert open_store(shards=2).list_accounts(Page(), NOW) == ACCOUNTS


def test_deleting_accounts_reaches_all_files(open_store: OpenStore) -> None:
    fill(open_store, 3)
    store = open_store(shards=3)
    assert store.delete_accounts(Page(limit=5, marker=ACCOUNTS[3]), NOW) == ACCOUNTS[4:9]
    assert store.list_accounts(Page(), NOW) == ACCOUNTS[:4] + ACCOUNTS[9:]


def test_a_sweep_reaches_all_files_and_answers_for_all(open_store: OpenStore) -> None:
    store = open_store(shards=3)
    for number, account in enumerate(ACCOUNTS):
        store.put(account, "q", [Draft("1", b"", 10 + number, 0)], NOW)
    assert store.sweep(NOW + 15) == NOW + 16
    assert store.list_accounts(Page(), NOW + 15) == ACCOUNTS[6:]
