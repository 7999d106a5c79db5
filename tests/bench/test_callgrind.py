"""From what callgrind wrote to instructions of a request."""

import pytest

from bench import callgrind
from bench.callgrind import CannotCount, by_yardstick, per_request, valgrind_version


def test_what_is_done_once_is_no_part_of_a_request():
    assert per_request(["put/10", "put/20"], [1050, 2050]) == {"put": 100}


def test_parts_without_a_name_are_left_out():
    assert per_request(["", "put/1", "", "put/2"], [999, 10, 999, 20]) == {"put": 10}


def test_figures_are_multiples_of_the_yardstick():
    assert by_yardstick({"yardstick": 50.0, "put": 100.0}) == {"put": 2.0}


def test_without_valgrind_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(callgrind.shutil, "which", lambda name: None)
    with pytest.raises(CannotCount, match="apt-get install valgrind"):
        valgrind_version()
