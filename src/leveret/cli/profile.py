"""Which server and which account a command is for, and by which key: command line, environment, profile.

A key goes to the server that it is meant for and to no other. Speaks to nobody.
"""

from __future__ import annotations

import os
import shlex
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from platformdirs import user_config_path

from leveret.cli.exits import Code, Ended

SERVER: Final = "http://127.0.0.1:8080"  # where nothing says otherwise
ACCOUNT: Final = "default"
_OTHERS: Final = 0o077  # of a file's mode: what group and others may


@dataclass(frozen=True)
class Profile:
    """What one source says; None where it says nothing."""

    server: str | None = None  # URL
    account: str | None = None
    key: str | None = field(default=None, repr=False)
    ca: str | None = None  # file or directory of the authorities that are trusted


_KNOWN: Final = tuple(each.name for each in fields(Profile))


@dataclass(frozen=True)
class Choice:
    """What a command is to do with."""

    server: str  # URL
    account: str
    key: str | None = field(default=None, repr=False)
    ca: str | None = None
    withheld: str = ""  # says which key was passed over since it is for another server


@dataclass(frozen=True)
class _Source:
    """A profile, and the server that its key and its authorities are for; None where they are for any."""

    said: Profile
    server: str | None = None
    name: str = ""  # of its key, to people

    def is_for(self, server: str) -> bool:
        return self.server is None or _origin(self.server) == _origin(server)


def profile_file() -> Path:
    """Where profiles are: client.toml in the user's configuration directory."""
    return user_config_path("leveret") / "client.toml"


def choose(given: Profile, profile: str | None, environ: Mapping[str, str], file: Path) -> Choice:
    """The server, the account, the key: of what is given, the environment, the profile and the top of the file, the
    first.

    A profile that is named on the command line is stronger than the environment; one that the environment names is
    weaker. A key of the file is for the server that the file has for it, and LEVERET_KEY for LEVERET_SERVER where that
    is set; each is passed over where the command is for another. `Ended` for a file that can't be used, or a profile
    that isn't there.
    """
    environment = Profile(*(environ.get(f"LEVERET_{name.upper()}") or None for name in _KNOWN))
    top, profiles = _read(file)
    named = profile or environ.get("LEVERET_PROFILE") or None
    if named is None:
        chosen = Profile()
    elif named in profiles:
        chosen = profiles[named]
    else:
        known = f"known are {', '.join(profiles)}" if profiles else "there are none"
        raise _wrong(file, f"there is no profile '{named}'; {known}")
    ours = top.server or SERVER
    in_file = f"the key in {file} is for the server that stands there with it"
    first = _Source(given)
    second = _Source(environment, environment.server, "LEVERET_KEY is for LEVERET_SERVER, which is another server")
    third = _Source(chosen, chosen.server or ours, in_file)
    rest = [third, second] if profile else [second, third]
    return _decide([first, *rest, _Source(top, ours, in_file)])


def _decide(sources: Sequence[_Source]) -> Choice:
    """What the first of the sources says that says anything."""
    server = next((each.said.server for each in sources if each.said.server is not None), SERVER)
    account = next((each.said.account for each in sources if each.said.account is not None), ACCOUNT)
    able = [each for each in sources if each.is_for(server)]
    key = next((each.said.key for each in able if each.said.key is not None), None)
    ca = next((each.said.ca for each in able if each.said.ca is not None), None)
    passed_over = [each.name for each in sources if each.said.key is not None and each not in able]
    return Choice(server, account, key, ca, passed_over[0] if passed_over and key is None else "")


def _origin(url: str) -> tuple[str, str | None, int | None, str]:
    """What two URLs have in common that lead to the same server."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", url, None, ""
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")


def _read(file: Path) -> tuple[Profile, dict[str, Profile]]:
    """What stands at the top of the file, and its profiles."""
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = tomllib.loads(stream.read().decode())
    except FileNotFoundError:
        return Profile(), {}
    except OSError as error:
        raise _wrong(file, f"can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _wrong(file, f"is not UTF-8 text, from byte {error.start} on") from error
    except ValueError as error:
        raise _wrong(file, f"is not valid TOML: {' '.join(str(error).split())}") from error
    tables = content.pop("profile", {})
    if not isinstance(tables, dict):
        raise _wrong(file, "'profile' is no table; [profile.NAME] is expected")
    profiles = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise _wrong(file, f"'profile.{name}' is no table; [profile.{name}] is expected")
        profiles[name] = _parse(file, table, f"profile.{name}.")
    top = _parse(file, content, "", " and [profile.NAME]")
    if mode & _OTHERS and any(each.key is not None for each in (top, *profiles.values())):
        raise _wrong(
            file,
            f"holds a key, and can be read or written by others (mode {stat.S_IMODE(mode):04o}); "
            f"run: chmod 600 {shlex.quote(str(file))}",
        )
    return top, profiles


def _parse(file: Path, table: dict[str, Any], place: str, more: str = "") -> Profile:
    for key, value in table.items():
        if key not in _KNOWN:
            raise _wrong(file, f"there is no '{place}{key}'; known are {', '.join(_KNOWN)}{more}")
        if not isinstance(value, str) or not value:
            raise _wrong(file, f"'{place}{key}' is no text; {key} = \"…\" is expected")
    if "ca" in table:
        table["ca"] = str(file.parent / Path(table["ca"]).expanduser())  # wherever the command is run
    return Profile(**table)


def _wrong(file: Path, what: str) -> Ended:
    return Ended(Code.WRONG_USE, f"{file}: {what}")
