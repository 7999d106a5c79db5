"""The file of keys: who may read it, how it is changed, and by how many at once."""

import fcntl
import json
import os
import stat
import subprocess
import sys

import pytest

from scalestack.auth.keys.file import KeyFile
from scalestack.auth.keys.key import Key
from scalestack.private import Unusable

KEY = Key("0123456789", bytes(32), "a", ("read",))


@pytest.fixture
def file(tmp_path):
    return KeyFile(tmp_path / "data" / "keys.json")


@pytest.fixture
def kept(file):
    """One that has a key."""
    with file.change() as keys:
        keys[KEY.id] = KEY
    return file


def names(file):
    return sorted(path.name for path in file.path.parent.iterdir())


def refuses(file, says):
    """One line, for reading it and for changing it; and nothing is changed."""
    for use in (file.read, file.change().__enter__):
        with pytest.raises(Unusable) as error:
            use()
        assert says in str(error.value)
        assert str(file.path) in str(error.value)
        assert "\n" not in str(error.value)


class TestReading:
    def test_where_there_is_no_file_there_are_no_keys_and_none_is_made(self, file):
        assert file.read() == {}
        assert not file.path.parent.exists()

    def test_what_was_kept_is_there(self, kept):
        assert KeyFile(kept.path).read() == {KEY.id: KEY}

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
    def test_a_file_that_others_can_use_is_refused(self, kept, mode):
        kept.path.chmod(mode)
        refuses(kept, f"(mode {mode:04o}); run: chmod 600 ")

    def test_a_symbolic_link_is_refused(self, kept, tmp_path):
        elsewhere = tmp_path / "elsewhere.json"
        kept.path.rename(elsewhere)
        kept.path.symlink_to(elsewhere)
        before = elsewhere.read_bytes()
        refuses(kept, "is a symbolic link")
        assert elsewhere.read_bytes() == before

    def test_a_pipe_in_its_place_blocks_nobody(self, file):
        file.path.parent.mkdir()
        os.mkfifo(file.path, 0o600)
        refuses(file, "no regular file")

    def test_a_damaged_file_is_refused_and_not_replaced(self, kept):
        kept.path.write_bytes(kept.path.read_bytes()[:-20])
        before = kept.path.read_bytes()
        refuses(kept, "is damaged")
        assert kept.path.read_bytes() == before

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_a_file_that_somebody_else_has_put_there_is_refused(self, kept):
        os.chown(kept.path, 12345, 12345)
        refuses(kept, "belongs to somebody else (user 12345)")


class TestChanging:
    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
    def test_all_files_are_for_their_owner_alone_whatever_the_umask(self, file, umask):
        before = os.umask(umask & 0o077)
        try:
            file.path.parent.mkdir(0o700)
            os.umask(umask)
            with file.change() as keys:
                keys[KEY.id] = KEY
        finally:
            os.umask(before)
        assert names(file) == ["keys.json", "keys.lock", "keys.version"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in file.path.parent.iterdir()} == {0o600}

    def test_a_directory_that_is_made_is_for_its_owner_alone(self, kept):
        assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
    def test_what_root_makes_belongs_to_whom_the_directory_belongs(self, file):
        file.path.parent.mkdir(0o700)
        os.chown(file.path.parent, 12345, 12346)
        with file.change() as keys:
            keys[KEY.id] = KEY
        assert {(path.stat().st_uid, path.stat().st_gid) for path in file.path.parent.iterdir()} == {(12345, 12346)}
        assert file.read() == {KEY.id: KEY}

    def test_an_error_in_between_changes_nothing(self, kept):
        def fail(keys):
            keys.clear()
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), kept.change() as keys:
            fail(keys)
        assert kept.read() == {KEY.id: KEY}
        with kept.change():
            pass  # and others are not kept waiting

    def test_a_link_in_place_of_the_new_file_is_not_followed(self, kept, tmp_path):
        victim = tmp_path / "victim"
        victim.write_text("mine")
        (kept.path.parent / "keys.json.new").symlink_to(victim)
        with kept.change():
            pass
        assert victim.read_text() == "mine"
        assert kept.read() == {KEY.id: KEY}

    @pytest.mark.parametrize("name", ["keys.lock", "keys.version"])
    def test_a_link_in_place_of_what_is_beside_it_is_refused(self, kept, tmp_path, name):
        victim = tmp_path / "victim"
        victim.write_text("mine")
        (kept.path.parent / name).unlink()
        (kept.path.parent / name).symlink_to(victim)
        with pytest.raises(Unusable, match="symbolic link"), kept.change():
            pass
        assert victim.read_text() == "mine"

    def test_a_number_that_others_can_write_is_refused(self, kept):
        kept.version_path.chmod(0o666)
        with pytest.raises(Unusable, match="chmod 600"), kept.change():
            pass

    def test_a_directory_that_can_not_be_made_is_one_line(self, tmp_path):
        (tmp_path / "data").write_text("a file")
        with (
            pytest.raises(Unusable, match="can't be changed: File exists"),
            KeyFile(tmp_path / "data/keys.json").change(),
        ):
            pass

    def test_it_waits_for_another_change_but_not_for_ever(self, kept):
        now = [0.0]

        def sleep(seconds):
            now[0] += seconds

        with kept.path.with_suffix(".lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            patient = KeyFile(kept.path, monotonic=lambda: now[0], sleep=sleep)
            with pytest.raises(Unusable, match="by another process, for more than 10 s now; see who has") as error:
                patient.change().__enter__()
        assert 10 <= now[0] < 10.1
        assert "\n" not in str(error.value)

    def test_it_goes_on_when_the_other_change_has_ended(self, kept):
        with kept.path.with_suffix(".lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with KeyFile(kept.path, sleep=lambda _: lock.close()).change() as keys:
                keys.clear()
        assert kept.read() == {}


MAKER = """
import sys
from pathlib import Path
from scalestack.auth.keys import issue
from scalestack.auth.keys.file import KeyFile
from scalestack.auth.keys.token import TokenFormat
sys.stdin.readline()
for number in range(10):
    key, _ = issue.create(KeyFile(Path(sys.argv[1])), TokenFormat("tst"), 0.0, account="a", actions=["read"])
    print(key.id, flush=True)
"""


def test_of_what_eight_processes_make_at_once_nothing_is_lost(file):
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(file.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    for maker in makers:
        maker.stdin.write("go\n")
        maker.stdin.flush()
    made = [id for maker in makers for id in maker.communicate()[0].split()]
    assert [maker.returncode for maker in makers] == [0] * 8
    assert len(made) == 80
    assert file.read().keys() == set(made)
    assert len(json.loads(file.path.read_bytes())["keys"]) == 80
    assert int.from_bytes(file.version_path.read_bytes(), "little") == 160
