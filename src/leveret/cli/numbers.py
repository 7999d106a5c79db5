"""What options take numbers as, and what they say of others. Knows no command."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import click

from leveret.model import MAX_SECONDS

NONE: Final = "none"


def whole(least: int, most: int = 2**63 - 1) -> Callable[[object], int]:
    """A whole number in this range."""

    def convert(value: object) -> int:
        number = _parse(value)
        if number is None or not least <= number <= most:
            raise click.BadParameter(f"'{value}' is no whole number {_range(least, most)}.")
        return number

    return convert


def whole_or_none(least: int, most: int = 2**63 - 1) -> Callable[[object], int | str]:
    """A whole number in this range, or the word "none"."""

    def convert(value: object) -> int | str:
        if value == NONE:
            return NONE
        number = _parse(value)
        if number is None or not least <= number <= most:
            raise click.BadParameter(f"'{value}' is neither a whole number {_range(least, most)} nor '{NONE}'.")
        return number

    return convert


def number(least: float) -> Callable[[object], float]:
    """A number that is not less than this."""

    def convert(value: object) -> float:
        try:
            found = float(str(value))
        except ValueError:
            found = math.nan
        if not least <= found < math.inf:
            raise click.BadParameter(f"'{value}' is no number from {least:g} on.")
        return found

    return convert


def _parse(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 30 else None


def _range(least: int, most: int) -> str:
    return f"from {least} to {most}" if most < 2**63 - 1 else f"from {least} on"


SECONDS: Final = whole(0, MAX_SECONDS)  # what a ttl, a hide or a wait may be
LEASE: Final = whole(1, MAX_SECONDS)
COUNT: Final = whole(1)
