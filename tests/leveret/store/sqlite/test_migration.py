"""A file of an older version is opened as one of this version: at one stroke, with all that is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from leveret.model import AccountState, Draft, Page, Quota
from leveret.store.base import AccountFull
from leveret.store.sqlite import schema
from leveret.store.sqlite.files import shard_paths
from leveret.store.sqlite.salvage import salvage
from support.disk import open_at
from support.older import FILES, NOW, VERSIONS, assert_whole, unpack

OLDER = [1, 2]
STEP = "ALTER TABLE messages ADD COLUMN colour TEXT; UPDATE messages SET colour = 'grey';"


@pytest.fixture(params=OLDER)
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def older(version: int, tmp_path: Path) -> Path:
    return unpack(version, "closed", tmp_path)


@pytest.fixture
def connection(older: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(older, isolation_level=None)) as opened:
        yield opened


def columns(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Of each table: names, types, and which may be NULL."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {table: [row[1:4] for row in connection.execute(f"PRAGMA table_info({table})")] for table in sorted(tables)}


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return int(version)


@pytest.mark.parametrize(("version", "name"), list(product(VERSIONS, FILES)))
def test_what_any_version_has_written_is_there(version: int, name: str, tmp_path: Path) -> None:
    path = unpack(version, name, tmp_path)
    for _ in range(2):  # the second time it is a file of this version
        store = open_at(path, NOW, shards=FILES[name])
        assert_whole(store, version)
        store.close()
        assert {version_of(each) for each in shard_paths(path, FILES[name])} == {schema.VERSION}


@pytest.mark.parametrize(("version", "name"), list(product(VERSIONS, FILES)))
def test_what_any_version_has_written_can_be_salvaged_as_it_is(version: int, name: str, tmp_path: Path) -> None:
    path = unpack(version, name, tmp_path)
    target = tmp_path / "new.db"
    for source, new in zip(shard_paths(path, FILES[name]), shard_paths(target, FILES[name]), strict=True):
        assert salvage(source, new).whole
    store = open_at(target, NOW, shards=FILES[name])
    assert_whole(store, version)
    store.close()


def test_what_was_upgraded_can_be_salvaged(older: Path, version: int, tmp_path: Path) -> None:
    open_at(older, NOW).close()
    assert salvage(older, tmp_path / "new.db").whole
    store = open_at(tmp_path / "new.db", NOW)
    assert_whole(store, version)
    store.close()


def test_accounts_are_found_without_what_leads_to_them(older: Path, version: int, tmp_path: Path) -> None:
    content = bytearray(older.read_bytes())
    content[:4096] = bytes(4096)  # page 1, which has the schema
    older.write_bytes(content)
    assert not salvage(older, tmp_path / "new.db").whole
    store = open_at(tmp_path / "new.db", NOW)
    assert_whole(store, version)
    store.close()


def test_quotas_count_what_was_there(older: Path) -> None:
    store = open_at(older, NOW)
    (before, *_) = store.describe_accounts(Page(), NOW)
    with pytest.raises(AccountFull):
        store.put("account 0", "plain", [Draft("x", b"", 0, 0)], NOW, Quota(messages=before.messages))
    store.put("account 0", "plain", [Draft("x", b"", 0, 0)], NOW, Quota(messages=before.messages + 1))
    store.close()
    store = open_at(older, NOW)
    (after, *_) = store.describe_accounts(Page(), NOW)
    assert after == AccountState("account 0", before.queues, before.messages + 1, before.bytes)
    store.close()


def test_the_tables_are_those_of_a_new_file(older: Path, tmp_path: Path) -> None:
    open_at(older, NOW).close()
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


def test_each_version_has_a_step_to_the_next() -> None:
    assert sorted(schema._STEPS) == list(range(1, schema.VERSION))


def test_there_are_files_of_each_version() -> None:
    assert list(VERSIONS) == list(range(1, schema.VERSION + 1))
