"""A small file system of its own, which can be full and can lose its power. Linux, root, ext4; knows no server."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

# linux/fs/ext4: from here on nothing reaches the device any more, and the journal isn't written out first.
_EXT4_IOC_SHUTDOWN: Final = 0x8004587D
_NOLOGFLUSH: Final = 2

# Takes it all away when the pipe that it reads from is closed, by the test or by the end of the test's process.
_GUARD: Final = 'cat; umount "$1" 2>/dev/null || umount --lazy "$1"; rm -rf "$2"'

# Nothing is written back for its age during a test: what survives a cut is what was synced.
_OPTIONS: Final = "loop,noatime,commit=600"


class LoopDevice:
    """A file system in a file, mounted from the start of its block to its end, or to that of this process.

    `folder` is where the test keeps its files; those of the device vanish with it.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._home = folder / "device"
        self._image = self._home / "image"
        self._megabytes = megabytes
        self._guard: subprocess.Popen[bytes] | None = None
        self.path = self._home / "mounted"

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(self._megabytes << 20)
        # A session of its own, so that Ctrl-C doesn't reach it.
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", self.path, self._home],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            # No blocks are kept back for root, and nothing is left for the kernel to initialise later.
            lazy = "lazy_itable_init=0,lazy_journal_init=0"
            _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", lazy, self._image)
            self._mount()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        assert self._guard is not None
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()

    def _mount(self) -> None:
        _run("mount", "-o", _OPTIONS, self._image, self.path)

    def cut(self) -> None:
        """Lose the power: of what is written, only what has reached the device is there after a `remount`."""
        mounted = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(mounted, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        finally:
            os.close(mounted)

    def remount(self) -> None:
        """Start anew, after all who had files open there have ended: replays the journal of the file system."""
        _run("umount", self.path)
        self._mount()

    def sync(self) -> None:
        """Have all files reach the device."""
        for path in [*self.path.rglob("*"), self.path]:
            opened = os.open(path, os.O_RDONLY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)


def _run(program: str, *arguments: str | Path) -> None:
    path = shutil.which(program, path=os.defpath + ":/usr/sbin:/sbin:" + os.environ.get("PATH", ""))
    if path is None:
        raise OSError(f"there is no {program}")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{program}: {done.stderr.strip()}")


@lru_cache
def unavailable() -> str:
    """Why there can be no loop device here, found by making one; "" where there can be."""
    if os.geteuid() != 0:
        return "a loop device takes root"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices here"
    try:
        with tempfile.TemporaryDirectory() as folder, LoopDevice(Path(folder), 2) as device:
            device.cut()
    except OSError as error:
        return f"no loop device can be made and cut off here: {error}"
    return ""
