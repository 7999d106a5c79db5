"""Servers in processes of their own, and what they cost. Knows no workload."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import processes

# The server and the load each have a core of their own, where there are two.
CORES = (0, 1) if (os.cpu_count() or 1) > 1 else (None, None)

_TICKS = os.sysconf("SC_CLK_TCK")


class NotReady(Exception):
    """A server that did not start."""


@dataclass(frozen=True)
class Running:
    """A server that is ready."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """What it has used so far of all processors, in user and system time."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> int:
        """Its resident memory in bytes."""
        return processes.memory(self.pid)


@contextmanager
def running(arguments: Sequence[str], cpu: int | None = None) -> Iterator[Running]:
    """Run `python -m …` until the block ends. It has to print one line with its URL when it is ready."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"https?://\S+?:\d+", line)
        if not found:
            raise NotReady(
                f"'{' '.join(arguments)}' did not get ready" + (f", but said: {line.strip()}" if line else "")
            )
        yield Running(found[0], process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def leveret(*options: str) -> list[str]:
    """The arguments for a server on a free port."""
    return ["leveret", "serve", "--port", "0", "--set", "log.level=warning", *options]
