"""A message as a row, and back: what was damaged in between is never handed out."""

from __future__ import annotations

from typing import Any

import pytest

from leveret.model import NEVER
from leveret.store.sqlite.rows import (
    BODY,
    VISIBLE_AT,
    DamagedMessage,
    checksum,
    count_hidden,
    message,
    messages,
    size_of,
)

QUEUE = 7


def whole(**changed: Any) -> tuple[Any, ...]:
    """A row in the columns `WHOLE`; what is changed is changed after its checksum was made."""
    made = {
        "sequence": 5,
        "id": "1",
        "created": 100.0,
        "expires": None,
        "visible_at": 0.0,
        "deliveries": 1,
        "body": b"body",
        "meta": None,
        "checksum": checksum(QUEUE, "1", b"body", None),
    }
    return tuple({**made, **changed}.values())


def without_body(size: int) -> tuple[Any, ...]:
    return (*whole()[:BODY], size, None, None)


def test_all_of_it_is_read() -> None:
    found = message(whole(visible_at=130.0), QUEUE)
    assert (found.sequence, found.id, found.body, found.deliveries) == (5, "1", b"body", 1)
    assert (found.created, found.expires, found.visible_at, found.meta) == (100.0, NEVER, 130.0, None)


def test_where_no_body_is_wanted_there_is_none() -> None:
    assert message(without_body(4), QUEUE).body == b""


@pytest.mark.parametrize("found", [whole(), without_body(4)])
def test_the_size_is_known_with_and_without_the_body(found: tuple[Any, ...]) -> None:
    assert size_of(found) == 4


@pytest.mark.parametrize(
    "changed", [{"body": b"bodY"}, {"body": None}, {"body": 4}, {"id": "2"}, {"meta": b"{}"}, {"checksum": 1}]
)
def test_what_is_damaged_is_not_handed_out(changed: dict[str, Any]) -> None:
    with pytest.raises(DamagedMessage):
        messages([whole(), whole(**changed)], QUEUE)


def test_another_queues_message_is_not_handed_out() -> None:
    with pytest.raises(DamagedMessage):
        message(whole(), QUEUE + 1)


def test_those_are_hidden_that_have_a_time_to_reappear() -> None:
    found = [whole(visible_at=130.0), whole(), whole(visible_at=1.0)]
    assert count_hidden(found) == 2
    assert [each[VISIBLE_AT] for each in found] == [130.0, 0.0, 1.0]
