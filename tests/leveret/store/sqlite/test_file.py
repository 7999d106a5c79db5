"""Whose a file is, and when it is refused: each time with one line that says what to do."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import struct
from contextlib import closing
from pathlib import Path

import pytest

from leveret.model import Draft, Filters, Page
from leveret.store.base import StoreError, StoreFailed, Unusable
from leveret.store.sqlite import Durability, SqliteStore, schema
from leveret.store.sqlite import file as module
from leveret.store.sqlite.file import DatabaseFile
from leveret.store.sqlite.salvage import salvage
from leveret.store.sqlite.wal import Log
from support.disk import OpenStore, open_at
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


def test_an_empty_file_is_taken_for_a_new_one_with_a_line_in_the_log(
    open_store: OpenStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.touch()
    store = open_store()
    assert "the file is empty" in caplog.text
    store.put("a", "q", [Draft("1", b"", 600, 0)], NOW)


def test_a_new_file_is_no_line_in_the_log(open_store: OpenStore, caplog: pytest.LogCaptureFixture) -> None:
    open_store()
    assert not caplog.text


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
        (mine, yours) = [
            other.execute("SELECT number FROM queues WHERE name = ?", (name,)).fetchone()[0]
            for name in ("mine", "yours")
        ]
        other.execute(
            "UPDATE messages SET queue = ? - queue, hidden = 0 WHERE queue IN (?, ?)", (mine + yours, mine, yours)
        )
        other.execute("UPDATE queues SET bytes = 6 - bytes")
        other.execute("UPDATE accounts SET bytes = 6 - bytes")
    other.close()
    with pytest.raises(Exception, match="the message '1' is damaged"):
        open_store().get("b", "yours", ["1"], NOW)


@pytest.fixture
def left(open_store: OpenStore, path: Path) -> Path:
    """A file and its log, as a server that was killed leaves them: ten messages, each put by itself."""
    store = open_store(durability=Durability.FULL)
    for number in range(10):
        store.put("a", "q", [Draft(f"{number}", b"x" * 3000, 0, 0)], NOW)
    copy = path.with_name("left.db")
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{copy}{end}")
    return copy


def ids(path: Path, durability: Durability = Durability.FULL) -> list[str]:
    store = open_at(path, NOW, durability=durability)
    try:
        return [each.id for each in store.select("a", "q", Filters(), NOW)]
    finally:
        store.close()


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


# Bytes that came of a last transaction: of its first frame, of a later one, and all but the last.
TORN = [24, 24 + 4096, 4144, 3 * 4120 + 140]


def tear(log: Path, torn: int) -> int:
    """Leave so much of the last transaction; answers where the one before it ends."""
    content = log.read_bytes()
    log.write_bytes(content[:-1])
    with log.open("rb") as opened:
        whole = Log(opened.fileno()).end
    assert whole + torn < len(content)
    log.write_bytes(content[: whole + torn])
    return whole


class TestLog:
    """What a process that was killed leaves beside its file."""

    def test_damage_in_the_midst_of_it_is_refused(self, left: Path) -> None:
        flip(Path(f"{left}-wal"), Path(f"{left}-wal").stat().st_size // 2)
        with pytest.raises(Unusable) as refused:
            ids(left)
        assert re.fullmatch(
            r"\S+left\.db-wal is damaged, in the midst of what was acknowledged; 'leveret salvage \S+left\.db NEW' "
            r"copies what can be read into a new file; sqlite\.durability=normal opens it as it is, and loses what was "
            r"done after the damage",
            str(refused.value),
        )

    def test_what_is_salvaged_then_is_all_but_what_was_damaged(self, left: Path) -> None:
        flip(Path(f"{left}-wal"), Path(f"{left}-wal").stat().st_size // 2)
        new = left.with_name("new.db")
        report = salvage(left, new)
        assert (report.whole, report.log_outlived) == (False, True)
        found = ids(new)
        assert len(found) >= 9
        assert found == sorted(found)

    def test_with_less_durability_it_may_be_torn_and_is_opened_with_a_line_in_the_log(
        self, left: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        flip(Path(f"{left}-wal"), Path(f"{left}-wal").stat().st_size // 2)
        found = ids(left, Durability.NORMAL)
        assert found == [f"{number}" for number in range(len(found))]
        assert 0 < len(found) < 10
        assert "the log of the database is not whole: what comes behind is lost" in caplog.text

    def test_a_damaged_header_is_refused(self, left: Path) -> None:
        flip(Path(f"{left}-wal"), 17)
        with pytest.raises(Unusable, match="in the midst of what was acknowledged"):
            ids(left)

    def test_a_last_transaction_that_is_not_whole_is_left_out_with_a_line_in_the_log(
        self, left: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        flip(Path(f"{left}-wal"), Path(f"{left}-wal").stat().st_size - 100)
        assert ids(left) == [f"{number}" for number in range(9)]
        assert "the log of the database is not whole: its last transaction is not taken" in caplog.text

    def test_one_that_is_whole_is_taken_without_a_word(self, left: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert ids(left) == [f"{number}" for number in range(10)]
        assert not caplog.text

    @pytest.mark.parametrize("torn", TORN)
    def test_what_does_not_count_of_it_is_cut_off_before_sqlite_sees_it(
        self, left: Path, torn: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Killed again while it starts, it would else be refused: as a log that was moved, or had later commits."""
        log = Path(f"{left}-wal")
        whole = tear(log, torn)

        def dies(*given: object, **more: object) -> None:
            raise sqlite3.OperationalError("killed")

        monkeypatch.setattr(module.sqlite3, "connect", dies)
        with pytest.raises(Unusable):
            ids(left)
        assert log.stat().st_size == whole

    def test_it_is_emptied_before_anything_is_written(self, left: Path) -> None:
        """Else what is left behind a torn end could pass for what was committed later, after the next crash."""
        log = Path(f"{left}-wal")
        flip(log, log.stat().st_size // 2)
        file = DatabaseFile(left, "normal", 0)
        with closing(file.open()) as connection:
            assert log.stat().st_size == 0
            connection.execute("UPDATE store SET next_sequence = next_sequence + 1")
            with log.open("rb") as opened:
                assert not Log(opened.fileno()).cut
        file.close()

    def test_one_that_was_moved_into_the_file_and_damaged_since_is_refused(self, left: Path) -> None:
        """SQLite would put old pages into the place of newer ones."""
        log = Path(f"{left}-wal")
        with closing(sqlite3.connect(left, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            file, moved = left.read_bytes(), log.read_bytes()
        left.write_bytes(file)
        log.write_bytes(moved)
        flip(log, len(moved) - 100)
        with pytest.raises(Unusable, match="would put old pages into the file"):
            ids(left)
        assert salvage(left, left.with_name("new.db")).messages == 10


class TestIndexes:
    """A bit in an index, of a file that is too large for its start to look at all of it."""

    @pytest.fixture(autouse=True)
    def unchecked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_INDEX_CHECK", -1)
        monkeypatch.setattr(module, "_WHOLE_CHECK", -1)

    def damaged(self, path: Path, index: str) -> None:
        """One entry of the index names the row of another message."""
        store = open_at(path)
        store.put("a", "q", [Draft(f"{number}", b"x", 600, 0) for number in range(5)], NOW)
        store.close()
        with closing(sqlite3.connect(path)) as connection:
            (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (index,)).fetchone()
        content = bytearray(path.read_bytes())
        start = (root - 1) * 4096
        (cell,) = struct.unpack_from(">H", content, start + 8)  # the first of five
        columns = content[start + cell + 1] - 1  # serial types, of one byte each
        # The number of the queue, which is 1, is a type without bytes: to make 0 of it is one bit.
        assert (columns, content[start + cell + 2]) == (3, 9)
        content[start + cell + 2] = 8
        path.write_bytes(content)

    def test_a_message_that_is_missing_in_the_order_is_said_and_found_by_its_id(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.damaged(path, "messages_in_order")
        store = open_at(path)
        assert len(store.select("a", "q", Filters(), NOW)) == 4
        assert "not as many as it counts" in caplog.text
        assert "account='a' queue='q' found=4 counted=5" in caplog.text
        assert len([each for each in store.get("a", "q", [f"{n}" for n in range(5)], NOW) if each]) == 5
        store.close()

    def test_it_is_said_once_a_minute(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.damaged(path, "messages_in_order")
        seconds = [1.0]
        store = SqliteStore(path, Durability.OFF, reserve=0, timer=lambda: seconds[0])
        store.open(Silence(), NOW)
        for _ in range(5):
            store.select("a", "q", Filters(), NOW)
        assert caplog.text.count("not as many as it counts") == 1
        seconds[0] += 61
        store.select("a", "q", Filters(), NOW)
        assert caplog.text.count("not as many as it counts") == 2
        assert "unsaid=4" in caplog.text
        store.close()

    @pytest.mark.parametrize("index", ["messages_in_order", "messages_by_id", "messages_expiring"])
    def test_where_the_file_is_small_it_is_refused(
        self, path: Path, index: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.damaged(path, index)
        monkeypatch.undo()
        with pytest.raises(Unusable, match=f"is damaged .*{index}.*leveret salvage"):
            open_at(path)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE queues SET messages = 0", "a queue counts other messages than there are"),
        ("UPDATE queues SET hidden = 1", "a queue counts other messages than there are"),
        ("UPDATE queues SET due = NULL", "a queue counts other messages than there are"),
        ("DELETE FROM queues", "messages belong to no queue"),
        ("UPDATE accounts SET bytes = 9", "an account counts other queues than there are"),
        ("DELETE FROM accounts", "queues belong to no account"),
        ("INSERT INTO dead_queues SELECT number FROM queues", "what is there passes for deleted"),
        ("UPDATE store SET next_sequence = 0", "a message has a place that is still to be given"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(path: Path, statement: str, why: str) -> None:
    store = open_at(path)
    store.put("a", "q", [Draft("1", b"x", 600, 0)], NOW)
    store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    with pytest.raises(Unusable, match=rf"is damaged \({why}\); 'leveret salvage"):
        open_at(path)


def test_a_damaged_message_is_a_line_in_the_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = open_at(path)
    store.put("a", "q", [Draft("1", b"precious", 0, 0)], NOW)
    store.close()
    path.write_bytes(path.read_bytes().replace(b"precious", b"precIous"))
    store = open_at(path)
    for _ in range(3):
        with pytest.raises(StoreError):
            store.get("a", "q", ["1"], NOW)
    store.close()
    assert caplog.text.count("a message is damaged, and is not handed out") == 1
    assert "the message '1' is damaged" in caplog.text


def test_a_relative_path_into_nowhere_is_no_place_for_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unusable, match=r"four slashes: sqlite:////var/lib/q\.db"):
        DatabaseFile(Path("var/lib/q.db"), "off", 0).open()
    assert not list(tmp_path.glob("var*"))
