"""What came out of the trials: kept in results.json, and shown as the tables of docs/reliability.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from soak.trials import GROUPS

ROOT: Final = Path(__file__).parent.parent.parent
FILE: Final = Path(__file__).parent / "results.json"
PAGE: Final = ROOT / "docs/reliability.md"
_BEGIN: Final = "<!-- written by make soak -->"
_END: Final = "<!-- to here -->"

# By the trial's name: "passed", "figures", "seconds", "date", "machine".
Results: TypeAlias = dict[str, dict[str, Any]]


def read() -> Results:
    if not FILE.exists():
        return {}
    results: Results = json.loads(FILE.read_text())
    return results


def write(results: Results) -> None:
    """Keep them, and bring the page up to date."""
    FILE.write_text(json.dumps(results, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    PAGE.write_text(inserted(PAGE.read_text(), results))


def inserted(page: str, results: Results) -> str:
    """The page, with the tables of these results in the place of those that it has."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no place for the tables: '{_BEGIN}' and '{_END}' mark it")
    return f"{before}{_BEGIN}\n\n{tables(results)}\n{_END}{after}"


def tables(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A table for each group of trials, and the machines that they ran on."""
    machines = list(dict.fromkeys(json.dumps(one["machine"], sort_keys=True) for one in results.values()))
    lines = []
    for heading, trials in GROUPS.items():
        lines += [f"### {heading}", "", "| trial | figures | took |", "|---|---|---|"]
        for trial in trials:
            figures, took = _row(results.get(trial.name), machines)
            lines.append(f"| **{trial.about}**<br>`make soak ARGS={trial.name}` | {figures} | {took} |")
        lines.append("")
    return "\n".join(lines + _described(machines))


def _row(result: Mapping[str, Any] | None, machines: list[str]) -> tuple[str, str]:
    if result is None:
        return "not run yet in its long form", ""
    figures = "<br>".join(re.sub(r"([|<>])", r"\\\1", each) for each in result["figures"])
    machine = machines.index(json.dumps(result["machine"], sort_keys=True))
    mark = f" ({machine + 1})" if len(machines) > 1 else ""
    return figures if result[
        "passed"
    ] else f"**failed** {figures}", f"{duration(result['seconds'])}, {result['date']}{mark}"


def _described(machines: list[str]) -> list[str]:
    described = []
    for number, text in enumerate(machines, 1):
        machine = json.loads(text)
        mark = f"({number}) " if len(machines) > 1 else ""
        described.append(
            f"{mark}{machine['cores']} cores of {machine['cpu']}, Linux {machine['kernel']}, "
            f"Python {machine['python']}, SQLite {machine['sqlite']}."
        )
    return [" ".join(described), ""] if described else []


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
