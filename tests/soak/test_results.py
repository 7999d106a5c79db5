"""The tables of docs/reliability.md are what is kept of the trials."""

from __future__ import annotations

import pytest

from soak import results
from soak.trials import TRIALS

MACHINE = {"cpu": "a chip", "cores": 2, "kernel": "6.1", "python": "3.11.2", "sqlite": "3.40.1"}
OTHER = MACHINE | {"python": "3.12.0"}
NAME, SECOND, *_ = TRIALS


def result(*figures, passed=True, machine=MACHINE):
    return {"passed": passed, "figures": list(figures), "seconds": 61.4, "date": "2026-01-02", "machine": machine}


def row(tables, name=NAME):
    (found,) = [line for line in tables.splitlines() if f"`make soak ARGS={name}`" in line]
    return found


def test_the_page_shows_what_is_kept() -> None:
    page = results.PAGE.read_text()
    assert results.inserted(page, results.read()) == page


def test_a_row_has_figures_time_and_date() -> None:
    found = row(results.tables({NAME: result("9 kills: 0 lost", "1 more")}))
    assert TRIALS[NAME].about in found
    assert found.endswith("| 9 kills: 0 lost<br>1 more | 1 min 1 s, 2026-01-02 |")


def test_a_trial_that_failed_is_not_hidden() -> None:
    assert "| **failed** 9 kills: 1 lost |" in row(results.tables({NAME: result("9 kills: 1 lost", passed=False)}))


def test_one_that_was_not_run_says_so() -> None:
    assert "not run yet" in row(results.tables({}))


def test_figures_can_not_break_the_table() -> None:
    assert r"a \| b \<c\>" in row(results.tables({NAME: result("a | b <c>")}))


def test_the_machine_is_named_once() -> None:
    tables = results.tables({NAME: result("a"), SECOND: result("b")})
    assert tables.count("2 cores of a chip, Linux 6.1, Python 3.11.2, SQLite 3.40.1.") == 1
    assert "(1)" not in tables


def test_several_machines_are_told_apart() -> None:
    tables = results.tables({NAME: result("a"), SECOND: result("b", machine=OTHER)})
    assert row(tables).endswith("2026-01-02 (1) |")
    assert row(tables, SECOND).endswith("2026-01-02 (2) |")
    assert "(1) 2 cores of a chip" in tables
    assert "(2) 2 cores of a chip" in tables


def test_a_page_without_a_place_for_the_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the tables"):
        results.inserted("# Reliability\n", {})


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert results.duration(seconds) == text
