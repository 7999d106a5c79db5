"""Counts the instructions of `bench.counted` under valgrind, for sources that may lie elsewhere. Judges nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
YARDSTICK: Final = "yardstick"
PATIENCE: Final = 600  # seconds

# Of `bench.counted`, which is not imported here: that would stop this process's clocks.
_MARK: Final = "getpriority"
_TOTAL: Final = re.compile(r"^totals: (\d+)$", re.MULTILINE)


class CannotCount(Exception):
    """Nothing was counted; its text says why, and what to do."""


def valgrind_version() -> str:
    """`CannotCount` where there is none."""
    path = shutil.which("valgrind")
    if path is None:
        raise CannotCount("valgrind is not installed, and counts the instructions; apt-get install valgrind")
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().removeprefix("valgrind-")


class Counting:
    """One count that is under way, in a process of its own: two may be, side by side, and don't disturb each other."""

    def __init__(self, source: Path) -> None:
        """Begin to count the service in `source`, a folder such as `src`."""
        self._folder = tempfile.TemporaryDirectory(dir=ROOT)
        self._out = Path(self._folder.name) / "out"
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": f"{source}{os.pathsep}{ROOT}",
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [
            *("valgrind", "--quiet", "--tool=callgrind", f"--dump-before={_MARK}"),
            *(f"--callgrind-out-file={self._out}", sys.executable, "-m", "bench.counted", self._folder.name),
        ]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def result(self) -> dict[str, float]:
        """Instructions of one request, by scenario. `CannotCount` where it failed."""
        try:
            printed, said = self._process.communicate(timeout=PATIENCE)
            if self._process.returncode:
                why = said.strip().rpartition("\n")[2]
                raise CannotCount(f"what is counted failed, with exit code {self._process.returncode}: {why}")
            names: list[str] = json.loads(printed)
            # The first is what was before the first mark. What is after the last is in no numbered file.
            dumps = [self._out.with_name(f"out.{number}") for number in range(2, len(names) + 1)]
            found = [_total(dump.read_text()) for dump in dumps]
        finally:
            self.cancel()
        return per_request(names[1:], found)

    def cancel(self) -> None:
        """End it, and remove what it wrote; harmless when called again."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        self._folder.cleanup()


def _total(dump: str) -> int:
    found = _TOTAL.search(dump)
    if found is None:
        raise CannotCount("what callgrind wrote has no totals; this version of valgrind is not known here")
    return int(found[1])


def per_request(names: Sequence[str], totals: Sequence[int]) -> dict[str, float]:
    """What a request takes, of the totals of parts: those of "NAME/COUNT", each of which is there with two counts.

    The difference between both is divided by the difference of their counts: what each part takes once is gone.
    """
    parts: dict[str, list[tuple[int, int]]] = {}
    for name, total in zip(names, totals, strict=True):
        if name:
            scenario, _, count = name.rpartition("/")
            parts.setdefault(scenario, []).append((int(count), total))
    return {
        scenario: (more_total - total) / (more - count)
        for scenario, ((count, total), (more, more_total)) in parts.items()
    }


def by_yardstick(figures: Mapping[str, float]) -> dict[str, float]:
    """The same as multiples of the yardstick's."""
    return {name: figure / figures[YARDSTICK] for name, figure in figures.items() if name != YARDSTICK}
