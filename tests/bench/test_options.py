"""Options of the benches: what can't be done is one line, and exit code 2."""

import pytest

from bench import servers, wrk
from bench.options import Options, count, end_with


@pytest.fixture
def options():
    options = Options("bench.some", "What it is about.\n\nMore of it.")
    options.add_argument("--rounds", type=count, default=5)
    return options


def test_a_count_is_a_whole_number_from_one_on(options):
    assert options.parse_args(["--rounds", "7"]).rounds == 7


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.5", "9" * 10, "\u0663"])
def test_what_is_none_is_said_in_one_line(options, text, capsys):
    with pytest.raises(SystemExit) as ended:
        options.parse_args([f"--rounds={text}"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "a whole number from 1 on is expected" in said


@pytest.mark.parametrize("error", [wrk.NoWrk("no wrk"), servers.NotReady("not ready")])
def test_what_can_not_be_measured_is_said_in_one_line(error, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        end_with(main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"bench: {error}\n"


def test_the_exit_code_is_that_of_the_bench():
    with pytest.raises(SystemExit) as ended:
        end_with(lambda: 1)
    assert ended.value.code == 1
