"""A claim: deleted where its block ends, released where that fails, kept while it runs, and never another's."""

import pytest

from leveret.client import LeaseLost, Unavailable, exponential
from leveret.client.calls import Unanswered, Unsent
from support.scripted import found, problem, reply, scripted

LOST = problem(409, "lease-lost")
GONE = problem(404, "no-such-message")


def claimed(*script, **options):
    client, transport, pauses = scripted(reply(200, [found("1", deliveries=3, receipt="r1")]), *script)
    claim = client.queue("a", "q").claim(60, **options)
    transport.calls.clear()
    return claim, transport, pauses


def test_a_claim_that_is_left_normally_deletes_its_message(queue):
    queue.put("work", id="1", headers={"n": "1"}, content_type="text/plain")
    with queue.claim() as claim:
        assert (claim.id, claim.body, claim.text, claim.deliveries) == ("1", b"work", "work", 1)
        assert (dict(claim.headers), claim.content_type) == ({"n": "1"}, "text/plain")
        assert queue.claim() is None
    assert queue.get("1") is None


def test_a_claim_that_is_left_by_an_exception_releases_its_message(queue):
    queue.put("work", id="1")
    with pytest.raises(ZeroDivisionError), queue.claim():
        raise ZeroDivisionError
    claim = queue.claim(keep=False)
    assert claim.deliveries == 2
    claim.extend(600)
    assert 590 < queue.get("1").hide <= 600
    claim.release(300)
    assert 290 < queue.get("1").hide <= 300


def test_a_claim_that_lost_its_lease_leaves_the_message_to_others(queue):
    queue.put("work", id="1")
    late = queue.claim(keep=False)
    late_too = queue.claim_many(1, keep=False)
    assert late_too == []
    queue.change("1", hide=0)
    other = queue.claim(keep=False)
    for what in (late.delete, late.release, lambda: late.extend(5)):
        with pytest.raises(LeaseLost):
            what()
    assert late.lost
    assert not other.lost
    with pytest.raises(ZeroDivisionError), late:
        raise ZeroDivisionError
    with pytest.raises(LeaseLost), late:
        pass
    other.delete()
    assert queue.get("1") is None


def test_many_are_claimed_at_once_and_each_is_its_own(queue):
    queue.put_many([*"123"])
    first, second = queue.claim_many(2, keep=False)
    first.delete()
    second.release()
    assert [message.body for message in queue.messages()] == [b"2", b"3"]


def test_claims_come_one_after_the_other(queue):
    queue.put_many([*"12"])
    seen = []
    for claim in queue.claims():
        with claim:
            seen.append(claim.text)
        if len(seen) == 2:
            break
    assert seen == ["1", "2"]
    assert queue.stats() is None


@pytest.mark.parametrize(("backoff", "hide"), [(0, 0), (7, 7), (exponential, 4), (lambda message: 9, 9)])
def test_a_failure_is_followed_by_the_back_off(backoff, hide):
    claim, transport, _ = claimed(reply(200, found("1")), backoff=backoff)
    with pytest.raises(ZeroDivisionError), claim:
        raise ZeroDivisionError
    assert transport.asked == [f"POST /v1.1/a/q/1?hide={hide}&receipt=r1"]


def test_the_exponential_back_off_doubles_up_to_five_minutes():
    class Delivered:
        def __init__(self, deliveries):
            self.deliveries = deliveries

    assert [exponential(Delivered(number)) for number in (0, 1, 2, 3, 9, 10, 10**9)] == [1, 1, 2, 4, 256, 300, 300]


def test_the_error_of_the_block_is_what_counts_where_the_release_fails():
    claim, _, _ = claimed(problem(500, "internal"))
    with pytest.raises(ZeroDivisionError), claim:
        raise ZeroDivisionError


@pytest.mark.parametrize("act", ["delete", "release"])
def test_what_was_done_within_the_block_is_not_done_again_at_its_end(act):
    claim, transport, _ = claimed(reply(204))
    with claim:
        getattr(claim, act)()
    assert len(transport.asked) == 1
    with pytest.raises(LeaseLost, match="was deleted or released before"):
        claim.delete()


def test_a_message_that_is_gone_is_a_lease_that_is_lost():
    claim, _, _ = claimed(GONE)
    with pytest.raises(LeaseLost, match="'1' is gone"):
        claim.delete()
    assert claim.lost


def test_a_delete_whose_answer_was_lost_is_done():
    claim, transport, _ = claimed(Unanswered(""), GONE)
    claim.delete()
    assert transport.asked == ["DELETE /v1.1/a/q/1?receipt=r1"] * 2
    assert not claim.lost


