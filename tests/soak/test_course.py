"""A trial passes where its tests pass and say their figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from soak import course
from soak.course import Course, Outcome
from soak.trials import Trial
from support.web import PATIENCE


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Outcome]:
    """Run a trial with this for its tests."""
    monkeypatch.setattr(course, "LOGS", tmp_path / "logs")

    def run(program: str) -> Outcome:
        path = tmp_path / "test_made_up.py"
        path.write_text("import os, pytest\nfrom support import figures\n" + dedent(program))
        outcome = Course(Trial("made-up", "", 1, ("pytest", str(path)), {"LEVERET_MADE_UP": "7"})).wait(PATIENCE)
        assert outcome is not None
        return outcome

    return run


def test_its_figures_are_those_that_its_tests_say(run: Callable[[str], Outcome]) -> None:
    outcome = run("""
        def test_one():
            figures.show("made-up", f"{os.environ['LEVERET_MADE_UP']} kills: 0 lost")
            figures.show("another", "is none of its")
        def test_two():
            figures.show("made-up", "and more")
    """)
    assert (outcome.passed, outcome.figures, outcome.lacks) == (True, ["7 kills: 0 lost", "and more"], "")


def test_it_fails_with_one_of_its_tests_and_what_was_written_is_kept(run: Callable[[str], Outcome]) -> None:
    outcome = run("""
        def test_one():
            figures.show("made-up", "9 kills: 1 lost")
            assert not "lost one"
    """)
    assert (outcome.passed, outcome.figures, outcome.lacks) == (False, ["9 kills: 1 lost"], "")
    assert "lost one" in outcome.log.read_text()


def test_where_it_can_not_be_run_it_says_what_is_missing(run: Callable[[str], Outcome]) -> None:
    outcome = run("""
        def test_one():
            pytest.skip("there is no hammer")
    """)
    assert (outcome.passed, outcome.lacks) == (False, "there is no hammer")


def test_without_figures_it_has_not_passed(run: Callable[[str], Outcome]) -> None:
    outcome = run("""
        def test_one():
            pass
    """)
    assert (outcome.passed, outcome.figures, outcome.lacks) == (False, [], "")


def test_it_can_be_ended_before_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "LOGS", tmp_path / "logs")
    path = tmp_path / "test_made_up.py"
    path.write_text("import threading\ndef test_one():\n    threading.Event().wait()\n")
    running = Course(Trial("made-up", "", 1, ("pytest", str(path))))
    assert running.wait(0) is None
    running.stop()
    assert running.wait(PATIENCE) is not None
