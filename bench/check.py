"""`make bench-check`: fails where a request takes 5 % more instructions than when its figures were committed.

Instructions don't depend on how fast or how busy a machine is. They do depend on the interpreter and on libraries:
where those are others than the committed figures were made with, the sources of that commit are counted anew beside the
present ones, on what is there, and nothing that was counted elsewhere is compared.
"""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench import record
from bench.callgrind import ROOT, YARDSTICK, CannotCount, Counting, by_yardstick, valgrind_version

FIGURES: Final = Path(__file__).parent / "counts.json"
TOLERANCE: Final = 0.05  # more than this is a failure, and less than this below wants new figures
LOOSE: Final = 0.15  # instead, where only libraries are others and there is nothing better to compare with
_UPDATE: Final = "make bench-check ARGS=--update"
_INTERPRETER: Final = ("python", "compiler", "gil", "architecture")  # of what figures are made with
SAME_YARDSTICK: Final = 0.02  # of two interpreters that are the same, though their C libraries may differ a little


@dataclass(frozen=True)
class Committed:
    """The figures that were committed, and what they were made with."""

    made_with: Mapping[str, Any]
    instructions: Mapping[str, float]

    @classmethod
    def read(cls, text: str) -> Committed:
        """`CannotCount` where it is none."""
        try:
            found = json.loads(text)
            return cls(found["made_with"], {name: float(value) for name, value in found["instructions"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CannotCount(f"{FIGURES.name} can't be read ({error}); {_UPDATE}") from error


@dataclass(frozen=True)
class Change:
    """What became of a scenario: a multiple of what it was, 1.0 for no change; None for a new one."""

    name: str
    before: float | None
    after: float
    ratio: float | None
    tolerance: float = TOLERANCE

    @property
    def too_much(self) -> bool:
        return self.ratio is not None and self.ratio > 1 + self.tolerance

    @property
    def outdated(self) -> bool:
        """Whether the figure should be committed anew: later work could hide behind it, or be seen by nobody."""
        return self.ratio is None or self.ratio < 1 - self.tolerance


def made_with() -> dict[str, str]:
    """What counts depend on, but for the sources."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
        "gil": "on" if record.gil() else "off",
        "architecture": platform.machine(),
        "sqlite": sqlite3.sqlite_version,
        "uvloop": record.version("uvloop"),
        "httptools": record.version("httptools"),
        "valgrind": valgrind_version(),
    }


def differences(then: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """In words, what the figures were made with that is another here."""
    return [f"{name} {value}, not {then.get(name, 'known')}" for name, value in now.items() if then.get(name) != value]


def compare(before: Mapping[str, float], after: Mapping[str, float], tolerance: float = TOLERANCE) -> list[Change]:
    """Each scenario, as a multiple of its own yardstick: that takes out what the interpreter itself has changed."""
    then, now = by_yardstick(before) if before else {}, by_yardstick(after)
    return [
        Change(name, before.get(name), after[name], ratio / then[name] if name in then else None, tolerance)
        for name, ratio in now.items()
    ]


def yardstick_drift(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """How far the yardsticks are apart, as a fraction."""
    return abs(after[YARDSTICK] / before[YARDSTICK] - 1) if YARDSTICK in before else 1.0


@contextmanager
def committed_sources() -> Iterator[Path]:
    """The sources at the commit that last changed the figures. `CannotCount` where git doesn't have them."""
    commit = _git("log", "-1", "--format=%H", "--", str(FIGURES)).decode().strip()
    if not commit:
        raise CannotCount(f"{FIGURES.name} was never committed")
    # In a history that is cut off, its last commit seems to have changed every file.
    shallow = _git("rev-parse", "--is-shallow-repository").strip() == b"true"
    if shallow and not _git("log", "-1", "--format=%P", commit).strip():
        raise CannotCount("the history is cut off before the commit of the figures; git fetch --unshallow")
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        with tarfile.open(fileobj=BytesIO(_git("archive", commit, "src"))) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder) / "src"


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotCount(f"there is no git repository here, or no git ({error})") from error


def count_both() -> tuple[dict[str, float], dict[str, float]]:
    """What the committed sources take, and the present ones, counted side by side."""
    with committed_sources() as source:
        then, now = Counting(source), Counting(ROOT / "src")
        try:
            return then.result(), now.result()
        finally:
            then.cancel()
            now.cancel()


def show(changes: list[Change]) -> None:
    table = Table("instructions of a request", "committed", "now", "change", "", box=SIMPLE)
    for each in changes:
        before = "none" if each.before is None else f"{each.before:,.0f}"
        change = "" if each.ratio is None else f"{(each.ratio - 1) * 100:+.1f} %"
        verdict = "TOO MUCH" if each.too_much else "commit it anew" if each.outdated else ""
        table.add_row(each.name, before, f"{each.after:,.0f}", change, verdict)
    Console(width=120).print(table)


def judge(changes: list[Change]) -> int:
    """Say what is to be done; answers the exit code."""
    worse = [each for each in changes if each.too_much]
    if worse:
        names = ", ".join(f"{each.name} (by {((each.ratio or 1) - 1) * 100:.1f} %)" for each in worse)
        print(f"bench-check: more instructions than there may be: {names}; at most {worse[0].tolerance:.0%} more pass.")
        print("Have it do less; or say in the commit why it can't, and commit new figures:", _UPDATE)
        return 1
    if any(each.outdated for each in changes):
        print("bench-check: passed; commit the figures anew, so that what was won is kept:", _UPDATE)
    else:
        print(
            f"bench-check: passed; nothing takes {changes[0].tolerance:.0%} more than when the figures were committed."
        )
    return 0


def check() -> int:
    if not FIGURES.exists():
        raise CannotCount(f"there is no {FIGURES.name}; {_UPDATE} makes it")
    committed = Committed.read(FIGURES.read_text())
    others = differences(committed.made_with, made_with())
    now: dict[str, float] = {}
    if not others:
        now = _count_present()
        drift = yardstick_drift(committed.instructions, now)
        if drift <= SAME_YARDSTICK:
            print(f"compared with the committed figures; the yardstick differs by {drift:.1%}")
            return _finish(compare(committed.instructions, now))
        others = [f"a yardstick that takes {drift:.1%} more or less"]
    print(f"the committed figures were made elsewhere: here is {'; '.join(others)}")
    try:
        then, now = count_both()
    except CannotCount as error:
        print(f"the sources of their commit can't be counted here: {error}")
        return _loosely(committed, now or _count_present())
    print("compared with the sources of the commit of the figures, counted here and now")
    return _finish(compare(then, now))


def _loosely(committed: Committed, now: Mapping[str, float]) -> int:
    """Compare with figures that were made with other libraries; with another interpreter's nothing can be compared."""
    here = made_with()
    if any(committed.made_with.get(name) != here[name] for name in _INTERPRETER):
        print("bench-check: nothing was compared: figures of another interpreter say nothing of this one")
        return 0
    print(f"compared with the committed figures by the yardstick, and loosely: up to {LOOSE:.0%}")
    return _finish(compare(committed.instructions, now, LOOSE))


def _finish(changes: list[Change]) -> int:
    show(changes)
    return judge(changes)


def _count_present() -> dict[str, float]:
    counting = Counting(ROOT / "src")
    try:
        return counting.result()
    finally:
        counting.cancel()


def update() -> int:
    """Write the figures of the present sources, to be committed with them."""
    figures = {name: round(figure) for name, figure in _count_present().items()}
    FIGURES.write_text(json.dumps({"made_with": made_with(), "instructions": figures}, indent=1) + "\n")
    show(compare({}, figures))
    print(f"written to {FIGURES.relative_to(ROOT)}: commit it with the sources that were counted")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.check", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the figures of the present sources")
    given = parser.parse_args()
    try:
        valgrind_version()
        return update() if given.update else check()
    except CannotCount as error:
        print(f"bench-check: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
