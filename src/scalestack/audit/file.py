"""A file that lines are only ever added to, by any number of processes at a time. Knows not what they say."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from scalestack.private import make_private

# Append: each line goes to the end of that moment, whoever else writes. Non-blocking, so that opening a pipe that
# nobody reads is an error and not a wait.
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK


class AppendFile:
    """Made when the first line is written, for its owner alone; one that is there keeps its mode. From any thread."""

    def __init__(self, find: Callable[[], Path]) -> None:
        """`find` answers its path, and makes the directory where that is not there. Does no I/O yet."""
        self._find = find
        self._descriptor: int | None = None
        self._torn = False  # the last line of ours is there in part only
        self._file_lock = threading.Lock()  # guards the two above, and so a line from the file's end

    def append(self, line: bytes) -> None:
        """Write a line, which ends in a line feed, by one call; not synced. `OSError` where it is not there whole."""
        with self._file_lock:
            if self._descriptor is None:
                self._descriptor = _open(self._find())
            data = b"\n" + line if self._torn else line
            written = os.write(self._descriptor, data)
            self._torn = written < len(data)
            if self._torn:
                raise OSError(errno.ENOSPC, f"{written} of {len(data)} bytes were written")

    def reopen(self) -> None:
        """Go on with the file that has the path now: another one, where it was moved away. `OSError`, and it goes on
        with the old one then."""
        descriptor = _open(self._find())
        with self._file_lock:
            self._close_locked()
            self._descriptor = descriptor

    def renew(self) -> None:
        """As `reopen`, where a line was written before."""
        if self._descriptor is not None:
            self.reopen()

    def close(self) -> None:
        """Harmless when called again; the next line opens it again."""
        with self._file_lock:
            self._close_locked()

    def _close_locked(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        self._torn = False
        if descriptor is not None:
            os.close(descriptor)


def _open(path: Path) -> int:
    with suppress(FileExistsError):
        os.close(make_private(path))
    return os.open(path, _FLAGS)
