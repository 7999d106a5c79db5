"""Keeps what was measured, with what it was measured on: figures without their machine are worth nothing."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results"
_ENOUGH: Final = 5  # rounds
_LIBRARIES: Final = ("uvloop", "httptools")


def machine() -> dict[str, Any]:
    """The machine, and what runs on it."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "gil": gil(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in _LIBRARIES},
    }


def gil() -> bool:
    """Whether threads of this interpreter have to wait for each other."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def keep(name: str, figures: dict[str, Any], rounds: int) -> None:
    """Write them down, unless they are of a look: medians of few rounds are not to replace what was measured well."""
    if rounds < _ENOUGH:
        print(f"({RESULTS.name}/{name}.json is left as it is: that takes {_ENOUGH} rounds)", file=sys.stderr)
    else:
        write(name, figures)


def write(name: str, figures: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Keep the figures as `name`, beside the machine's data and the date; answers where."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    whole = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine(), **figures}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    return path


def _cpu() -> str:
    """The processor's name; what `platform` knows of it is often nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
