"""Files that are for their owner alone: how they are made and opened. Knows nothing of what is in them."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path
from typing import Final

_ALWAYS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # the last so that a pipe in its place blocks nobody
_OTHERS: Final = 0o077


class Unusable(Exception):
    """A file that can't be used as it is: one line, for a person, of what is wrong and what would be right."""


def open_private(path: Path) -> int:
    """A descriptor to read and write it by, made where it isn't there. `Unusable`, `OSError`."""
    try:
        return make_private(path)
    except FileExistsError:
        return _checked(path, os.O_RDWR)


def make_private(path: Path) -> int:
    """A descriptor to write a new file by, whatever the umask; FileExistsError where anything is there. `OSError`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _ALWAYS, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        _give_away(descriptor, path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_private(path: Path) -> bytes:
    """All that is in it. `Unusable`, `OSError`."""
    with open(_checked(path, os.O_RDONLY), "rb") as stream:
        return stream.read()


def _checked(path: Path, access: int) -> int:
    """A descriptor of a file that is there, and that nobody else can read or write."""
    try:
        descriptor = os.open(path, access | _ALWAYS)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Unusable(f"{path} is a symbolic link, which is not followed; put the file itself there") from None
        raise
    try:
        found = os.fstat(descriptor)
        quoted = shlex.quote(str(path))
        if not stat.S_ISREG(found.st_mode):
            raise Unusable(f"{path} is no regular file; move it away")
        if found.st_mode & _OTHERS:
            mode = stat.S_IMODE(found.st_mode)
            raise Unusable(f"{path} can be read or written by others (mode {mode:04o}); run: chmod 600 {quoted}")
        if found.st_uid not in {os.geteuid(), 0, path.parent.stat().st_uid}:
            raise Unusable(f"{path} belongs to somebody else (user {found.st_uid}); run: chown {os.geteuid()} {quoted}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _give_away(descriptor: int, directory: Path) -> None:
    """What root makes in the directory of a server that runs as another user must be that user's, to be read by it."""
    if os.geteuid() == 0:
        owner = directory.stat()
        if owner.st_uid != 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def write_all(descriptor: int, data: bytes) -> None:
    """Write it whole, and sync it. `OSError`."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Have what was renamed in it on the disk. `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
