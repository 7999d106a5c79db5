"""One database file: whose it is, how it is opened, and the room that is kept for it. Knows no table and no thread.

What is damaged is refused as far as it can be told. A log that was left behind is looked at before SQLite does, which
would take it up to the first frame that is not right. What doesn't count of it is cut off before SQLite sees it: else
what is left of a torn end could pass, after the next crash, for commits that came later, or for a log that was moved.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from leveret.store.base import Unusable
from leveret.store.sqlite.wal import Log
from scalestack.log import Logger

PAGE: Final = 4096  # bytes
RESERVE: Final = 32 << 20  # bytes kept back, so that a full disk still takes what makes room
_LONGEST: Final = 200  # characters of SQLite's own words
_CACHE: Final = 32 << 10  # KiB of pages in memory
# Bytes. Indexes are held against their tables in a file that is not larger, which takes five times as long as to look
# at its pages; and one that is larger than the second, and was closed properly, is not read through at each start.
_INDEX_CHECK: Final = 64 << 20
_WHOLE_CHECK: Final = 256 << 20

SYNCHRONOUS: Final = {"full": "FULL", "normal": "NORMAL", "off": "OFF"}  # by durability

# SQLite's words about a schema that is damaged hold bytes of it, which the module takes for text.
NOT_READ: Final = (sqlite3.Error, UnicodeDecodeError)

_log = Logger("leveret.store")


def error_name(error: sqlite3.Error) -> str:
    """SQLite's own name of it, such as SQLITE_FULL; empty where the error is the module's."""
    return getattr(error, "sqlite_errorname", "")


def salvage_hint(path: Path) -> str:
    return f"'leveret salvage {shlex.quote(str(path))} NEW' copies what can be read into a new file"


class DatabaseFile:
    """A database file that is this process's alone, from `open` to `close`."""

    def __init__(self, path: Path, durability: str, reserve: int = RESERVE) -> None:
        self.path = path
        self._durability = durability
        self._reserve_size = reserve
        self._reserve = path.with_name(path.name + "-reserve")
        self._log = path.with_name(path.name + "-wal")
        self._lock: int | None = None

    @property
    def wal_bytes(self) -> int:
        """The size of the write-ahead log's file; any thread may ask."""
        return _size(self._log)

    @property
    def is_small(self) -> bool:
        """Whether all that it says may be checked whenever it is opened."""
        return _size(self.path) <= _INDEX_CHECK

    def open(self) -> sqlite3.Connection:
        """Take possession of the file, made where it isn't there, and open it; `Unusable` where that can't be done."""
        try:
            if not self.path.is_absolute() and not self.path.parent.is_dir():
                raise Unusable(
                    f"there is no directory {self.path.parent} here, in {Path.cwd()}; make it, or, if the path is "
                    f"absolute, write it with four slashes: sqlite:////{self.path}"
                )
            _make_directory(self.path.parent)
            self._lock = _own(self.path)
            if self.path.exists() and not _size(self.path) and not self.wal_bytes:
                _log.warning("the file is empty, and is taken for a new one", path=str(self.path))
            # SQLite gives its other files the mode of this one.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            return self._connect()
        except OSError as error:
            self.close()
            raise Unusable(f"{error.filename or self.path} can't be opened: {error.strerror}") from error
        except NOT_READ as error:
            self.close()
            raise self.unusable(error) from error
        except Unusable:
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        # A log that was left behind means that the last process did not end properly.
        ended_badly = self.wal_bytes > 0
        if ended_badly:
            self._check_log()
        size = _size(self.path)
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
        try:
            execute = connection.execute
            # Nobody else has the file: the index of the log is kept in memory, and nothing is locked again and again.
            execute("PRAGMA locking_mode = EXCLUSIVE")
            if not size:
                execute(f"PRAGMA page_size = {PAGE}")
                execute("PRAGMA auto_vacuum = INCREMENTAL")
            execute("PRAGMA journal_mode = WAL")
            execute(f"PRAGMA synchronous = {SYNCHRONOUS[self._durability]}")
            execute("PRAGMA wal_autocheckpoint = 0")
            execute(f"PRAGMA cache_size = -{_CACHE}")
            execute("PRAGMA secure_delete = OFF")
            execute("PRAGMA cell_size_check = ON")
            execute("PRAGMA trusted_schema = OFF")
            if ended_badly or size <= _WHOLE_CHECK:
                self._check(connection, "integrity_check" if size <= _INDEX_CHECK else "quick_check")
            if ended_badly:
                self._empty_log(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection, how: str) -> None:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA {how}(1)")]
        if found != ["ok"]:
            raise Unusable(f"{self.path} is damaged ({' '.join(found[0].split())}); {salvage_hint(self.path)}")

    def _check_log(self) -> None:
        """`Unusable` where the log is damaged, so that SQLite would forget what was acknowledged."""
        with self._log.open("r+b") as opened, self.path.open("rb") as database:
            log = Log(opened.fileno())
            self._judge(log, log.cut and log.is_in(database.fileno()))
            if opened.seek(0, os.SEEK_END) > log.end:
                opened.truncate(log.end)
                os.fsync(opened.fileno())

    def _judge(self, log: Log, moved: bool) -> None:
        if moved:
            raise Unusable(f"{self._log} is damaged, and would put old pages into the file; {salvage_hint(self.path)}")
        if log.outlived and self._durability == "full":
            raise Unusable(
                f"{self._log} is damaged, in the midst of what was acknowledged; {salvage_hint(self.path)}; "
                "sqlite.durability=normal opens it as it is, and loses what was done after the damage"
            )
        if log.cut or log.unfinished:
            # Of the last transaction nobody can tell a write that was torn from damage.
            lost = "what comes behind is lost" if log.outlived else "its last transaction is not taken"
            _log.warning(f"the log of the database is not whole: {lost}", file=str(self._log))

    def _empty_log(self, connection: sqlite3.Connection) -> None:
        for _ in range(2):
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                if error_name(error) != "SQLITE_FULL":
                    raise
                self.release()
            else:
                return

    def unusable(self, error: sqlite3.Error | UnicodeDecodeError) -> Unusable:
        """What to say where it can't be opened for this reason."""
        if isinstance(error, UnicodeDecodeError):
            return Unusable(f"{self.path} is damaged (its schema is no text); {salvage_hint(self.path)}")
        name = error_name(error)
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "malformed" in str(error):
            why = " ".join(str(error).split())  # it may hold a statement, of many lines
            why = why if len(why) <= _LONGEST else f"{why[:_LONGEST]}..."
            return Unusable(f"{self.path} is damaged, or no database ({why}); {salvage_hint(self.path)}")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return Unusable(f"{self.path} is open in another program ({error}); close it there")
        return Unusable(f"{self.path} can't be opened: {error}")

    def reserve(self) -> bool:
        """Take the room that is kept back; False where the disk hasn't that much."""
        if not self._reserve_size:
            return True
        try:
            descriptor = os.open(self._reserve, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            if os.fstat(descriptor).st_blocks * 512 >= self._reserve_size:
                return True
            os.posix_fallocate(descriptor, 0, self._reserve_size)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
            return False
        finally:
            os.close(descriptor)
        return True

    def release(self) -> None:
        """Give the room that was kept back to the database."""
        with suppress(OSError):
            os.truncate(self._reserve, 0)

    def close(self) -> None:
        """Give the file up; harmless when called again."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _make_directory(directory: Path) -> None:
    """Make it and what is above it, so that all of it is on the disk."""
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(directory.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _own(path: Path) -> int:
    """A lock beside the database, and in it the name of who holds it; the system frees it however a process ends."""
    beside = path.with_name(path.name + "-lock")
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise in_use(
            path, descriptor, "one server at a time can have it: stop that one, or give this one a --store of its own"
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    # Where the disk is full there is no room for a name either, and that is no reason not to start.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} ({_command()})\n".encode(), 0)
    return descriptor


def in_use(path: Path, lock: int, advice: str) -> Unusable:
    """What to say where the lock is another's, whose name is in it; the lock is closed."""
    holder = os.pread(lock, 4096, 0).decode("utf-8", "replace").strip() or "another process"
    os.close(lock)
    return Unusable(f"{path} is in use by {holder}; {advice}")


def _command() -> str:
    try:
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")
        return " ".join(word.decode("utf-8", "replace") for word in words[:6] if word) or "unknown"
    except OSError:
        return "unknown"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
