"""What a store is filled with, and what that is found to take."""

from itertools import chain

import pytest

from bench.footprint import BATCH, BODY, IDS, Filled, batches


@pytest.mark.parametrize("ids", list(IDS))
def test_there_are_as_many_messages_as_were_asked_for_and_no_two_are_the_same(ids):
    found = list(chain.from_iterable(batches(2 * BATCH + 1, ids)))
    assert len(found) == 2 * BATCH + 1
    assert len({id for id, _ in found}) == len({body for _, body in found}) == len(found)


def test_each_body_has_the_size_that_is_told():
    assert {len(body) for batch in batches(10, "short") for _, body in batch} == {BODY}


def test_a_batch_is_what_one_request_takes():
    assert [len(batch) for batch in batches(BATCH + 1, "short")] == [BATCH, 1]


def test_ids_are_as_they_are_called():
    assert [id for batch in batches(3, "short") for id, _ in batch] == ["0", "1", "2"]
    assert {len(id) for batch in batches(3, "uuid") for id, _ in batch} == {32}


def test_what_was_there_before_is_not_the_messages():
    assert Filled(before=1_000_000, after=3_000_000).taken == 2.0
