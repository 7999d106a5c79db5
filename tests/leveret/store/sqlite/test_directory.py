"""What the file knows of queues: all that changed, at the end of each transaction, and no more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest

from leveret.model import Draft, Filters, Page
from leveret.store.ledger import Ledger
from leveret.store.sqlite.directory import ABSENT, Directory
from leveret.store.sqlite.schema import prepare
from leveret.store.sqlite.tally import Tally
from support.disk import OpenStore
from support.interface_conformance import Heard
from support.subject import START as NOW


@pytest.fixture
def directory() -> Iterator[Directory]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        prepare(connection, ":memory:")
        yield Directory(connection, count(1).__next__, Tally(Ledger()))


def vanished(directory: Directory, account: str, queue: str) -> None:
    record = directory.find((account, queue))
    directory.appear(record)
    directory.flush()
    directory.vanish(record)
    directory.flush()


def updates(seen: list[str]) -> list[str]:
    return [text for text in seen if text.startswith("UPDATE queues")]


def draft(id: str, ttl: int = 600) -> Draft:
    return Draft(id, b"", ttl, 0)


def test_counts_alone_are_written_without_the_columns_that_indexes_have(open_store: OpenStore) -> None:
    store = open_store()
    store.put("a", "q", [draft("1")], NOW)
    seen: list[str] = []
    store._writers[0]._connection.set_trace_callback(seen.append)
    store.put("a", "q", [draft("2")], NOW + 1)
    (update,) = updates(seen)
    assert "place" not in update
    assert "due" not in update


def test_a_due_time_that_gets_earlier_outlives_a_restart(open_store: OpenStore) -> None:
    store = open_store()
    store.put("a", "q", [draft("1")], NOW)
    store.put("a", "q", [draft("2", ttl=5)], NOW)
    store.close()
    heard = Heard()
    store = open_store(signals=heard)
    assert [message.id for message in store.select("a", "q", Filters(), NOW + 6)] == ["1"]
    assert heard.dues[0] == NOW + 5


def test_a_place_that_changes_outlives_a_restart(open_store: OpenStore) -> None:
    store = open_store()
    for queue in ("first", "second"):
        store.put("a", queue, [draft("1")], NOW)
    store.delete("a", "first", ["1"], NOW)
    store.put("a", "first", [draft("2")], NOW)  # it comes back, behind the other
    store.put("a", "first", [draft("3")], NOW)
    store.close()
    assert open_store().list_queues("a", Page(), NOW) == ["second", "first"]


def test_counts_outlive_a_restart(open_store: OpenStore) -> None:
    store = open_store()
    for number in range(3):
        store.put("a", "q", [Draft(f"{number}", b"xy", 600, 0)], NOW)
    store.close()
    (state,) = open_store().describe_queues("a", Page(), NOW)
    assert (state.messages, state.bytes) == (3, 6)


def test_queues_that_are_not_there_are_not_remembered_for_ever(open_store: OpenStore) -> None:
    store = open_store()
    for number in range(3 * ABSENT):
        store.get(f"{number}", "q", ["1"], NOW)
        store.put("a", f"{number}", [draft("1")], NOW)
        store.delete_queues("a", Page(), NOW)
    directory = store._writers[0]._shard._directory
    assert len(directory._queues) <= 2 * ABSENT
    assert len(directory._accounts) <= 2 * ABSENT


def test_what_vanished_is_counted_until_it_is_there_again_or_dropped(directory: Directory) -> None:
    vanished(directory, "a", "1")
    vanished(directory, "a", "2")
    assert directory.empty == 3
    directory.appear(directory.find(("a", "1")))
    assert directory.empty == 1
    assert not directory.drop_empty(10)
    assert directory.empty == 0


def test_accounts_are_looked_for_once_there_are_few_queues_left(directory: Directory) -> None:
    for number in range(5):
        vanished(directory, f"{number}", "q")
    seen: list[str] = []
    directory._execute.__self__.set_trace_callback(seen.append)
    assert directory.drop_empty(3)
    assert not [text for text in seen if text.startswith("SELECT number, name FROM accounts")]
    assert directory.drop_empty(3)
    assert not directory.drop_empty(3)
    assert directory.empty == 0


def test_an_account_that_is_named_twice_is_buried_once(directory: Directory) -> None:
    directory.appear(directory.find(("a", "q")))
    directory.bury_accounts(["a", "a"])
    assert list(directory.accounts(None, -1)) == [[]]
