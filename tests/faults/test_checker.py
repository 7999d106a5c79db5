"""The checker, held to made-up histories: it must name each kind of violation, and report nothing that is allowed."""

from __future__ import annotations

import time
from typing import Literal

import pytest

from faults.checker import Report, check
from faults.history import Answer, Counts, Found, Handed, History, Put

Q = "q"
HIDE = 600.0


class Clock:
    """Each look at it takes a millisecond, so that no two moments are the same."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(clock: Clock) -> History:
    return History(clock)


def body(id: str) -> bytes:
    return f"the body of {id}".encode()


def begin_put(history: History, *ids: str) -> Put:
    return history.put(Q, *((id, body(id)) for id in ids))


def put(history: History, *ids: str) -> None:
    """One after another."""
    for id in ids:
        begin_put(history, id).ok()


def handed(*ids: str, lease: int = 1) -> list[Handed]:
    return [Handed(id, body(id), f"{id}.{lease}") for id in ids]


def claim(history: History, *ids: str, hide: float = HIDE, lease: int = 1, limit: int | None = None) -> None:
    history.claim(Q, hide, limit or len(ids)).ok(handed(*ids, lease=lease))


def pop(history: History, *ids: str) -> None:
    history.pop(Q, len(ids)).ok(handed(*ids))


def delete(history: History, id: str, receipt: str | None = None, answer: Answer = "done") -> None:
    history.delete(Q, [id], None if receipt is None else [receipt]).ok([answer])


def extend(history: History, id: str, receipt: str, seconds: float = HIDE, answer: Answer = "done") -> None:
    history.hide(Q, [id], [receipt], seconds).ok([answer])


def release(history: History, id: str, receipt: str, answer: Answer = "done") -> None:
    extend(history, id, receipt, 0, answer)


def drain(
    history: History,
    *ids: str,
    hidden: tuple[str, ...] = (),
    counts: Counts | Literal["true"] | None = "true",
    queue: str = Q,
) -> None:
    found = [Found(id, body(id), 7 if id in hidden else 0) for id in ids]
    if counts == "true":
        counts = Counts(len(found), len(hidden), sum(len(each.body) for each in found)) if found else None
    history.drain(queue).ok(found, counts)


def judged(history: History, *ids: str, hidden: tuple[str, ...] = ()) -> list[str]:
    drain(history, *ids, hidden=hidden)
    return check(history).violations


# What is as it must be.


def test_all_is_well(history: History) -> None:
    put(history, "1", "2", "3", "4", "5")
    claim(history, "1", "2")
    extend(history, "1", "1.1")
    release(history, "2", "2.1")
    claim(history, "2", lease=2)
    delete(history, "2", "2.1", "held")
    delete(history, "2", "2.2")
    pop(history, "3")
    delete(history, "4")
    delete(history, "4", answer="gone")
    drain(history, "1", "5", hidden=("1",))
    report = check(history)
    assert report == Report(operations=15, puts=5, handed=4, drained=2)
    report.assert_whole()


def test_a_report_adds_up(history: History) -> None:
    begin_put(history, "1")
    put(history, "2")
    drain(history, "1")
    report = Report()
    for _ in range(2):
        report.add(check(history))
    assert (report.puts, report.unknown, report.recovered, report.kinds) == (2, 2, 2, {"lost"})
    with pytest.raises(AssertionError, match="2 violations after kill 3\nlost: 2 in q is missing"):
        report.assert_whole("after kill 3")


# What may be so.


@pytest.mark.parametrize("there", [("1",), ()])
def test_a_put_without_an_answer_may_have_happened_or_not(history: History, there: tuple[str, ...]) -> None:
    begin_put(history, "1")
    assert judged(history, *there) == []


@pytest.mark.parametrize("there", [("1", "2"), ()])
def test_a_put_of_many_without_an_answer_may_have_happened_or_not(history: History, there: tuple[str, ...]) -> None:
    begin_put(history, "1", "2")
    assert judged(history, *there) == []


@pytest.mark.parametrize("there", [("1",), ()])
def test_a_delete_without_an_answer_may_have_happened_or_not(history: History, there: tuple[str, ...]) -> None:
    put(history, "1")
    history.delete(Q, ["1"])
    assert judged(history, *there) == []


@pytest.mark.parametrize("hidden", [("1",), ("2",), ()])
def test_a_claim_without_an_answer_may_have_hidden_one(history: History, hidden: tuple[str, ...]) -> None:
    put(history, "1", "2")
    history.claim(Q, HIDE)
    assert judged(history, "1", "2", hidden=hidden) == []


def test_a_claim_without_an_answer_may_be_why_another_gets_what_comes_later(history: History) -> None:
    put(history, "1", "2", "3")
    history.claim(Q, HIDE, limit=2)
    claim(history, "3")
    assert judged(history, "1", "2", "3", hidden=("1", "2", "3")) == []


@pytest.mark.parametrize("there", [("1", "2"), ("2",), ()])
def test_a_pop_without_an_answer_may_have_taken_what_it_asked_for(history: History, there: tuple[str, ...]) -> None:
    put(history, "1", "2")
    history.pop(Q, 2)
    assert judged(history, *there) == []


def test_a_delete_may_find_nothing_after_a_pop_without_an_answer(history: History) -> None:
    put(history, "1")
    history.pop(Q)
    delete(history, "1", answer="gone")
    assert judged(history) == []


@pytest.mark.parametrize("there", [("1", "2"), ("2", "1")])
def test_what_was_put_at_the_same_time_may_be_in_either_order(history: History, there: tuple[str, ...]) -> None:
    puts = [begin_put(history, id) for id in ("1", "2")]
    for each in puts:
        each.ok()
    claim(history, there[0])
    assert judged(history, *there, hidden=there[:1]) == []


def test_a_lease_that_ran_out_hides_no_more(history: History, clock: Clock) -> None:
    put(history, "1")
    claim(history, "1", hide=2)
    clock.now += 2
    claim(history, "1", hide=2, lease=2)
    delete(history, "1", "1.1", "held")
    clock.now += 3
    delete(history, "1", "1.2", "held")
    assert judged(history, "1") == []


def test_about_the_end_of_a_lease_its_receipt_may_be_good_or_not(history: History, clock: Clock) -> None:
    put(history, "1", "2")
    claim(history, "1", "2", hide=2)
    clock.now += 2
    delete(history, "1", "1.1", "held")
    delete(history, "2", "2.1")
    assert judged(history, "1") == []


@pytest.mark.parametrize("hidden", [("1",), ()])
def test_a_release_without_an_answer_may_have_happened_or_not(history: History, hidden: tuple[str, ...]) -> None:
    put(history, "1", "2")
    claim(history, "1")
    history.hide(Q, ["1"], ["1.1"], 0)
    claim(history, "2")
    assert judged(history, "1", "2", hidden=(*hidden, "2")) == []


def test_what_may_have_been_released_may_be_claimed(history: History) -> None:
    put(history, "1")
    claim(history, "1")
    history.hide(Q, ["1"], ["1.1"], 0)
    claim(history, "1", lease=2)
    assert judged(history, "1", hidden=("1",)) == []


def test_of_two_deletes_under_way_one_finds_nothing(history: History) -> None:
    put(history, "1")
    first = history.delete(Q, ["1"])
    delete(history, "1", answer="gone")
    first.ok()
    assert judged(history) == []


def test_a_message_may_be_claimed_before_its_put_is_answered(history: History) -> None:
    first = begin_put(history, "1")
    claim(history, "1")
    delete(history, "1", "1.1")
    first.ok()
    assert judged(history) == []


def test_a_delete_before_the_put_finds_nothing(history: History) -> None:
    first = begin_put(history, "1")
    delete(history, "1", answer="gone")
    first.ok()
    assert judged(history, "1") == []


def test_a_claim_may_be_under_way_while_the_lease_before_it_ends(history: History, clock: Clock) -> None:
    put(history, "1")
    claim(history, "1", hide=2)
    waiting = history.claim(Q, HIDE)
    clock.now += 2
    waiting.ok(handed("1", lease=2))
    assert judged(history, "1", hidden=("1",)) == []


def test_what_a_claim_under_way_may_have_is_not_passed_by(history: History) -> None:
    put(history, "1", "2")
    other = history.claim(Q, HIDE)
    claim(history, "2")
    other.ok(handed("1"))
    assert judged(history, "1", "2", hidden=("1", "2")) == []


def test_a_hidden_message_may_be_counted_as_either_when_its_lease_ends(history: History, clock: Clock) -> None:
    put(history, "1")
    claim(history, "1", hide=2)
    clock.now += 2
    drain(history, "1", counts=Counts(1, 1, len(body("1"))))
    assert check(history).violations == []


def test_what_was_under_way_in_a_crash_does_not_happen_after_it(history: History) -> None:
    first = begin_put(history, "1")
    history.crash()
    assert first.outcome == "unknown"
    put(history, "2")
    drain(history, "2", "1")
    assert check(history).violations == [
        "out of order: 1 in q comes after 2, which was put when it had been acknowledged"
    ]


def test_a_queue_that_was_forgotten_is_a_new_one(history: History) -> None:
    put(history, "1")
    drain(history, "1")
    history.forget(Q)
    assert history.queues() == []
    put(history, "2")
    assert judged(history, "2") == []


# What must not be.


def test_lost_where_a_put_that_was_acknowledged_is_missing(history: History) -> None:
    put(history, "1", "2")
    assert judged(history, "1") == ["lost: 2 in q is missing: its PUT was acknowledged, and nobody deleted it"]


def test_lost_where_a_put_without_an_answer_was_seen_and_is_missing(history: History) -> None:
    begin_put(history, "1")
    claim(history, "1")
    assert judged(history) == ["lost: 1 in q is missing: it was seen, and nobody deleted it"]


def test_lost_where_more_are_missing_than_pops_without_an_answer_can_have_taken(history: History) -> None:
    put(history, "1", "2", "3")
    history.pop(Q, 2)
    drain(history)
    assert len(check(history).lost) == 3


def test_lost_where_a_part_of_a_put_of_many_is_missing(history: History) -> None:
    begin_put(history, "1", "2")
    assert judged(history, "2") == ["lost: 1 in q is missing: it is one of 2, all or none, and nobody deleted it"]


@pytest.mark.parametrize("seconds", [None, 0.0])
def test_lost_where_a_change_finds_nothing_though_nobody_deleted_it(history: History, seconds: float | None) -> None:
    put(history, "1")
    change = history.delete(Q, ["1"]) if seconds is None else history.hide(Q, ["1"], None, seconds)
    change.ok(["gone"])
    drain(history, "1")
    assert check(history).lost[0].endswith(" of 1 in q found nothing, though nobody else deleted it")


def test_unexpected_where_a_message_was_never_put(history: History) -> None:
    claim(history, "1")
    delete(history, "2")
    assert judged(history, "3") == [
        "unexpected: 2 in q was never put, and could be changed by its id",
        "unexpected: 1 in q was handed out, and was never put",
        "unexpected: 3 in q is there, and was never put",
    ]


def test_unexpected_where_a_put_that_was_refused_is_there(history: History) -> None:
    begin_put(history, "1").fail()
    assert judged(history, "1") == ["unexpected: 1 in q is there, and its PUT was refused"]


def test_unexpected_where_a_message_is_handed_out_before_it_is_put(history: History) -> None:
    claim(history, "1")
    put(history, "1")
    assert judged(history, "1", hidden=("1",)) == ["unexpected: 1 in q was handed out, before it was put"]


def test_unexpected_where_nobody_can_have_hidden_what_is_hidden(history: History) -> None:
    put(history, "1", "2")
    history.claim(Q, HIDE)
    assert judged(history, "1", "2", hidden=("1", "2")) == [
        "unexpected: 1, 2 in q are hidden, 2, and claims can have hidden 1 at most"
    ]


def test_unexpected_where_an_answer_is_none_that_may_be(history: History) -> None:
    begin_put(history, "1").surprise("PUT of 1 was answered with 204")
    assert judged(history, "1") == ["unexpected: PUT of 1 was answered with 204"]


def test_duplicated_where_a_message_is_there_twice(history: History) -> None:
    put(history, "1")
    assert judged(history, "1", "1") == ["duplicated: 1 in q is there 2 times"]


def test_duplicated_where_a_message_is_twice_in_one_answer(history: History) -> None:
    put(history, "1")
    claim(history, "1", "1")
    assert judged(history, "1", hidden=("1",)) == ["duplicated: 1 in q is twice in one answer"]


def test_duplicated_where_a_message_is_deleted_twice(history: History) -> None:
    put(history, "1")
    delete(history, "1")
    delete(history, "1")
    assert judged(history) == ["duplicated: 1 in q was deleted 2 times, each time with success"]


def test_duplicated_where_a_message_is_popped_twice(history: History) -> None:
    put(history, "1")
    pop(history, "1")
    pop(history, "1")
    assert judged(history) == ["duplicated: 1 in q was handed out again after it had been popped"]


def test_duplicated_where_a_message_is_handed_out_after_its_delete(history: History) -> None:
    put(history, "1")
    delete(history, "1")
    claim(history, "1")
    assert judged(history) == ["duplicated: 1 in q was handed out after its delete had been acknowledged"]


@pytest.mark.parametrize("by", ["delete", "pop", "another's delete"])
def test_duplicated_where_what_was_deleted_has_come_back(history: History, by: str) -> None:
    put(history, "1")
    if by == "pop":
        pop(history, "1")
    elif by == "delete":
        delete(history, "1")
    else:
        history.delete(Q, ["1"])
        delete(history, "1", answer="gone")
    assert judged(history, "1") == ["duplicated: 1 in q has come back: it had been deleted"]


def test_early_redelivered_where_a_lease_has_not_ended(history: History, clock: Clock) -> None:
    put(history, "1")
    claim(history, "1", hide=10)
    clock.now += 9
    claim(history, "1", lease=2)
    assert judged(history, "1", hidden=("1",)) == [
        "early redelivered: 1 in q was handed out again 0.997 s before its lease ended"
    ]


def test_early_redelivered_where_two_claims_at_once_have_the_same_message(history: History) -> None:
    put(history, "1")
    claims = [history.claim(Q, HIDE) for _ in range(2)]
    for lease, each in enumerate(claims):
        each.ok(handed("1", lease=lease))
    report = check(history)
    assert report.kinds == {"early_redelivered"}


def test_early_redelivered_where_a_pop_has_what_is_claimed(history: History) -> None:
    put(history, "1")
    claim(history, "1")
    pop(history, "1")
    assert check(history).kinds == {"early_redelivered"}


def test_early_redelivered_where_a_lease_was_extended(history: History, clock: Clock) -> None:
    put(history, "1")
    claim(history, "1", hide=10)
    clock.now += 5
    extend(history, "1", "1.1", 10)
    clock.now += 7
    claim(history, "1", lease=2)
    assert check(history).kinds == {"early_redelivered"}


def test_early_redelivered_where_a_claimed_message_is_visible_at_the_end(history: History) -> None:
    put(history, "1")
    claim(history, "1")
    drain(history, "1")
    assert check(history).violations == [
        "early redelivered: 1 in q is visible: an acknowledged claim hides it for 599.997 s more"
    ]


def test_out_of_order_where_a_queue_is(history: History) -> None:
    put(history, "1", "2")
    assert judged(history, "2", "1") == [
        "out of order: 1 in q comes after 2, which was put when it had been acknowledged"
    ]


def test_out_of_order_where_a_put_of_many_is(history: History) -> None:
    begin_put(history, "1", "2").ok()
    assert check(history).violations == []
    drain(history, "2", "1")
    assert check(history).kinds == {"out_of_order"}


def test_out_of_order_where_one_answer_is(history: History) -> None:
    put(history, "1", "2")
    claim(history, "2", "1")
    assert check(history).kinds == {"out_of_order"}


@pytest.mark.parametrize("what", ["claim", "pop"])
def test_out_of_order_where_what_is_visible_is_passed_by(history: History, what: str) -> None:
    put(history, "1", "2")
    (claim if what == "claim" else pop)(history, "2")
    drain(history, "1", *(["2"] if what == "claim" else []), hidden=("2",) if what == "claim" else ())
    assert check(history).violations == [f"out of order: a {what} got 2, and passed 1 in q by, whose turn it was"]


def test_out_of_order_where_a_claim_finds_nothing_though_something_is_visible(history: History) -> None:
    put(history, "1")
    history.claim(Q, HIDE).ok([])
    assert judged(history, "1") == ["out of order: a claim found nothing, and passed 1 in q by, whose turn it was"]


def test_out_of_order_where_what_was_released_is_passed_by(history: History, clock: Clock) -> None:
    put(history, "1", "2")
    claim(history, "1")
    release(history, "1", "1.1")
    clock.now += 1
    claim(history, "2")
    drain(history, "1", "2", hidden=("2",))
    assert check(history).kinds == {"out_of_order"}


def test_out_of_order_where_more_are_passed_by_than_claims_without_an_answer_can_have(history: History) -> None:
    put(history, "1", "2", "3")
    history.claim(Q, HIDE)
    claim(history, "3")
    assert [each.split(",")[0] for each in judged(history, "1", "2", "3", hidden=("1", "3"))] == [
        "out of order: a claim got 3"
    ]


@pytest.mark.parametrize("what", ["delete", "extend"])
def test_stale_accepted_where_another_has_claimed_it_since(history: History, clock: Clock, what: str) -> None:
    put(history, "1")
    claim(history, "1", hide=2)
    clock.now += 2
    claim(history, "1", lease=2)
    (delete if what == "delete" else extend)(history, "1", "1.1")
    report = check(history)
    assert report.kinds == {"stale_accepted"}
    assert report.stale_accepted[0].endswith("of 1 in q was done by the receipt of an earlier lease")


def test_stale_accepted_where_a_lease_has_ended(history: History, clock: Clock) -> None:
    put(history, "1")
    claim(history, "1", hide=2)
    clock.now += 3
    delete(history, "1", "1.1")
    assert judged(history) == [
        "stale accepted: the DELETE of 1 in q was done by a receipt whose lease had ended 1.001 s before"
    ]


def test_stale_accepted_where_a_lease_was_released(history: History, clock: Clock) -> None:
    put(history, "1")
    claim(history, "1")
    release(history, "1", "1.1")
    clock.now += 1
    release(history, "1", "1.1")
    assert check(history).kinds == {"stale_accepted"}


def test_stale_accepted_where_nobody_was_given_the_receipt(history: History) -> None:
    put(history, "1")
    delete(history, "1", "1.1")
    assert judged(history) == ["stale accepted: the DELETE of 1 in q was done with a receipt that nobody was given"]


@pytest.mark.parametrize("extended", [True, False])
def test_stale_accepted_where_a_good_receipt_is_not(history: History, clock: Clock, extended: bool) -> None:
    put(history, "1")
    claim(history, "1", hide=10)
    if extended:
        clock.now += 9
        extend(history, "1", "1.1", 10)
    clock.now += 9
    delete(history, "1", "1.1", "held")
    assert judged(history, "1", hidden=("1",)) == [
        "stale accepted: the DELETE of 1 in q was refused, though its receipt was good"
    ]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(3, 1, 30), "miscounted: q has 2 messages, and is said to have 3"),
        (Counts(2, 1, 31), "miscounted: q has 30 bytes, and is said to have 31"),
        (Counts(2, 2, 30), "miscounted: q has 1 hidden messages, and is said to have 2"),
        (Counts(2, 0, 30), "miscounted: q has 1 hidden messages, and is said to have 0"),
        (None, "miscounted: q has 2 messages, and is not listed"),
    ],
)
def test_miscounted_where_a_server_says_other_than_there_is(history: History, counts: Counts, said: str) -> None:
    put(history, "100", "200")
    claim(history, "100")
    drain(history, "100", "200", hidden=("100",), counts=counts)
    assert check(history).violations == [said]


def test_miscounted_where_an_empty_queue_is_listed_with_messages(history: History) -> None:
    drain(history, counts=Counts(1, 0, 0))
    assert check(history).violations == ["miscounted: q has 0 messages, and is said to have 1"]


def test_spoiled_where_a_body_is_another(history: History) -> None:
    put(history, "1")
    history.claim(Q, HIDE).ok([Handed("1", b"other")])
    history.drain(Q).ok([Found("1", b"others", 7)], Counts(1, 1, 6))
    assert check(history).violations == [
        "spoiled: 1 in q was handed out, and its body, of 5 bytes, is not the one that was put",
        "spoiled: 1 in q is there, and its body, of 6 bytes, is not the one that was put",
    ]


def test_a_put_of_an_id_that_was_put_before_is_refused_by_the_checker(history: History) -> None:
    put(history, "1", "1")
    with pytest.raises(ValueError, match="1 in q was put twice"):
        check(history)


# Where the last may be lost.


def normal(history: History) -> list[str]:
    return check(history, may_lose_the_last=True).violations


def test_the_last_may_be_lost_all_from_one_moment_on(history: History) -> None:
    put(history, "1", "2")
    claim(history, "1")
    delete(history, "1", "1.1")
    put(history, "3")
    drain(history, "1", "2")
    assert len(check(history).violations) == 2
    assert normal(history) == []


def test_an_earlier_one_may_not_be_lost_where_a_later_one_is_there(history: History) -> None:
    put(history, "1", "2")
    drain(history, "2")
    loss = "1 in q is missing: its PUT was acknowledged, and nobody deleted it"
    assert normal(history) == [
        f"lost: {loss}",
        f"lost: 2 in q is there, and was put when that which is lost had been acknowledged: {loss}",
    ]


def test_an_earlier_one_may_not_be_lost_though_it_is_in_another_queue(history: History) -> None:
    history.put("other", ("0", b"")).ok()
    put(history, "1")
    drain(history, queue="other")
    drain(history, "1")
    assert any("lost: 1 in q is there" in each for each in normal(history))


def test_a_delete_may_not_be_undone_where_a_later_put_is_there(history: History) -> None:
    put(history, "1")
    delete(history, "1")
    put(history, "2")
    drain(history, "1", "2")
    assert any("has come back" in each for each in normal(history))


def test_what_was_never_put_is_there_in_no_case(history: History) -> None:
    drain(history, "1")
    assert check(history, may_lose_the_last=True).kinds == {"unexpected"}


# How long it takes.


def test_sixty_thousand_operations_are_judged_in_a_moment() -> None:
    """Near linear: with what is quadratic, this would take minutes."""
    history = History()
    many = 20_000
    for number in range(many):
        history.put(Q, (str(number), b"")).ok()
    history.claim(Q, HIDE, limit=5)  # without an answer
    for number in range(5, many, 2):
        take = history.claim(Q, HIDE, limit=2)
        take.ok([Handed(str(each), b"", f"{each}.1") for each in (number, number + 1) if each < many])
        for each in (number, number + 1):
            if each < many:
                held = history.hide(Q, [str(each)], [f"{each}.1"], HIDE)
                held.ok()
                history.delete(Q, [str(each)], [f"{each}.1"]).ok()
    history.drain(Q).ok([Found(str(number), b"", 600) for number in range(5)], Counts(5, 5, 0))
    began = time.process_time()
    report = check(history)
    assert report.violations == []
    assert report.operations > 2.5 * many
    assert time.process_time() - began < 20  # seconds
