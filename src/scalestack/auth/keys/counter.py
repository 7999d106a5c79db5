"""A number in a file by which other processes see that something changed, without asking the system.

It is odd from just before a change until just after it, as in a sequence lock: whoever finds it odd must look for
himself. So a process that is killed in the middle of a change leaves nobody believing what is no longer true.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from scalestack.private import open_private

SIZE: Final = 8  # bytes, little-endian


def show(path: Path) -> int:
    """A descriptor of the file, in which `SIZE` bytes are the number. Made where it isn't there. `Unusable`, `OSError`.

    It is read by a call, and not mapped: to look at memory that somebody has cut off the file would end the process.
    """
    descriptor = open_private(path)
    try:
        _reserve(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class Changing:
    """The number, for one who holds the lock of what it counts."""

    def __init__(self, path: Path) -> None:
        """Opens it, made where it isn't there; all that can go wrong goes wrong here. `Unusable`, `OSError`."""
        self._descriptor = open_private(path)
        try:
            _reserve(self._descriptor)
            self._number = int.from_bytes(os.pread(self._descriptor, SIZE, 0), "little")
        except BaseException:
            os.close(self._descriptor)
            raise

    def begin(self) -> None:
        """Make it odd, and another than it was: the last change may never have come to its end."""
        self._write((self._number + 1) | 1)

    def end(self) -> None:
        """Make it even."""
        self._write((self._number + 1) & ~1)

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, number: int) -> None:
        self._number = number % (1 << 8 * SIZE)
        os.pwrite(self._descriptor, self._number.to_bytes(SIZE, "little"), 0)


def _reserve(descriptor: int) -> None:
    """Have its bytes on the disk, and leave those that are there: a full disk must not come between begin and end."""
    os.posix_fallocate(descriptor, 0, SIZE)
