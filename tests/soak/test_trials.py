"""Every trial has tests that say its figures, and all that is said belongs to a trial."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fuzz.targets import TARGETS
from soak.trials import TRIALS, Trial

TESTS = Path(__file__).parent.parent
SAID = re.compile(r"\bshow\(\s*\"([a-z-]+)\"")


def test_what_the_tests_say_are_the_figures_of_trials() -> None:
    said = {
        name for path in TESTS.rglob("*.py") if path.parent != TESTS / "soak" for name in SAID.findall(path.read_text())
    }
    assert said | {f"fuzz-{target}" for target in TARGETS} == set(TRIALS)


@pytest.mark.parametrize("trial", TRIALS.values(), ids=TRIALS)
def test_what_a_trial_runs_is_there(trial: Trial) -> None:
    program, *words = trial.command
    if program == "pytest":
        assert (TESTS.parent / words[0]).exists()
    else:
        assert program == "make"
        assert re.search(rf"^{words[0]}:", (TESTS.parent / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("trial", TRIALS.values(), ids=TRIALS)
def test_what_makes_it_long_is_read_by_its_tests(trial: Trial) -> None:
    sources = "".join(path.read_text() for path in TESTS.rglob("*.py") if path.parent != TESTS / "soak")
    for name in trial.settings:
        assert f'"{name}"' in sources
