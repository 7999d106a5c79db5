"""Settings from a TOML file, the environment and the command line: each is checked, and known by where it came from.

In rising order of strength: the default, the file, the environment, the command line. Nothing is coerced: text becomes
what its field's type says, or is an error. An error is one line: where it is, what was found, what is expected.

A section may have dots in its name, [auth.keys]. A field may be `dict[str, D]` with a frozen dataclass D: a table of
tables, [limits.accounts.acme], whose settings are checked as those of a section are.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from scalestack.values import Between, Wrong, clean, expected, parse_text, shown, structure

__all__ = ["Between", "ConfigError", "Override", "Setting", "Settings", "neighbours", "parse_assignment"]


class ConfigError(Exception):
    """A setting that can't be used: one line, for a person."""


@dataclass(frozen=True)
class Override:
    """A setting from the command line."""

    key: str  # "http.port"
    text: str
    origin: str  # "--port"; what an error and `leveret config` call its place


@dataclass(frozen=True)
class Setting:
    """A setting that is in force."""

    key: str  # "http.port"
    value: Any
    origin: str  # "default", the file's name, "environment LEVERET_HTTP__PORT", or an override's origin


def parse_assignment(text: str, origin: str) -> Override:
    """`section.key=value` as an override; `ConfigError` for anything else."""
    key, separator, value = text.partition("=")
    section, dot, name = key.rpartition(".")
    if not (separator and section and dot and name):
        raise ConfigError(f"{origin}: {shown(text)} is not understood; section.key=value is expected")
    return Override(key, value, origin)


def neighbours(word: str, known: Iterable[str], prefix: str = "") -> str:
    """What may have been meant by `word`, or all there is, each with `prefix`: the end of an error's line."""
    import difflib  # noqa: PLC0415 - for errors alone

    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=3)
    if close:
        return f"did you mean {' or '.join(prefix + name for name in close)}?"
    return f"known are {', '.join(prefix + name for name in names)}" if names else "there are none"


class Settings:
    """One instance of each section's dataclass, and where each of their values came from."""

    def __init__(self, instances: Mapping[str, Any], settings: Sequence[Setting]) -> None:
        self._instances = dict(instances)
        self._settings = list(settings)

    @classmethod
    def load(
        cls,
        sections: Mapping[str, type[Any]],
        *,
        file: Path | None = None,
        environ: Mapping[str, str] | None = None,
        prefix: str = "",
        overrides: Sequence[Override] = (),
    ) -> Settings:
        """The settings of `sections` (name -> frozen dataclass); `ConfigError` for the first thing that is wrong.

        Of the environment, PREFIX_SECTION__KEY is read, in whatever case; other variables are left alone. Of several
        overrides of a key, the last one counts.
        """
        reader = _Reader(sections)
        if file is not None:
            reader.read_file(file)
        reader.read_environment(environ or {}, prefix)
        for override in overrides:
            reader.read_override(override)
        return cls(*reader.build())

    def section(self, name: str) -> Any:
        """The instance of a section's dataclass; KeyError for one that was not asked for."""
        return self._instances[name]

    def effective(self) -> list[Setting]:
        """All settings that are in force, by section, in the order in which they were declared."""
        return list(self._settings)


@dataclass(frozen=True)
class _Given:
    value: Any
    origin: str


