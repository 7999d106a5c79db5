"""`leveret config`: what is in force, and where each value comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from typing import Any

import click

from leveret.cli.options import configured, make_server


@click.command
@configured
def config(**options: Any) -> None:
    """Print all settings that are in force, as TOML, each with where it comes from.

    \b
    Examples:
      leveret config
      LEVERET_HTTP__PORT=9000 leveret config | grep port
    """
    section = ""
    for setting in make_server(**options).settings.effective():
        module, _, key = setting.key.rpartition(".")
        if module != section:
            click.echo(f"{chr(10) if section else ''}[{module}]")
            section = module
        # TOML has no word for "not set".
        line = f"# {key} is not set" if setting.value is None else f"{key} = {_toml(setting.value)}"
        click.echo(f"{line:<40}  # {setting.origin}")


def _toml(value: object) -> str:
    """A setting's value as TOML spells it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if is_dataclass(value) and not isinstance(value, type):
        return _toml({key: inner for key, inner in asdict(value).items() if inner is not None})
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(name)} = {_toml(inner)}' for name, inner in value.items())}}}"
    escaped = str(value.value if isinstance(value, Enum) else value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _key(name: str) -> str:
    """The name of a setting in a table: bare, where TOML allows that."""
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _toml(name)
