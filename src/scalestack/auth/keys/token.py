"""What the token of a key looks like: made, and read. Does no I/O, and knows no key; no error of it holds a token.

A token is PREFIX_IDSECRETCHECK with a second underscore after the id, such as lvk_4fBq0ZcX9a_..., in base 62. The id is
no secret: keys are looked up by it. The check is a CRC-32 of all before it, so that a typing error is found without a
lookup, and what is no token of this service is told apart from one that is unknown.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Final

_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID: Final = 10  # characters
_SECRET: Final = 27  # characters; of 62 each: 160.7 random bits
_CHECK: Final = 6  # characters; 62^6 is more than 2^32
_IS_ID: Final = re.compile(rf"[0-9A-Za-z]{{{ID}}}")


class Malformed(ValueError):
    """What is no token; says what is wrong with it, and not what it is."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was just made. This is the one time that it can be seen."""

    id: str
    text: str = field(repr=False)

    @property
    def sha256(self) -> bytes:
        return digest(self.text.encode())


class TokenFormat:
    """The tokens of one service, which begin with its prefix."""

    def __init__(self, prefix: str) -> None:
        """`prefix`: letters and digits, such as "lvk"."""
        if not (prefix.isascii() and prefix.isalnum()):
            raise ValueError(f"'{prefix}' is no prefix of tokens; ASCII letters and digits are expected")
        self.start: Final = f"{prefix}_"
        self._whole = re.compile(
            rf"{prefix}_([0-9A-Za-z]{{{ID}}})_[0-9A-Za-z]{{{_SECRET}}}([0-9A-Za-z]{{{_CHECK}}})".encode()
        )

    def make(self) -> Token:
        """A new token, with a new id."""
        id = "".join(secrets.choice(_DIGITS) for _ in range(ID))
        secret = "".join(secrets.choice(_DIGITS) for _ in range(_SECRET))
        body = f"{self.start}{id}_{secret}"
        return Token(id, body + _check_of(body.encode()))

    def begins(self, text: bytes) -> bool:
        """Whether this is meant to be a token of this service."""
        return text.startswith(self.start.encode())

    def read(self, text: bytes) -> str:
        """The id in a token; `Malformed` where it has another form, or a typing error."""
        found = self._whole.fullmatch(text)
        if found is None:
            raise Malformed("it does not have the form of a token")
        if found[2] != _check_of(text[:-_CHECK]).encode():
            raise Malformed("it has a typing error: its check does not fit")
        return found[1].decode()

    def id_in(self, text: str) -> str | None:
        """The id that is meant by an id, or by a token, whole or cut off after its id; None for anything else."""
        if text.startswith(self.start):
            text = text.removeprefix(self.start).partition("_")[0]
        return text if _IS_ID.fullmatch(text) else None


def digest(token: bytes) -> bytes:
    """What is kept of a token. Its secret is random and long, so that a slow hash would add nothing."""
    return hashlib.sha256(token).digest()


def _check_of(data: bytes) -> str:
    number = zlib.crc32(data)
    digits = []
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
