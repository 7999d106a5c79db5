"""The file of keys: read by many, changed by one at a time, and never to be found half changed.

A change is made in a new file beside it, which is synced and then takes its place: whenever a process or the machine
stops, the old file is there or the new one. Around that the number in `keys.version` is made odd and even again, by
which servers see it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from scalestack.auth.keys.counter import Changing
from scalestack.auth.keys.key import Damaged, Key, parse_keys, render_keys
from scalestack.private import (
    Unusable,
    make_private,
    open_private,
    read_private,
    sync_directory,
    write_all,
)

NAME: Final = "keys.json"  # of the file, in a server's data directory
LOOK: Final = 0.001  # seconds for which a server believes what it saw last
_PATIENCE: Final = 10.0  # seconds to wait for another change
_PAUSE: Final = 0.01  # seconds between two looks


class KeyFile:
    """Where keys are kept. Any number of processes may have one for the same path, on a local file system."""

    def __init__(
        self,
        path: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Does no I/O. Clock and sleep are for the wait for another process's change."""
        self.path = path
        self.version_path = path.with_suffix(".version")
        self._lock_path = path.with_suffix(".lock")
        self._monotonic = monotonic
        self._sleep = sleep

    def read(self) -> dict[str, Key]:
        """All keys, by id, in the order in which they were made; none where there is no file. `Unusable`."""
        try:
            return parse_keys(read_private(self.path))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Unusable(f"{self.path} can't be read: {error.strerror or error}") from error
        except Damaged as error:
            raise Unusable(f"{self.path} is damaged: {error}; bring back a copy of it, or move it away") from error

    def signature(self) -> tuple[int, ...] | None:
        """What changes whenever another file takes its place; None where there is none."""
        try:
            found = os.stat(self.path, follow_symlinks=False)  # noqa: PTH116 - a third of the time of Path.stat
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_mode

    @contextmanager
    def change(self) -> Iterator[dict[str, Key]]:
        """All keys, to be changed: what is left in the dict when the block ends without an error is kept.

        Others wait meanwhile, for ten seconds at most. `Unusable` where it can't be read, changed, or waited for.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                found = self.read()
                yield found
                self._replace(render_keys(found.values()))
            self._sleep(LOOK)  # then whoever serves with these keys has seen it, or will at the next request
        except OSError as error:
            where = error.filename or self.path
            raise Unusable(f"{where} can't be changed: {error.strerror or error}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = open_private(self._lock_path)
        try:
            end = self._monotonic() + _PATIENCE
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self._monotonic() >= end:
                        raise Unusable(
                            f"{self.path} is being changed by another process, for more than {_PATIENCE:g} s now; "
                            f"see who has {self._lock_path} open, and try again"
                        ) from None
                    self._sleep(_PAUSE)
            yield
        finally:
            os.close(descriptor)  # and the lock with it

    def _replace(self, content: bytes) -> None:
        """Have this in place of what is there; the lock is held."""
        beside = self.path.with_name(f"{self.path.name}.new")
        beside.unlink(missing_ok=True)  # of one that was killed
        counter = Changing(self.version_path)
        try:
            descriptor = make_private(beside)
            try:
                write_all(descriptor, content)
            finally:
                os.close(descriptor)
            counter.begin()
            try:
                os.replace(beside, self.path)  # noqa: PTH105 - as the calls around it are spelled
                sync_directory(self.path.parent)
            finally:
                counter.end()
        except BaseException:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        finally:
            counter.close()
