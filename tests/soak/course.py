"""Runs one trial in a process of its own, and says what came of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soak.trials import Trial
from support import figures

ROOT: Final = Path(__file__).parent.parent.parent
LOGS: Final = ROOT / "build/soak"
_REASON: Final = re.compile(r"^SKIPPED \[\d+\] \S+: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    passed: bool
    figures: list[str]
    seconds: float
    log: Path  # all that it wrote
    lacks: str = ""  # why it could not be run here


class Course:
    """A trial that is running."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        LOGS.mkdir(parents=True, exist_ok=True)
        self._log = LOGS / f"{trial.name}.log"
        self._figures = LOGS / f"{trial.name}.jsonl"
        self._figures.write_text("")
        self._began = time.monotonic()
        environ = os.environ | dict(trial.settings) | {figures.FILE: str(self._figures)}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                _words(trial), cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def wait(self, seconds: float) -> Outcome | None:
        """How it ended; None where it hasn't within so many seconds."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        took = self.seconds
        lines = [json.loads(line) for line in self._figures.read_text().splitlines()]
        shown = [line["figures"] for line in lines if line["trial"] == self.trial.name]
        skipped = _REASON.search(self._log.read_text(errors="replace")) if code == 0 and not shown else None
        lacks = skipped[1] if skipped else ""
        return Outcome(code == 0 and bool(shown), shown, took, self._log, lacks)

    def stop(self) -> None:
        """End it before its time."""
        self._process.terminate()
        self._process.wait()


def _words(trial: Trial) -> list[str]:
    program, *words = trial.command
    if program == "make":
        return ["make", "--no-print-directory", *words]
    return [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-rs", "-p", "no:cacheprovider", *words]
