"""Figures are kept with the machine that they are of."""

import json

from bench import record
from bench.record import keep, version, write


def test_what_was_measured_is_kept_with_its_machine(tmp_path):
    kept = json.loads(write("figures", {"rounds": 5}, tmp_path).read_text())
    assert kept["rounds"] == 5
    assert kept["machine"]["cores"]
    assert kept["date"]


def test_a_package_that_is_not_there_has_no_version():
    assert version("no-such-package") == "none"


def test_a_look_of_few_rounds_replaces_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    keep("figures", {}, 4)
    assert not (tmp_path / "results").exists()
    assert capsys.readouterr().err.count("\n") == 1