def test_a_release_whose_answer_was_lost_is_done():
    claim, transport, _ = claimed(Unanswered(""), LOST)
    claim.release()
    assert transport.asked == ["POST /v1.1/a/q/1?hide=0&receipt=r1"] * 2
    assert not claim.lost


def test_each_extension_takes_the_receipt_of_the_one_before():
    claim, transport, _ = claimed(
        reply(200, found("1", receipt="r2")), reply(200, found("1", receipt="r3")), reply(204)
    )
    claim.extend(90)
    assert claim.prolong()
    claim.delete()
    assert [call.target.rpartition("/")[2] for call in transport.calls] == [
        "1?hide=90&receipt=r1&detail=attributes",
        "1?hide=90&receipt=r2&detail=attributes",
        "1?receipt=r3",
    ]


def test_an_extension_by_itself_is_tried_once_and_in_time():
    claim, transport, pauses = claimed(Unanswered("no answer"))
    assert claim.prolong() is None
    assert (transport.calls[0].patience, pauses, claim.lost) == (10.0, [], False)


def test_a_lease_that_was_lost_while_the_block_ran_is_told_at_its_end():
    claim, transport, _ = claimed(LOST)
    with pytest.raises(LeaseLost, match="claim for longer"), claim:
        claim.prolong()
    assert claim.lost
    assert claim.prolong() is False
    assert len(transport.asked) == 1


def test_a_lease_that_is_extended_by_less_is_kept_by_less():
    claim, _, _ = claimed(reply(200, found("1", receipt="r2")), reply(204))
    keeper = claim._client.keeper
    with claim:
        claim.extend(15)
        (due,) = [entry[0] for entry in keeper._heap if entry[1] in keeper._kept]
        assert due - keeper._clock() <= 5
    claim._client.close()


def test_an_extension_of_nothing_is_refused():
    claim, _, _ = claimed()
    with pytest.raises(ValueError, match="from 1 to"):
        claim.extend(0)


def test_a_delete_that_could_not_be_sent_can_be_tried_again():
    claim, _, _ = claimed(*[Unanswered("")] * 4, reply(204))
    with pytest.raises(Unavailable):
        claim.delete()
    claim.delete()


@pytest.mark.parametrize("keep", [True, False])
def test_the_lease_is_kept_while_the_block_runs_where_it_is_to_be(keep):
    claim, _, _ = claimed(reply(204), keep=keep)
    keeper = claim._client.keeper
    with claim:
        assert len(keeper._kept) == keep
    assert not keeper._kept
    claim._client.close()


def test_the_end_of_a_block_is_told_for_as_long_as_the_lease_may_last():
    away = [Unsent("away")] * 4
    claim, transport, pauses = claimed(*away, *away, reply(204))
    with claim:
        pass
    assert [call.method for call in transport.calls] == ["DELETE"] * 9
    assert sum(pauses) < 60
    assert not transport.script


def test_the_end_of_a_block_is_told_no_longer_than_that():
    claim, _, pauses = claimed(*[Unsent("away")] * 1000)
    with pytest.raises(Unavailable), claim:
        pass
    assert 60 <= sum(pauses) < 120


def test_the_end_of_a_block_whose_answer_was_lost_is_not_taken_for_a_lost_lease():
    claim, transport, _ = claimed(*[Unanswered("cut")] * 4, GONE)
    with claim:
        pass
    assert not claim.lost
    assert not transport.script


@pytest.mark.parametrize(
    ("backoff", "hide"), [(0.5, 1), (lambda message: 2.25, 3), (lambda message: 1 / 0, 1), (-5, 0)]
)
def test_a_back_off_is_whole_seconds_and_hides_no_error(backoff, hide):
    claim, transport, _ = claimed(reply(204), backoff=backoff)
    with pytest.raises(OSError, match="the work"), claim:
        raise OSError("the work")
    assert f"hide={hide}&" in transport.calls[0].target + "&"


def test_a_claim_that_the_service_has_no_time_for_is_deleted_when_it_says():
    claim, _, pauses = claimed(problem(429, "too-many-requests", retry_after="40"), reply(204), keep=False)
    with claim:
        pass
    assert pauses == [40]
    assert claim.over


@pytest.mark.parametrize("refusal", [problem(401, "unauthenticated"), problem(403, "forbidden")])
def test_a_lease_is_not_extended_with_a_key_that_is_refused(refusal):
    claim, _, _ = claimed(refusal)
    assert claim.prolong() is False
    assert not claim.lost
