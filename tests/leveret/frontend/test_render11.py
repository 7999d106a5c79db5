"""Messages as JSON: many are what each is alone, whatever they have in common."""

from __future__ import annotations

import json

import pytest

from leveret.frontend import render11
from leveret.frontend.parameters import Detail, Level
from leveret.model import NEVER, Message, Meta

NOW = 1_700_000_000.25
PLACE = 1_700_000_000_000_000


def message(number: int, **others: object) -> Message:
    made = Message(f"id {number}", f'body "{number}"'.encode(), PLACE + number, NOW - 5, NOW + 60, NOW + 30, 1, None)
    for name, value in others.items():
        setattr(made, name, value)
    return made


MIXED = [
    message(0),
    message(1),
    message(2, created=NOW - 4.5),
    message(3, expires=NEVER),
    message(4, visible_at=0.0),
    message(5, deliveries=2),
    message(6, meta=Meta("text/plain", {"A": "ü"})),
    message(7, sequence=5),
    message(8, body=b"\xff"),
    message(9),
]


@pytest.mark.parametrize("hid", [False, True])
@pytest.mark.parametrize("detail", [Detail.ATTRIBUTES, Detail.ALL, Detail.BODY, Detail.ID])
def test_many_are_what_each_is_alone(detail: Level, hid: bool) -> None:
    together = json.loads(render11.messages(MIXED, detail, NOW, hid).body)
    assert together == [json.loads(render11.messages([each], detail, NOW, hid).body)[0] for each in MIXED]


def test_each_of_many_has_its_own_receipt() -> None:
    found = json.loads(render11.messages(MIXED, Detail.ALL, NOW, hid=True).body)
    assert [each["receipt"] for each in found] == [each.receipt for each in MIXED]
