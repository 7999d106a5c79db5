"""Which server and which account a command is for: command line, environment, profile. Speaks to nobody."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from platformdirs import user_config_path

from leveret.cli.exits import Code, Ended

SERVER: Final = "http://127.0.0.1:8080"  # where nothing says otherwise
ACCOUNT: Final = "default"
_KNOWN: Final = ("server", "account")


@dataclass(frozen=True)
class Profile:
    """What one source says; None where it says nothing."""

    server: str | None = None  # URL
    account: str | None = None

    def before(self, other: Profile) -> Profile:
        """This one, with what it leaves out from the other."""
        return Profile(
            other.server if self.server is None else self.server,
            other.account if self.account is None else self.account,
        )


def profile_file() -> Path:
    """Where profiles are: client.toml in the user's configuration directory."""
    return user_config_path("leveret") / "client.toml"


def choose(given: Profile, profile: str | None, environ: Mapping[str, str], file: Path) -> Profile:
    """The server and the account: of what is given, the environment, the profile and the top of the file, the first.

    A profile that is named on the command line is stronger than the environment; one that the environment names is
    weaker. `Ended` for a file that can't be used, or a profile that isn't there.
    """
    environment = Profile(environ.get("LEVERET_SERVER") or None, environ.get("LEVERET_ACCOUNT") or None)
    top, profiles = _read(file)
    named = profile or environ.get("LEVERET_PROFILE") or None
    if named is None:
        chosen = Profile()
    elif named in profiles:
        chosen = profiles[named]
    else:
        known = f"known are {', '.join(profiles)}" if profiles else "there are none"
        raise _wrong(file, f"there is no profile '{named}'; {known}")
    sources = [given, chosen, environment] if profile else [given, environment, chosen]
    found = Profile()
    for source in [*sources, top, Profile(SERVER, ACCOUNT)]:
        found = found.before(source)
    return found


def _read(file: Path) -> tuple[Profile, dict[str, Profile]]:
    """What stands at the top of the file, and its profiles."""
    try:
        content = tomllib.loads(file.read_bytes().decode())
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
    return _parse(file, content, "", " and [profile.NAME]"), profiles


def _parse(file: Path, table: dict[str, Any], place: str, more: str = "") -> Profile:
    for key, value in table.items():
        if key not in _KNOWN:
            raise _wrong(file, f"there is no '{place}{key}'; known are {', '.join(_KNOWN)}{more}")
        if not isinstance(value, str) or not value:
            raise _wrong(file, f"'{place}{key}' is no text; {key} = \"…\" is expected")
    return Profile(**table)


def _wrong(file: Path, what: str) -> Ended:
    return Ended(Code.WRONG_USE, f"{file}: {what}")
