"""What a server checks keys against: those of the file, as they are at this very moment. Knows nothing of HTTP.

A look at a number in memory says whether the file has changed; only then is it read again. A file that can't be read
any more leaves no key good.
"""

from __future__ import annotations

import hmac
import math
import mmap
import os
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Final

from scalestack.auth.keys.counter import SIZE, show
from scalestack.auth.keys.file import KeyFile
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
    ) -> None:
        """Does no I/O, until it is opened. `clock`: wall seconds, as other processes have them, who make keys."""
        self._file = file
        self._format = format
        self._clock = clock
        self._monotonic = monotonic
        self._loaded = _Loaded(None, {})
        self._reload_lock = threading.Lock()  # guards reading the file, so that one does and the others wait for it
        self._number: mmap.mmap

    def open(self) -> None:
        """Read the file; `Unusable` where that can't be done. Called again, it looks for all of it anew."""
        with self._reload_lock:
            try:
                self._file.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._number = show(self._file.version_path)
            except OSError as error:
                where = error.filename or self._file.version_path
                raise Unusable(f"{where} can't be opened: {error.strerror or error}") from error
            version = self.version()
            self._loaded = _Loaded(version, self._file.read())

    def reopen(self) -> None:
        """Read all again, though nothing says that it has changed: for files that were put there by hand."""
        try:
            self.open()
        except Unusable as error:
            with self._reload_lock:
                self._refuse_all_locked(self.version(), error)

    def __len__(self) -> int:
        """How many keys there are, good or not."""
        return len(self._loaded.keys)

    def version(self) -> Hashable:
        """What changes whenever a key may have."""
        number = self._number[:SIZE]
        if number[0] & 1:  # a change is under way, or was never ended
            return number, self._file.signature()
        return number

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
            version = self.version()  # before it is read: what changes meanwhile counts as changed
            loaded = self._loaded
            if loaded.version == version and loaded.retry > self._monotonic():
                return loaded
            was_broken = loaded.retry != math.inf
            try:
                loaded = self._loaded = _Loaded(version, self._file.read())
            except Unusable as error:
                if was_broken:
                    loaded = self._loaded = _Loaded(version, {}, self._monotonic() + _RETRY)
                    return loaded
                return self._refuse_all_locked(version, error)
            if was_broken:
                _log.info("the keys can be read again", file=str(self._file.path))
            return loaded

    def _refuse_all_locked(self, version: Hashable, error: Unusable) -> _Loaded:
        self._loaded = _Loaded(version, {}, self._monotonic() + _RETRY)
        _log.error("the keys can't be read, and until they can, all are refused", why=str(error))
        return self._loaded
