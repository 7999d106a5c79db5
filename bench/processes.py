"""What Linux knows of a running process. Measures; starts and ends nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Processor time that its threads have used, to the nanosecond; of those that have ended nothing is counted."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


def open_files(pid: int) -> int:
    """How many descriptors it has open, its sockets among them."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - they are counted, and no paths are made of them


def memory(pid: int) -> int:
    """Its resident memory in bytes. What the kernel keeps for its sockets is not in it."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