class _Reader:
    """Takes one source after the other; what comes later is stronger."""

    def __init__(self, sections: Mapping[str, type[Any]]) -> None:
        self._types: dict[str, type[Any]] = dict(sections)
        self._hints: dict[str, dict[str, Any]] = {}
        for name, section in sections.items():
            if not is_dataclass(section):
                raise TypeError(f"section '{name}' is described by {section.__name__}, which is no dataclass")
            hints = get_type_hints(section, include_extras=True)
            self._hints[name] = {field.name: hints[field.name] for field in fields(section) if field.init}
        self._given: dict[tuple[str, str], _Given] = {}

    def read_file(self, file: Path) -> None:
        origin = str(file)
        for section, table in _parse_file(file).items():
            if not isinstance(table, dict):
                self._refuse_stray(origin, section, table)
            self._read_table(origin, section, table)

    def _read_table(self, origin: str, section: str, table: dict[str, Any]) -> None:
        """A section's settings, and the sections whose names begin with its own."""
        if not table:
            self._check_section(origin, section)
        for key, value in table.items():
            longer = f"{section}.{key}"
            if isinstance(value, dict) and any(f"{name}.".startswith(f"{longer}.") for name in self._hints):
                self._read_table(origin, longer, value)
                continue
            self._check_section(origin, section)
            self._check_key(origin, section, key)
            self._give(f"{origin}: {longer}", section, key, value, origin)

    def _refuse_stray(self, origin: str, key: str, value: object) -> NoReturn:
        """Something at the top of the file that isn't a section."""
        if key in self._hints:
            raise ConfigError(f"{origin}: {key} is {shown(value)}; a section [{key}] is expected")
        homes = [f"[{section}]" for section, hints in self._hints.items() if key in hints]
        where = f"it belongs below {' or '.join(homes)}" if homes else neighbours(key, self._hints)
        raise ConfigError(f"{origin}: {clean(key)} stands outside of any section; {where}")

    def read_environment(self, environ: Mapping[str, str], prefix: str) -> None:
        seen: dict[tuple[str, str], str] = {}
        for name, text in sorted(environ.items()):
            rest = name.removeprefix(f"{prefix}_")
            if rest == name:
                continue
            if "__" not in f"_{rest}":
                self._refuse_single_underscore(prefix, name, rest)
                continue
            origin = f"environment {clean(name)}"
            section, _, key = rest.rpartition("__")
            section = section.replace("__", ".")
            if rest.startswith("_") or not key:
                raise ConfigError(f"{origin} has no section or no key; {prefix}_SECTION__KEY is expected")
            section = _same_but_case(section, self._hints)
            self._check_section(origin, section)
            key = _same_but_case(key, self._hints[section])
            self._check_key(origin, section, key)
            if (section, key) in seen:
                raise ConfigError(f"{origin} and {seen[section, key]} set the same; one of them is expected")
            seen[section, key] = name
            self._give(origin, section, key, parse_text(text, self._hints[section][key]), origin)

    def _refuse_single_underscore(self, prefix: str, name: str, rest: str) -> None:
        """PREFIX_HTTP_PORT, where PREFIX_HTTP__PORT must be meant. Variables that name no setting are others'."""
        section, _, key = rest.lower().partition("_")
        if key in self._hints.get(section, {}):
            meant = f"{prefix}_{section}__{key}".upper()
            raise ConfigError(f"environment {clean(name)}: two underscores part section and key; {meant} is expected")

    def read_override(self, override: Override) -> None:
        section, dot, key = override.key.rpartition(".")
        if not dot:
            raise ConfigError(f"{override.origin}: {clean(override.key)} has no section; section.key is expected")
        self._check_section(override.origin, section)
        self._check_key(override.origin, section, key)
        value = parse_text(override.text, self._hints[section][key])
        self._give(f"{override.origin}: {override.key}", section, key, value, override.origin)

    def _check_section(self, place: str, section: str) -> None:
        if section not in self._hints:
            raise ConfigError(
                f"{place}: there is no section [{clean(section)}]; {neighbours(section.lower(), self._hints)}"
            )

    def _check_key(self, place: str, section: str, key: str) -> None:
        known = self._hints[section]
        if key not in known:
            near = neighbours(key.lower(), known, f"{section}.")
            raise ConfigError(f"{place}: there is no {clean(section)}.{clean(key)}; {near}")

    def _give(self, place: str, section: str, key: str, value: object, origin: str) -> None:
        hint = self._hints[section][key]
        kind = _kind_of_tables(hint)
        structured = _structure(place, value, hint) if kind is None else _structure_tables(place, value, kind)
        self._given[section, key] = _Given(structured, origin)

    def build(self) -> tuple[dict[str, Any], list[Setting]]:
        instances: dict[str, Any] = {}
        settings: list[Setting] = []
        for section, cls in self._types.items():
            given = {key: self._given[section, key] for key in self._hints[section] if (section, key) in self._given}
            for field in fields(cls):
                required = field.init and field.default is MISSING and field.default_factory is MISSING
                if required and field.name not in given:
                    hint = self._hints[section][field.name]
                    raise ConfigError(f"{section}.{field.name} is not set; {expected(hint)} is expected")
            try:
                instance = cls(**{key: entry.value for key, entry in given.items()})
            except ValueError as error:
                raise ConfigError(f"section [{section}]: {' '.join(str(error).split())}") from error
            instances[section] = instance
            for key in self._hints[section]:
                origin = given[key].origin if key in given else "default"
                settings.append(Setting(f"{section}.{key}", getattr(instance, key), origin))
        return instances, settings


def _structure(place: str, value: object, hint: Any) -> Any:
    try:
        return structure(value, hint)
    except Wrong:
        raise ConfigError(f"{place} is {shown(value)}; {expected(hint)} is expected") from None


def _kind_of_tables(hint: Any) -> type[Any] | None:
    """The dataclass of a field that is a table of tables; None for any other field."""
    if get_origin(hint) is not dict:
        return None
    kind: type[Any] = get_args(hint)[1]
    return kind


def _structure_tables(place: str, value: object, kind: type[Any]) -> dict[str, Any]:
    """An instance of the dataclass `kind` for each name in a table of tables."""
    if not isinstance(value, dict):
        raise ConfigError(f"{place} is {shown(value)}; a table of tables is expected, {{name = {{key = value}}}}")
    hints = get_type_hints(kind, include_extras=True)
    instances = {}
    for name, table in value.items():
        inside = f"{place}.{clean(name)}"
        if not isinstance(table, dict):
            raise ConfigError(f"{inside} is {shown(table)}; a table is expected, {{key = value}}")
        for key in table:
            if key not in hints:
                raise ConfigError(f"{inside}: there is no {clean(key)}; {neighbours(key.lower(), hints)}")
        given = {key: _structure(f"{inside}.{key}", each, hints[key]) for key, each in table.items()}
        try:
            instances[name] = kind(**given)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{inside}: {' '.join(str(error).split())}") from error
    return instances


def _parse_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text, from byte {error.start} on") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: is not valid TOML: {clean(' '.join(str(error).split()))}") from error


def _same_but_case(name: str, known: Iterable[str]) -> str:
    return next((other for other in known if other.lower() == name.lower()), name.lower())
