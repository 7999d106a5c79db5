"""The device that loses its power: what was synced survives, what was not is lost, and nothing stays mounted."""

import errno
import os
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from support.loopdevice import LoopDevice, unavailable
from support.web import eventually


@pytest.fixture(autouse=True)
def _needs_a_loop_device():
    if reason := unavailable():
        pytest.skip(reason)


def mounted(path):
    return str(path) in Path("/proc/mounts").read_text()


def test_what_was_synced_survives_a_cut_and_what_was_not_is_lost(tmp_path):
    with LoopDevice(tmp_path, 8) as device:
        (device.path / "synced").write_bytes(b"a" * 10_000)
        device.sync()
        with (device.path / "synced").open("ab") as file:
            file.write(b"b" * 10_000)
        (device.path / "unsynced").write_bytes(b"c")
        device.cut()
        device.remount()
        assert (device.path / "synced").read_bytes() == b"a" * 10_000
        assert not (device.path / "unsynced").exists()


def test_nothing_can_be_written_after_a_cut(tmp_path):
    with LoopDevice(tmp_path, 8) as device, (device.path / "file").open("wb", buffering=0) as file:
        file.write(b"a")
        device.cut()
        with pytest.raises(OSError) as caught:
            os.fsync(file.fileno())
        assert caught.value.errno == errno.EIO


def test_it_is_full_when_it_is_full(tmp_path):
    with LoopDevice(tmp_path, 8) as device:
        with pytest.raises(OSError) as caught:
            (device.path / "file").write_bytes(b"a" * (8 << 20))
        assert caught.value.errno == errno.ENOSPC


def test_it_vanishes_when_a_test_fails(tmp_path):
    device = LoopDevice(tmp_path, 8)
    with suppress(ZeroDivisionError), device:
        assert mounted(device.path)
        raise ZeroDivisionError
    assert not mounted(device.path)
    assert list(tmp_path.iterdir()) == []


def test_it_vanishes_when_the_process_of_the_test_is_killed(tmp_path):
    program = f"""
        import os, signal
        from pathlib import Path
        from support.loopdevice import LoopDevice
        with LoopDevice(Path({str(tmp_path)!r}), 8) as device:
            (device.path / "file").touch()
            print("made", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        check=False,
    )
    assert done.stdout == b"made\n"
    eventually(lambda: list(tmp_path.iterdir()) == [])
    assert not mounted(tmp_path)
