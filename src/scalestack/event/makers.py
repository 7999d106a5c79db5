"""What makes a loop: uvloop, asyncio, or what another package offers. The one place that names a loop library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TypeAlias

LoopMaker: TypeAlias = Callable[[], asyncio.AbstractEventLoop]

GROUP = "scalestack.loops"


class UnknownLoop(ValueError):
    """No loop maker has this name."""


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415 - not on every platform, and not needed where another loop is chosen

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


_OWN: dict[str, LoopMaker] = {"uvloop": _uvloop, "asyncio": asyncio.new_event_loop}


def loop_maker(name: str) -> LoopMaker:
    """The maker with this name; "auto" is uvloop where it is installed, else asyncio."""
    if name == "auto":
        try:
            import uvloop  # noqa: F401, PLC0415
        except ImportError:
            return asyncio.new_event_loop
        return _uvloop
    if name in _OWN:
        return _OWN[name]
    others = entry_points(group=GROUP)
    for entry in others:
        if entry.name == name:
            maker: LoopMaker = entry.load()
            return maker
    known = ", ".join(["auto", *_OWN, *sorted(entry.name for entry in others)])
    raise UnknownLoop(f"there is no loop '{name}'; known are {known}")
