"""The disk that messages are kept on, and how long it takes to sync: much of what a durable queue can do."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

_SYNCS = 50


def file_system(folder: Path) -> str:
    """The kind of the one that has `folder`."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(len(fields[1]), fields[2]) for fields in mounts if folder.resolve().is_relative_to(fields[1])]
    return max(above)[1] if above else "unknown"


def sync_ms(folder: Path) -> float:
    """The median time of a small write and its sync, in milliseconds."""
    file = folder / "sync"
    taken: list[float] = []
    with file.open("wb", buffering=0) as output:
        for _ in range(_SYNCS):
            begin = time.perf_counter()
            output.write(b"x" * 4096)
            os.fdatasync(output.fileno())
            taken.append(time.perf_counter() - begin)
    file.unlink()
    return round(statistics.median(taken) * 1e3, 4)
