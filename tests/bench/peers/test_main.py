"""The command: what it refuses, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.peers import __main__ as command
from bench.peers import kinds


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["bench.peers", *arguments])
    return command.main()


def test_an_unknown_name_is_refused_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--only", "redis,kafka") == 2
    error = capsys.readouterr().err
    assert "there is no 'kafka'; there are beanstalkd," in error
    assert error.count("\n") == 1


def test_no_rounds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "--rounds", "0")
    assert ended.value.code == 2


def test_rendering_without_figures_says_which_file_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path / "peers.json")
    assert run(monkeypatch, "--render") == 2
    assert "peers.json" in capsys.readouterr().err


def test_rendering_figures_of_another_form_says_to_measure_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path / "peers.json")
    monkeypatch.setattr(command, "PLOT", tmp_path / "peers.svg")
    command.RESULTS.write_text("{}")
    assert run(monkeypatch, "--render") == 2
    assert "measure again" in capsys.readouterr().err


def test_tools_that_are_missing_are_named_with_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(monkeypatch, "--only", "beanstalkd") == 2
    assert "to have beanstalkd: apt-get install beanstalkd" in capsys.readouterr().err


def test_names_are_unique() -> None:
    assert len({peer.name for peer in kinds.PEERS}) == len(kinds.PEERS)
