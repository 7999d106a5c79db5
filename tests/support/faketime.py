"""A wall clock that jumps, for one process: libfaketime moves its time of day, and leaves its monotonic clock alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

_PLACES: Final = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
_NAME: Final = "libfaketimeMT.so.1"


def _library() -> Path | None:
    found = (path for place in _PLACES for path in Path("/").glob(f"{place[1:]}/{_NAME}"))
    return next(found, None)


def unavailable() -> str | None:
    """Why no clock can jump here; None where one can."""
    return None if _library() else f"{_NAME} is missing, which makes clocks jump (Debian's package faketime has it)"


class WallClock:
    """A process that runs `under` this has the wall time of now, and so many seconds more or less."""

    def __init__(self, folder: Path, ahead: int = 0) -> None:
        self._file = folder / "faketime"
        self.ahead = ahead  # seconds
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Move it from where it is: forward, or back where that is negative."""
        self.ahead += seconds
        new = self._file.with_suffix(".new")
        new.write_text(f"{self.ahead:+d}\n")
        new.replace(self._file)  # it is read at any time, and must be whole

    def time(self) -> float:
        """The wall time that the process has."""
        return time.time() + self.ahead

    @property
    def under(self) -> list[str]:
        """The command that runs the process."""
        return [
            "env",
            f"LD_PRELOAD={_library()}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "NO_FAKE_STAT=1",
        ]
