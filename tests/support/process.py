"""`leveret` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.web import PATIENCE


class Process:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], line: str) -> None:
        self.popen = process
        self.line = line  # what it said when it was ready

    @property
    def port(self) -> int:
        """Where it serves HTTP."""
        found = re.search(r"https?://\S+?:(\d+)", self.line)
        assert found, self.line
        return int(found[1])

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def wait(self) -> int:
        return self.popen.wait(PATIENCE)


@contextmanager
def process(*arguments: str, under: Sequence[str] = ()) -> Iterator[Process]:
    """Run a Python program that says on its first line where it is ready; it is ended with the block, if not before.

    `under` is a command that runs the program in its own place, such as `prlimit --nofile=256`.
    """
    popen = subprocess.Popen(
        [*under, sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with popen:
        try:
            assert popen.stdout is not None
            assert popen.stderr is not None
            line = popen.stdout.readline()
            assert "ready on" in line, line + popen.stderr.read()
            yield Process(popen, line)
        finally:
            if popen.poll() is None:
                popen.send_signal(signal.SIGKILL)


@contextmanager
def leveret(*options: str, under: Sequence[str] = ()) -> Iterator[Process]:
    """`leveret serve` on a free port, run by the command `under` where there is one."""
    with process("-m", "leveret", "serve", "--port", "0", *options, under=under) as running:
        yield running
