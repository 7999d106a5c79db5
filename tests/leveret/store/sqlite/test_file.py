"""Whose a file is, and when it is refused: each time with one line that says what to do."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from pathlib import Path

import pytest

from leveret.model import Draft, Filters, Page
from leveret.store.base import StoreFailed, Unusable
from leveret.store.sqlite import SqliteStore, schema
from leveret.store.sqlite.file import DatabaseFile
from support.disk import OpenStore
from support.subject import START as NOW
from support.subject import Silence


def refusal(open_store: OpenStore, **options: object) -> str:
    with pytest.raises(Unusable) as refused:
        open_store(**options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_all_files_are_for_their_owner_alone(open_store: OpenStore, path: Path) -> None:
    open_store().put("a", "q", [Draft("1", b"", 0, 0)], NOW)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("queue.db*")}
    assert modes == dict.fromkeys(["queue.db", "queue.db-wal", "queue.db-lock", "queue.db-reserve"], 0o600)


def test_the_directory_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "er" / "queue.db"
    store = SqliteStore(path, reserve=0)
    store.open(Silence(), NOW)
    store.close()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_closed_store_leaves_no_log_behind(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    store.put("a", "q", [Draft("1", b"", 0, 0)], NOW)
    store.close()
    assert not path.with_name("queue.db-wal").exists()


def test_a_second_store_on_the_same_file_is_refused_by_the_name_of_the_first(open_store: OpenStore) -> None:
    open_store()
    said = refusal(open_store)
    assert re.search(
        rf"queue\.db is in use by process {os.getpid()} \(.+\); one server at a time can have it: stop that one, .+$",
        said,
    )


def test_a_file_can_be_opened_again_once_it_is_closed(open_store: OpenStore) -> None:
    open_store().close()
    open_store()


def test_a_file_that_another_program_writes_to_is_refused(open_store: OpenStore, path: Path) -> None:
    open_store().close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "queue.db is open in another program" in refusal(open_store)
    other.close()


def test_somebody_elses_database_is_refused_and_left_alone(open_store: OpenStore, path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE precious (x)")
    other.close()
    assert "not one of Leveret's" in refusal(open_store)
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("precious",)]
    other.close()


def test_a_newer_version_is_refused(open_store: OpenStore, path: Path) -> None:
    open_store().close()
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    other.close()
    assert "a newer Leveret has written it" in refusal(open_store)


def test_what_is_no_database_is_refused_with_the_way_to_salvage_it(open_store: OpenStore, path: Path) -> None:
    path.write_bytes(b"This is no database at all. " * 400)
    assert re.search(r"queue\.db is damaged, or no database .*'leveret salvage \S+queue\.db NEW'", refusal(open_store))


def test_a_damaged_file_is_refused_with_the_way_to_salvage_it(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    store.put("a", "q", [Draft(f"{n}", b"x" * 100, 0, 0) for n in range(2000)], NOW)
    store.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(content)
    assert re.search(r"queue\.db is damaged .*'leveret salvage \S+queue\.db NEW'", refusal(open_store))


def test_a_truncated_file_is_refused(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    store.put("a", "q", [Draft(f"{n}", b"x" * 100, 0, 0) for n in range(2000)], NOW)
    store.close()
    os.truncate(path, path.stat().st_size // 2)
    assert "is damaged" in refusal(open_store)


def test_a_folder_in_the_place_of_the_file_is_refused(open_store: OpenStore, path: Path) -> None:
    path.mkdir()
    assert "Is a directory" in refusal(open_store)


def test_a_store_that_is_closed_says_so(open_store: OpenStore) -> None:
    store = open_store()
    store.close()
    with pytest.raises(StoreFailed, match="the store is closed"):
        store.list_accounts(Page(), NOW)


def test_a_damaged_message_is_never_handed_out(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    store.put("a", "q", [Draft("1", b"precious", 0, 0), Draft("2", b"", 0, 0)], NOW)
    store.close()
    path.write_bytes(path.read_bytes().replace(b"precious", b"precIous"))
    store = open_store()
    for look in (
        lambda: store.get("a", "q", ["1"], NOW),
        lambda: store.select("a", "q", Filters(), NOW),
        lambda: store.delete_matching("a", "q", Filters(), NOW),
    ):
        with pytest.raises(Exception, match="the message '1' is damaged"):
            look()
    # Nobody is kept from the others: it can be deleted by its id, unseen.
    assert len(store.get("a", "q", ["2"], NOW)) == 1


def test_a_message_that_strayed_into_another_queue_is_never_handed_out(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    store.put("a", "mine", [Draft("1", b"secret", 0, 0)], NOW)
    store.put("b", "yours", [Draft("2", b"", 0, 0)], NOW)
    store.close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE messages SET queue = (SELECT number FROM queues WHERE name = 'yours')")
    other.close()
    with pytest.raises(Exception, match="the message '1' is damaged"):
        open_store().get("b", "yours", ["1"], NOW)


def test_a_relative_path_into_nowhere_is_no_place_for_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unusable, match=r"four slashes: sqlite:////var/lib/q\.db"):
        DatabaseFile(Path("var/lib/q.db"), "off", 0).open()
    assert not list(tmp_path.glob("var*"))
