"""A key on its way: what may be one, how it is sent, and what is said where it could be read. Never shows it."""

from __future__ import annotations

import re
import warnings

from leveret.client.place import Place


class InsecureKey(UserWarning):
    """A key that is sent over plain HTTP to another machine: whoever is between can read it, and use it."""


def authorization(key: str) -> bytes:
    """The value of the Authorization header (RFC 6750 section 2.1); blanks and line ends around the key are left out.

    `ValueError`, which doesn't say the key, for what can't be one; a JSON Web Token can.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key is text, and not {type(key).__name__}")
    bare = key.strip()
    if not bare:
        raise ValueError("the key is empty; the whole token is expected, as 'leveret keys create' prints it")
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", bare):
        raise ValueError(
            "the key holds a character that no key has; the token alone is expected, as 'leveret keys create' prints it"
        )
    return b"Bearer " + bare.encode()


def insecure(where: str) -> str:
    """What is to be said where a key is sent so that others can read it."""
    return f"the key can be read on its way to {where}; use https"


def warn_of(place: Place, stacklevel: int) -> None:
    """An `InsecureKey` warning where a key is sent there so that others can read it."""
    if not place.is_private:
        warnings.warn(insecure(place.shown), InsecureKey, stacklevel=stacklevel + 1)
