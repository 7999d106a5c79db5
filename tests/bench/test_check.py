"""What passes, what fails, and what is compared with what."""

import json

import pytest

from bench import check
from bench.callgrind import CannotCount
from bench.check import Committed, compare, differences, judge, yardstick_drift

BEFORE = {"yardstick": 100.0, "put": 1000.0}


def after(put, yardstick=100.0):
    return {"yardstick": yardstick, "put": put}


def test_five_percent_more_pass():
    assert judge(compare(BEFORE, after(1049))) == 0


def test_more_than_that_fails_and_says_which_and_by_how_much(capsys):
    assert judge(compare(BEFORE, after(1060))) == 1
    assert "put (by 6.0 %)" in capsys.readouterr().out


def test_less_asks_for_new_figures(capsys):
    assert judge(compare(BEFORE, after(900))) == 0
    assert "commit the figures anew" in capsys.readouterr().out


def test_a_new_scenario_asks_for_new_figures(capsys):
    assert judge(compare({"yardstick": 100.0}, after(900))) == 0
    assert "commit the figures anew" in capsys.readouterr().out


def test_what_the_interpreter_itself_takes_more_is_taken_out():
    assert judge(compare(BEFORE, after(1500, yardstick=150.0))) == 0


def test_a_loose_comparison_lets_more_pass():
    assert judge(compare(BEFORE, after(1100), check.LOOSE)) == 0
    assert judge(compare(BEFORE, after(1200), check.LOOSE)) == 1


def test_the_drift_of_yardsticks_is_a_fraction():
    assert yardstick_drift(BEFORE, after(1000, yardstick=98.0)) == pytest.approx(0.02)


def test_what_differs_is_said_in_words():
    assert differences({"python": "3.11", "uvloop": "1"}, {"python": "3.11", "uvloop": "2"}) == ["uvloop 2, not 1"]


def test_figures_that_are_none_are_refused():
    with pytest.raises(CannotCount, match=r"counts\.json can't be read"):
        Committed.read("[]")


class Elsewhere:
    """Figures of other libraries, or of another interpreter, in the place of the committed ones."""

    def __init__(self, monkeypatch, tmp_path, **made_with):
        figures = tmp_path / "counts.json"
        here = dict.fromkeys(("python", "compiler", "gil", "architecture", "uvloop"), "1")
        figures.write_text(json.dumps({"made_with": here | made_with, "instructions": BEFORE}))
        monkeypatch.setattr(check, "FIGURES", figures)
        monkeypatch.setattr(check, "made_with", lambda: here)
        monkeypatch.setattr(check, "_count_present", lambda: after(1200))


def no_sources():
    raise CannotCount("there is no git repository here")


def test_the_same_environment_is_compared_with_the_committed_figures(monkeypatch, tmp_path, capsys):
    Elsewhere(monkeypatch, tmp_path)
    assert check.check() == 1
    assert "compared with the committed figures;" in capsys.readouterr().out


def test_another_environment_has_the_committed_sources_counted(monkeypatch, tmp_path, capsys):
    Elsewhere(monkeypatch, tmp_path, uvloop="2")
    monkeypatch.setattr(check, "count_both", lambda: (after(1200), after(1200)))
    assert check.check() == 0
    assert "the sources of the commit of the figures" in capsys.readouterr().out


def test_without_these_sources_other_libraries_are_compared_loosely(monkeypatch, tmp_path, capsys):
    Elsewhere(monkeypatch, tmp_path, uvloop="2")
    monkeypatch.setattr(check, "count_both", no_sources)
    assert check.check() == 1
    assert "loosely" in capsys.readouterr().out


def test_without_these_sources_another_interpreter_is_not_compared(monkeypatch, tmp_path, capsys):
    Elsewhere(monkeypatch, tmp_path, python="2")
    monkeypatch.setattr(check, "count_both", no_sources)
    assert check.check() == 0
    assert "nothing was compared" in capsys.readouterr().out


def test_it_ends_with_2_where_nothing_can_be_counted(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["check"])
    monkeypatch.setattr(check, "valgrind_version", no_sources)
    assert check.main() == 2
    assert capsys.readouterr().err == "bench-check: there is no git repository here\n"
