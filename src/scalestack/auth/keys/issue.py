"""Keys are made, revoked and rotated here. Time is an argument; what a key may do is the service's matter."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from scalestack.auth.keys.file import KeyFile
from scalestack.auth.keys.key import Key, State
from scalestack.auth.keys.token import Token, TokenFormat

_KEPT: Final = 365 * 86_400  # seconds for which a key that has ended is still listed, so that the file does not grow


class NoSuchKey(Exception):
    """No key has this id; names those that have nearly the same."""


class NotRotated(Exception):
    """A key that no other can take over from; says why."""


def create(
    file: KeyFile,
    format: TokenFormat,
    now: float,
    *,
    account: str | None,
    actions: Iterable[str],
    resources: Iterable[str] = ("*",),
    lifetime: float = math.inf,  # seconds; the key ends at the whole second after them
    comment: str = "",
) -> tuple[Key, Token]:
    """A new key. `account` None is for all of them. `Unusable` where the file is."""
    end = math.inf if lifetime == math.inf else math.ceil(now + lifetime)
    with file.change() as keys:
        token = _new_token(format, keys)
        key = Key(token.id, token.sha256, account, tuple(actions), tuple(resources), int(now), end, None, comment)
        _forget(keys, now)
        keys[key.id] = key
    return key, token


def revoke(file: KeyFile, id: str, now: float) -> tuple[Key, bool]:
    """The key, which is no good any more, and whether it was until now or expired by itself; else it was revoked
    before. `NoSuchKey`, `Unusable`."""
    with file.change() as keys:
        key = find(keys, id)
        newly = key.revoked is None
        if newly:
            key = replace(key, revoked=int(now))
        _forget(keys, now)
        keys[id] = key  # that one too, and so servers look again, where one who revoked it was killed before they could
    return key, newly


def rotate(file: KeyFile, format: TokenFormat, id: str, overlap: float, now: float) -> tuple[Key, Token, Key]:
    """A new key with the rights and the lifetime of an old one, which is good for `overlap` seconds more, at most.

    Answers the new one, and the old one as it is now. `NoSuchKey`, `NotRotated`, `Unusable`.
    """
    with file.change() as keys:
        old = find(keys, id)
        state = old.state(now)
        if state is not State.VALID:
            raise NotRotated(f"key '{id}' is {state.value}; create another")
        later = next((key.id for key in keys.values() if key.rotated_from == id), None)
        if later is not None:
            raise NotRotated(f"key '{id}' was rotated before, to '{later}'; rotate that one")
        token = _new_token(format, keys)
        # For as long as the old one was made for, to the second.
        end = math.inf if old.expires == math.inf else int(now) + (old.expires - old.created)
        new = replace(old, id=token.id, sha256=token.sha256, created=int(now), expires=end, rotated_from=id)
        old = replace(old, expires=min(old.expires, math.ceil(now + overlap)))
        _forget(keys, now)
        keys[id] = old
        keys[new.id] = new
    return new, token, old


def find(keys: dict[str, Key], id: str) -> Key:
    """The key with this id; `NoSuchKey`."""
    key = keys.get(id)
    if key is None:
        near = difflib.get_close_matches(id, keys, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise NoSuchKey(f"there is no key '{id}'{hint}")
    return key


def _new_token(format: TokenFormat, keys: dict[str, Key]) -> Token:
    while True:
        token = format.make()
        if token.id not in keys:
            return token


def _forget(keys: dict[str, Key], now: float) -> None:
    """Drop what ended long ago."""
    for key in list(keys.values()):
        ended = key.expires if key.revoked is None else key.revoked
        if ended + _KEPT < now:
            del keys[key.id]
