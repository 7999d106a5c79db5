"""`leveret salvage`: what it says, and with which code it ends."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from leveret.cli import main
from leveret.model import Draft, Filters
from support.disk import open_at
from support.subject import START as NOW

Run: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command; its exit code, and what it says on stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["salvage", *map(str, arguments)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with 200 messages of 1,000 bytes in two queues."""
    path = tmp_path / "queue.db"
    store = open_at(path)
    for queue in ("one", "two"):
        store.put("account", queue, [Draft(f"{n}", b"%1000d" % n, 0, 0) for n in range(100)], NOW)
    store.close()
    return path


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new.db"


def test_it_explains_itself_with_an_example(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "Example:\n    leveret salvage queue.db salvaged.db\n" in out


def test_where_all_could_be_read_it_says_so_and_ends_with_0(run: Run, path: Path, new: Path) -> None:
    out = f"copied 200 messages (200,000 bytes) of 2 queues to {new}\nall could be read\n"
    assert run(path, new) == (0, out, "")


def test_the_new_one_can_be_served(run: Run, path: Path, new: Path) -> None:
    run(path, new)
    store = open_at(new)
    assert len(store.select("account", "two", Filters(), NOW)) == 100
    store.close()


def test_what_is_lost_is_said_and_it_ends_with_1(run: Run, path: Path, new: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"%1000d" % 42, b"%1000d" % 43))
    code, out, err = run(path, new)
    assert (code, err) == (1, "")
    assert out == (
        f"copied 198 messages (198,000 bytes) of 2 queues to {new}\n"
        "lost: 2 messages, by what the queues count\n"
        "  account/one: 1\n"
        "  account/two: 1\n"
        "damaged: 2 messages, not copied\n"
        "  account/one/42\n"
        "  account/two/42\n"
    )


def test_a_page_is_one_line(run: Run, path: Path, new: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.index(b"%1000d" % 42) // 4096 * 4096
    data[at : at + 4096] = bytes(4096)
    path.write_bytes(data)
    code, out, _ = run(path, new)
    assert code == 1
    assert re.fullmatch(
        r"copied 19\d messages \(19\d,000 bytes\) of 2 queues to .+/new\.db\n"
        r"lost: \d messages, by what the queues count\n"
        r"(  account/(one|two): \d\n)+"
        r"damaged: 1 page of the file\n"
        r"searched: all of the file, for what was not in its place\n",
        out,
    )


def test_a_damaged_page_that_cost_nothing_is_still_not_all(run: Run, path: Path, new: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:4096] = bytes(3996)
    path.write_bytes(data)
    code, out, _ = run(path, new)
    assert code == 1
    assert out.startswith("copied 200 messages (200,000 bytes) of 2 queues")
    assert "\nlost: no message, by what the queues count\ndamaged: 1 page of the file\n" in out


def test_names_are_printed_as_what_a_terminal_does_not_obey(run: Run, tmp_path: Path, new: Path) -> None:
    path = tmp_path / "other.db"
    store = open_at(path)
    store.put("a", "q", [Draft("ring", b"precious", 0, 0)], NOW)
    store.close()
    path.write_bytes(path.read_bytes().replace(b"ring", b"r\x1b\ag").replace(b"precious", b"preciouz"))
    assert "\n  a/q/r??g\n" in run(path, new)[1]


def test_a_log_that_is_cut_is_said_to_be(run: Run, path: Path, new: Path) -> None:
    path.with_name("queue.db-wal").write_bytes(b"no log at all")
    code, out, _ = run(path, new)
    assert code == 1
    assert "\ndamaged: the end of the log; what was done last is not there\n" in out


def test_no_progress_is_shown_where_nobody_looks(run: Run, path: Path, new: Path) -> None:
    assert run(path, new)[2] == ""


@pytest.mark.parametrize("missing", [["queue.db"], []])
def test_without_both_names_it_ends_with_2(run: Run, missing: list[str]) -> None:
    code, _, err = run(*missing)
    assert code == 2
    assert "Missing argument" in err


def test_a_file_that_is_not_there_is_one_line_and_2(run: Run, tmp_path: Path, new: Path) -> None:
    assert run(tmp_path / "no.db", new) == (2, "", f"leveret: {tmp_path}/no.db is not there, or is no file\n")
    assert not new.exists()


def test_a_new_one_that_is_there_is_one_line_and_2(run: Run, path: Path, new: Path) -> None:
    new.write_bytes(b"precious")
    assert run(path, new) == (2, "", f"leveret: {new} is there already; give the name of a new file\n")
    assert new.read_bytes() == b"precious"


def test_a_file_in_use_is_one_line_with_the_name_of_the_holder_and_2(run: Run, path: Path, new: Path) -> None:
    store = open_at(path)
    code, out, err = run(path, new)
    store.close()
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"leveret: {path} is in use by process {os.getpid()} \(.+\); stop it first\n", err)


def test_what_is_no_database_is_one_line_and_2(run: Run, tmp_path: Path, new: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear all, " * 1000)
    code, _, err = run(path, new)
    assert code == 2
    assert err == f"leveret: {path} is no database of Leveret's, or nothing of it can be read\n"
