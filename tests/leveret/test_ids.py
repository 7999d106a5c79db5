"""Ids that the server gives: in the order in which they were made, whatever the system's clock does."""

from __future__ import annotations

import time

import pytest

from leveret.ids import make_id, make_ids


def test_later_ones_sort_after_earlier_ones_though_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    (before,) = make_ids(1)
    began = time.monotonic()
    while time.monotonic() < began + 0.002:
        pass
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert before < make_id()


def test_those_of_one_call_are_in_order_and_all_different() -> None:
    made = make_ids(1000)
    assert made == sorted(set(made))
