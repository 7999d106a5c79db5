"""What an admin may ask of a running server, as operations. No I/O; see `calls`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from leveret.client import wire
from leveret.client.calls import Call, Operation, Retry, ask
from leveret.client.operations import good

_MODULES: Final = "/admin/modules"
_WAIT: Final = 60  # seconds that a module may take to start, or to end


@dataclass(frozen=True)
class ModuleState:
    """A module of a server."""

    name: str
    state: str
    depends: Sequence[str]  # modules, or interfaces that nobody provides yet
    used_by: Sequence[str]


class AdminCalls:
    """Operations on the modules of a server."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry

    def modules(self) -> Operation[list[ModuleState]]:
        """All that there are, in the server's order."""
        reply = yield from ask(Call("GET", _MODULES, safe=True), self._retry)
        return wire.read(good(reply).body, _states)

    def load(self, name: str) -> Operation[list[str]]:
        """Load a module and what it needs; answers which were not loaded before."""
        reply = yield from ask(Call("PUT", _path(name), safe=True, wait=_WAIT), self._retry)
        return wire.read(good(reply).body, lambda found: wire.names(found["loaded"]))

    def unload(self, name: str) -> Operation[None]:
        """Unload a module; a `LeveretError` where another uses it, or where it isn't loaded."""
        # Not to be repeated: the second request would be told that it isn't loaded.
        good((yield from ask(Call("DELETE", _path(name), wait=_WAIT), self._retry)))


def _path(name: str) -> str:
    return f"{_MODULES}/{quote(name, safe='')}"


def _states(found: Any) -> list[ModuleState]:
    return [
        ModuleState(each["name"], each["state"], wire.names(each["depends"]), wire.names(each["used_by"]))
        for each in found["modules"]
    ]
