"""A file of an older version is opened as one of this version: at one stroke, with all that is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from leveret.model import AccountState, Draft, Filters, Page, Policy, Quota
from leveret.store.base import AccountFull
from leveret.store.sqlite import SqliteStore, schema
from leveret.store.sqlite.salvage import salvage
from support import version_2
from support.disk import OpenStore, open_at
from support.subject import START as NOW

CONTENTS: version_2.Contents = {
    "a": {"q": [(b"one", None), (b"two", NOW + 10)], "r": [(b"three", None)]},
    "b": {"q": [(b"", NOW + 10)]},
}
STATES = [AccountState("a", 2, 3, 11), AccountState("b", 1, 1, 0)]

STEP = "ALTER TABLE messages ADD COLUMN colour TEXT; UPDATE messages SET colour = 'grey';"


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def older(path: Path, version: int) -> Path:
    version_2.make(path, CONTENTS, version)
    return path


@pytest.fixture
def connection(older: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(older, isolation_level=None)) as opened:
        yield opened


def columns(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Of each table: names, types, and which may be NULL."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {table: [row[1:4] for row in connection.execute(f"PRAGMA table_info({table})")] for table in sorted(tables)}


def test_accounts_get_the_totals_of_their_queues(older: Path, open_store: OpenStore) -> None:
    store = open_store(NOW)
    assert store.describe_accounts(Page(), NOW) == STATES
    assert store.describe_accounts(Page(), NOW + 10) == [AccountState("a", 2, 2, 8)]


def test_messages_and_quotas_are_as_ever(older: Path, open_store: OpenStore) -> None:
    store = open_store(NOW)
    assert [each.body for each in store.select("a", "q", Filters(), NOW)] == [b"one", b"two"]
    with pytest.raises(AccountFull):
        store.put("a", "q", [Draft("x", b"", 0, 0)], NOW, Quota(messages=3))
    store.put("a", "q", [Draft("x", b"", 0, 0)], NOW + 10, Quota(messages=3))
    assert store.change_policy("a", "q", {"max_deliveries": 3}, NOW) == Policy(max_deliveries=3)
    store.close()
    assert open_store(NOW).describe_accounts(Page(), NOW + 10) == [AccountState("a", 2, 3, 8)]


def test_the_tables_are_those_of_a_new_file(older: Path, open_store: OpenStore, tmp_path: Path) -> None:
    open_store().close()
    new = tmp_path / "new.db"
    open_at(new).close()
    with closing(sqlite3.connect(older)) as upgraded, closing(sqlite3.connect(new)) as made:
        assert columns(upgraded) == columns(made)
        assert upgraded.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        indexes = "SELECT name FROM sqlite_schema WHERE type = 'index' ORDER BY name"
        assert upgraded.execute(indexes).fetchall() == made.execute(indexes).fetchall()
        assert upgraded.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_step_that_fails_leaves_all_as_it_was(connection: sqlite3.Connection, version: int) -> None:
    before = columns(connection)
    steps = {1: schema._STEPS[1], 2: schema._STEPS[2] + STEP + "SELECT * FROM nowhere;"}
    with pytest.raises(sqlite3.OperationalError):
        schema.prepare(connection, "queue.db", steps)
    assert columns(connection) == before
    assert connection.execute("PRAGMA user_version").fetchone() == (version,)


def test_every_step_from_the_version_on_is_taken(connection: sqlite3.Connection, version: int) -> None:
    steps = {1: "CREATE TABLE one (x);", 2: STEP}
    assert not schema.prepare(connection, "queue.db", steps)
    assert set(connection.execute("SELECT colour FROM messages")) == {("grey",)}
    assert ("one" in columns(connection)) == (version == 1)
    assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_what_was_upgraded_can_be_salvaged(older: Path, open_store: OpenStore, tmp_path: Path) -> None:
    open_store().close()
    assert salvage(older, tmp_path / "new.db").whole
    assert_contents(tmp_path / "new.db")


def test_a_file_of_version_2_can_be_salvaged_as_it_is(path: Path, tmp_path: Path) -> None:
    version_2.make(path, CONTENTS)
    assert salvage(path, tmp_path / "new.db").whole
    assert_contents(tmp_path / "new.db")


def test_the_accounts_of_version_2_are_found_without_what_leads_to_them(path: Path, tmp_path: Path) -> None:
    version_2.make(path, CONTENTS)
    content = bytearray(path.read_bytes())
    content[:4096] = bytes(4096)  # page 1, which has the schema
    path.write_bytes(content)
    assert not salvage(path, tmp_path / "new.db").whole
    assert_contents(tmp_path / "new.db")


def assert_contents(path: Path) -> None:
    store: SqliteStore = open_at(path)
    try:
        assert store.describe_accounts(Page(), NOW) == STATES
        assert [each.body for each in store.select("a", "q", Filters(), NOW)] == [b"one", b"two"]
    finally:
        store.close()


def test_each_version_has_a_step_to_the_next() -> None:
    assert sorted(schema._STEPS) == list(range(1, schema.VERSION))
