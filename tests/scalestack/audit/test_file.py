"""Lines that are added to a file, by several at a time, whatever becomes of the file meanwhile."""

import os
import stat
import subprocess
import sys

import pytest

from scalestack.audit.file import AppendFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def file(path):
    file = AppendFile(lambda: path)
    yield file
    file.close()


def test_nothing_is_there_before_the_first_line(file, path):
    assert not path.exists()
    file.append(b"1\n")
    assert path.read_bytes() == b"1\n"


def test_it_is_for_its_owner_alone_whatever_the_umask(file, path):
    old = os.umask(0)
    try:
        file.append(b"1\n")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_one_that_is_there_is_added_to_and_keeps_its_mode(file, path):
    path.write_bytes(b"1\n")
    path.chmod(0o640)
    file.append(b"2\n")
    assert path.read_bytes() == b"1\n2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_several_processes_write_whole_lines(path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom scalestack.audit.file import AppendFile\n"
        "file = AppendFile(lambda: Path(sys.argv[1]))\n"
        "for _ in range(500): file.append(sys.argv[2].encode() * 1000 + b'\\n')\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(path), letter]) for letter in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    lines = path.read_bytes().splitlines()
    assert len(lines) == 1500
    assert set(lines) == {letter * 1000 for letter in (b"a", b"b", b"c")}


def test_moved_away_it_is_followed_until_it_is_reopened(file, path, tmp_path):
    moved = tmp_path / "audit.jsonl.1"
    file.append(b"1\n")
    path.rename(moved)
    file.append(b"2\n")
    file.renew()
    file.append(b"3\n")
    assert (moved.read_bytes(), path.read_bytes()) == (b"1\n2\n", b"3\n")


def test_to_renew_what_was_not_written_makes_no_file(file, path):
    file.renew()
    assert not path.exists()


def test_where_it_can_not_be_reopened_the_old_one_goes_on(path, tmp_path):
    places = [path]
    file = AppendFile(lambda: places[-1])
    file.append(b"1\n")
    places.append(tmp_path / "nowhere" / "audit.jsonl")
    with pytest.raises(OSError, match="nowhere"):
        file.reopen()
    file.append(b"2\n")
    file.close()
    assert path.read_bytes() == b"1\n2\n"


def test_a_line_behind_a_torn_one_is_a_line_of_its_own(file, path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    with pytest.raises(OSError, match="3 of 7 bytes"):
        file.append(b"torn 1\n")
    monkeypatch.undo()
    file.append(b"whole\n")
    assert path.read_bytes() == b"tor\nwhole\n"


def test_a_pipe_that_nobody_reads_is_an_error_and_no_wait(file, path):
    os.mkfifo(path)
    with pytest.raises(OSError):
        file.append(b"1\n")
