"""How long something is to last, as options take it: 90s, 10m, 12h, 30d. Knows no command."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

import click

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}  # seconds
LONGEST: Final = 36_500 * _UNITS["d"]  # a hundred years; later times have no place in files


def seconds(least: int, most: int = LONGEST, *, never: bool = False) -> Callable[[object], float]:
    """A duration in this range, in seconds; `math.inf` for "never", where that may be said."""

    def convert(value: object) -> float:
        text = str(value)
        if never and text == "never":
            return math.inf
        found = re.fullmatch(r"([0-9]{1,12})([smhd])", text)
        if found is None:
            word = ", or 'never'" if never else ""
            raise click.BadParameter(f"'{text}' is no duration; one such as 90s, 10m, 12h or 30d is expected{word}.")
        number = int(found[1]) * _UNITS[found[2]]
        if not least <= number <= most:
            raise click.BadParameter(f"'{text}' is out of range; {spell(least)} to {spell(most)} is expected.")
        return float(number)

    return convert


def spell(number: int) -> str:
    """A duration as options take it, in the largest unit that has it whole."""
    unit = next(unit for unit in reversed(_UNITS) if number % _UNITS[unit] == 0 and (number or unit == "s"))
    return f"{number // _UNITS[unit]}{unit}"
