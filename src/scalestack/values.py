"""What a type of setting takes: exactly its values, as TOML has them or as text spells them, and in which words.

Supported are bool, int, float, str, Path, Literal, Enum (by value), `list[T]` and `tuple[T, ...]` of them, any of these
or None, and `Annotated` numbers with `Between`.
"""

from __future__ import annotations

import enum
import math
import tomllib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

_SHOWN: Final = 80  # characters of a wrong value that an error shows


class Wrong(Exception):
    """A value isn't of its type."""


@dataclass(frozen=True)
class Between:
    """The range of a number, for `typing.Annotated`; both ends belong to it, and None leaves one open."""

    low: float | None
    high: float | None

    def __contains__(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"from {self.low} to {self.high}"
        if self.low is not None:
            return f"of at least {self.low}"
        return f"of at most {self.high}" if self.high is not None else ""


def structure(value: object, hint: Any) -> Any:
    """A value of TOML, as the type `hint` has it. `Wrong` where it is none; TypeError for a type without support."""
    if get_origin(hint) is Annotated:
        structured = structure(value, get_args(hint)[0])
        if not all(structured in limits for limits in hint.__metadata__ if isinstance(limits, Between)):
            raise Wrong
        return structured
    bare = _bare(hint)
    if bare is not hint:  # or None, for which TOML has no word
        return structure(value, next(part for part in get_args(hint) if part is not type(None)))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choose(value, ((member.value, member) for member in hint))
    if get_origin(hint) is Literal:
        return _choose(value, ((choice, choice) for choice in get_args(hint)))
    item = _item(hint)
    if item is not None:
        if not isinstance(value, list):
            raise Wrong
        return get_origin(hint)(structure(each, item) for each in value)
    if hint not in _SIMPLE:
        raise TypeError(f"a setting can't be of type {hint}")
    fits, make = _SIMPLE[hint]
    if not fits(value):
        raise Wrong
    return make(value)


def _choose(value: object, choices: Iterable[tuple[Any, Any]]) -> Any:
    for choice, result in choices:
        if type(choice) is type(value) and choice == value:  # by type too, since True == 1
            return result
    raise Wrong


def _is_number(value: object) -> bool:
    if type(value) is int:
        return abs(value) < 1 << 1000  # else float() overflows
    return isinstance(value, float) and not math.isnan(value)


# Which values are taken, and what is made of them: nothing is coerced.
_SIMPLE: Final[Mapping[Any, tuple[Callable[[Any], bool], Callable[[Any], Any]]]] = {
    bool: (lambda value: isinstance(value, bool), bool),
    int: (lambda value: type(value) is int, int),
    float: (_is_number, float),
    str: (lambda value: isinstance(value, str), str),
    Path: (lambda value: isinstance(value, str) and value != "", Path),
}


def parse_text(text: str, hint: Any) -> object:
    """What a text of the environment or of the command line means, for a field of this type."""
    if _is_text(hint):
        return text
    items = _item(_bare(hint))
    if items is not None and _is_text(items) and not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",")] if text.strip() else []
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text  # which no field takes that gets here: the error shows it as it was given
    return parsed["value"] if len(parsed) == 1 else text


def _bare(hint: Any) -> Any:
    """A type without `Annotated` and `None`."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        rest = [argument for argument in get_args(hint) if argument is not type(None)]
        if len(rest) == 1:
            return _bare(rest[0])
    return hint


def _item(hint: Any) -> Any | None:
    """The type of what is in a `list[...]` or a `tuple[..., ...]`; None for what is neither."""
    arguments = get_args(hint)
    if get_origin(hint) is list:
        return arguments[0]
    return arguments[0] if get_origin(hint) is tuple and arguments[1:] == (Ellipsis,) else None


def _is_text(hint: Any) -> bool:
    """Whether a text is taken as it is."""
    bare = _bare(hint)
    if get_origin(bare) is Literal:
        return all(isinstance(choice, str) for choice in get_args(bare))
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return all(isinstance(member.value, str) for member in bare)
    return bare in (str, Path)


def _between(hint: Any) -> str:
    found = [f" {note}" for note in getattr(hint, "__metadata__", ()) if isinstance(note, Between)]
    return "".join(found).rstrip()


_NAMES: Final[Mapping[Any, str]] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"
}  # fmt: skip


def expected(hint: Any) -> str:
    """What a field of this type takes, in words."""
    bare = _bare(hint)
    if get_origin(bare) is Literal:
        return f"one of {', '.join(map(shown, get_args(bare)))}"
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return f"one of {', '.join(shown(member.value) for member in bare)}"
    item = _item(bare)
    if item is not None:
        return f"a list of items that are each {expected(item)}"
    limits = _between(hint) or "".join(_between(argument) for argument in get_args(hint))
    return f"{_NAMES[bare]}{limits}"


def clean(text: str) -> str:
    """Text from outside, kept from breaking the line or from driving the terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shown(value: object) -> str:
    """A value as an error shows it, much as TOML would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = clean(value)
        return f'"{text}"' if len(text) <= _SHOWN else f'"{text[:_SHOWN]}…"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value[:5]))}{', …' if len(value) > 5 else ''}]"
    if isinstance(value, int) and abs(value) >= 1 << 256:
        return "a huge number"
    return str(value)
