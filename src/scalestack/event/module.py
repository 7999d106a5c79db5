"""The event module: how many loops, and which. Knows nothing of what they run."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Annotated, TypeVar, cast

from scalestack.config import Between
from scalestack.event.loops import Loops
from scalestack.event.makers import loop_maker
from scalestack.module import Module, Needs

T = TypeVar("T")


def default_threads() -> int:
    """One loop for each core on a free-threaded build; one on a build with the GIL, where more would not help."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    if gil:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class EventConfig:
    threads: Annotated[int, Between(0, 1024)] = 0  # loops, one thread each; 0: as many as the build can use
    loop: str = "auto"  # auto, uvloop, asyncio, or an entry point of the group scalestack.loops

    def __post_init__(self) -> None:
        loop_maker(self.loop)


class EventModule(Module[EventConfig]):
    """Provides `Loops`: threads with one event loop each."""

    name = "event"
    Config = EventConfig
    provides = (Loops,)

    def __init__(self, config: EventConfig, needs: Needs) -> None:
        super().__init__(config, needs)
        self._loops = Loops(config.threads or default_threads(), loop_maker(config.loop))

    def provider(self, interface: type[T]) -> T:
        return cast("T", self._loops)

    def start(self) -> None:
        self._loops.start()

    def stop(self) -> None:
        self._loops.stop()
