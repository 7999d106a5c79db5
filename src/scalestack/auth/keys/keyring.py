"""What a server checks keys against: those of the file, as they are at this very moment. Knows nothing of HTTP.

A number says whether the file has changed, and is looked at once a millisecond at most; only then is the file read
again. One that can't be read any more leaves no key good.
"""

from __future__ import annotations

import hmac
import math
import os
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Final

from scalestack.auth.keys.counter import SIZE, show
from scalestack.auth.keys.file import LOOK, KeyFile
from scalestack.auth.keys.key import Key, State
from scalestack.auth.keys.token import Malformed, TokenFormat, digest
from scalestack.log import Logger
from scalestack.private import Unusable

_log = Logger("scalestack.auth.keys")

_RETRY: Final = 1.0  # seconds until a file that could not be read is tried again


class Refused(Exception):
    """A token or a signature that is no good; says why, and not what it is."""


@dataclass(frozen=True)
class _Loaded:
    version: Hashable
    keys: Mapping[str, Key]
    signature: Hashable = None  # of the file that was read
    retry: float = math.inf  # when to read again though nothing changed, by the monotonic clock


# Compared with where a key is unknown, so that this takes as long. Nobody has a token with this digest.
_NOBODY: Final = Key("", os.urandom(32), "", ())


class Keyring:
    """The keys of a file, for all threads of a server."""

    def __init__(
        self,
        file: KeyFile,
        format: TokenFormat,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        look: float = LOOK,
    ) -> None:
        """Does no I/O, until it is opened. `clock`: wall seconds, as other processes have them, who make keys. `look`:
        seconds for which the number is believed."""
        self._file = file
        self._format = format
        self._clock = clock
        self._monotonic = monotonic
        self._loaded = _Loaded(None, {})
        self._reload_lock = threading.Lock()  # guards reading the file, so that one does and the others wait for it
        self._descriptor = -1  # of the file with the number
        self._closed = False
        self._look = look
        self._version: Hashable = None
        self._look_at = 0.0  # when to look again, by the monotonic clock

    def open(self) -> None:
        """Read the file; `Unusable` where that can't be done. Called again, it looks for all of it anew."""
        with self._reload_lock:
            try:
                self._file.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._take(show(self._file.version_path))
            except OSError as error:
                where = error.filename or self._file.version_path
                raise Unusable(f"{where} can't be opened: {error.strerror or error}") from error
            version, signature = self._look_now(), self._file.signature()
            self._loaded = _Loaded(version, self._file.read(), signature)

    def close(self) -> None:
        """Believe in no key any more; harmless when called again."""
        with self._reload_lock:
            self._loaded = _Loaded(None, {})
            self._closed = True
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        """Look at this file from now on; other threads may look at the old one in this moment."""
        if self._descriptor < 0:
            self._descriptor = descriptor
        else:
            os.dup2(descriptor, self._descriptor, inheritable=False)
            os.close(descriptor)

    def reopen(self) -> None:
        """Read all again, though nothing says that it has changed: for files that were put there by hand."""
        try:
            self.open()
        except Unusable as error:
            with self._reload_lock:
                self._refuse_all_locked(self._look_now(), self._file.signature(), error)

    def __len__(self) -> int:
        """How many keys there are, good or not."""
        return len(self._loaded.keys)

    def version(self) -> Hashable:
        """What changes whenever a key may have."""
        now = self._monotonic()
        if now >= self._look_at:
            self._look_at = now + self._look
            return self._look_now()
        return self._version

    def _look_now(self) -> Hashable:
        try:
            number = os.pread(self._descriptor, SIZE, 0)
        except OSError:  # it was closed
            number = b""
        # Odd while a change is under way, or where one was never ended; and somebody may have cut the file off.
        unsure = len(number) < SIZE or number[0] & 1
        self._version = (number, self._file.signature()) if unsure else number
        return self._version

    def look(self) -> bool:
        """Whether the files were changed by other means than ours since they were read; then they are read again. It
        asks the system, and is for now and then."""
        loaded = self._loaded
        if self._is_replaced() or (loaded.version == self._look_now() and loaded.signature != self._file.signature()):
            self.reopen()
            return True
        return False

    def _is_replaced(self) -> bool:
        """Whether another file has taken the place of the one with the number."""
        try:
            there, ours = os.stat(self._file.version_path), os.fstat(self._descriptor)  # noqa: PTH116 - for its pair
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def check(self, token: bytes) -> Key:
        """The key that has this token and is valid now; `Refused` where there is none."""
        try:
            id = self._format.read(token)
        except Malformed as error:
            raise Refused(str(error)) from None
        key, known = self.find(id)
        # Digests are compared, and in constant time; of a key that is unknown no less than of one that is there.
        if not hmac.compare_digest(digest(token), key.sha256) or not known:
            raise Refused(f"key {id} has another secret" if known else f"there is no key {id}")
        self.check_state(key)
        return key

    def find(self, id: str) -> tuple[Key, bool]:
        """The key with this id, valid or not, and True; else one that nobody has, and False."""
        loaded = self._loaded
        if loaded.version != self.version() or loaded.retry <= self._monotonic():
            loaded = self._reload()
        key = loaded.keys.get(id)
        return (_NOBODY, False) if key is None else (key, True)

    def check_state(self, key: Key) -> float:
        """The time, at which the key is valid; `Refused` where it isn't."""
        now = self._clock()
        state = key.state(now)
        if state is not State.VALID:
            raise Refused(f"key {key.id} is {state.value}")
        return now

    def _reload(self) -> _Loaded:
        with self._reload_lock:
            # Before it is read: what changes meanwhile counts as changed.
            version, signature = self._look_now(), self._file.signature()
            loaded = self._loaded
            if self._closed or (loaded.version == version and loaded.retry > self._monotonic()):
                return loaded
            was_broken = loaded.retry != math.inf
            try:
                loaded = self._loaded = _Loaded(version, self._file.read(), signature)
            except Unusable as error:
                if was_broken:
                    loaded = self._loaded = _Loaded(version, {}, signature, self._monotonic() + _RETRY)
                    return loaded
                return self._refuse_all_locked(version, signature, error)
            if was_broken:
                _log.info("the keys can be read again", file=str(self._file.path))
            return loaded

    def _refuse_all_locked(self, version: Hashable, signature: Hashable, error: Unusable) -> _Loaded:
        self._loaded = _Loaded(version, {}, signature, self._monotonic() + _RETRY)
        _log.error("the keys can't be read, and until they can, all are refused", why=str(error))
        return self._loaded
