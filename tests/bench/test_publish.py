"""What the bench of many messages says where it can't measure."""

import pytest

from bench import publish, wrk
from bench.options import end_with


@pytest.mark.parametrize("option", ["--rounds", "--seconds", "--connections"])
def test_a_number_below_1_is_refused(monkeypatch, capsys, option):
    monkeypatch.setattr("sys.argv", ["publish", option, "0"])
    with pytest.raises(SystemExit) as ended:
        publish.main()
    assert ended.value.code == 2
    assert option in capsys.readouterr().err


def test_a_missing_tool_is_one_line(monkeypatch, capsys):
    def missing(*_):
        raise wrk.NoWrk("wrk is not installed")

    monkeypatch.setattr("sys.argv", ["publish"])
    monkeypatch.setattr(publish, "ceiling", missing)
    with pytest.raises(SystemExit) as ended:
        end_with(publish.main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "bench: wrk is not installed\n"


def test_the_sides_take_turns_to_be_first(monkeypatch):
    order = []
    monkeypatch.setattr(publish, "ceiling", lambda *_: order.append("ceiling") or 1.0)
    monkeypatch.setattr(publish, "service", lambda *_: order.append("service") or (1.0, 2.0, 3.0, 4.0))
    assert publish._measure(2, 1, 1) == [publish.Round(1.0, 1.0, 2.0, 3.0, 4.0)] * 2
    assert order == ["ceiling", "service", "service", "ceiling"]
