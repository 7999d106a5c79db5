"""Answers that are ready, or are still to come."""

import gc
import weakref

import pytest

from scalestack.event.pending import Cancelled, Pending, gather, then


def test_a_ready_answer_goes_straight_to_the_next_step():
    assert then(20, lambda number: number + 1) == 21


def test_a_pending_answer_reaches_its_listener_when_it_comes():
    pending: Pending[int] = Pending()
    heard = []
    pending.listen(lambda value, error: heard.append((value, error)))
    assert heard == []
    pending.resolve(7)
    assert heard == [(7, None)]


def test_a_listener_that_comes_late_hears_at_once():
    pending: Pending[int] = Pending()
    pending.resolve(7)
    heard = []
    pending.listen(lambda value, error: heard.append(value))
    assert heard == [7]


def test_only_the_first_answer_counts():
    pending: Pending[int] = Pending()
    pending.resolve(1)
    pending.resolve(2)
    pending.fail(ValueError())
    heard = []
    pending.listen(lambda value, error: heard.append((value, error)))
    assert heard == [(1, None)]


def test_steps_follow_each_other_and_may_be_pending_themselves():
    first: Pending[int] = Pending()
    second: Pending[str] = Pending()
    heard = []
    first.then(lambda number: number + 1).then(lambda number: second if number == 3 else "no").listen(
        lambda value, error: heard.append(value)
    )
    first.resolve(2)
    assert heard == []
    second.resolve("yes")
    assert heard == ["yes"]


def test_an_error_passes_by_the_steps():
    pending: Pending[int] = Pending()
    heard = []
    error = ValueError("no")
    pending.then(lambda number: number + 1).listen(lambda value, problem: heard.append(problem))
    pending.fail(error)
    assert heard == [error]


def test_a_step_that_raises_fails_the_answer():
    pending: Pending[int] = Pending()
    heard = []
    pending.then(lambda number: 1 // number).listen(lambda value, problem: heard.append(type(problem)))
    pending.resolve(0)
    assert heard == [ZeroDivisionError]


def test_cancelling_reaches_back_to_the_source_and_nobody_hears():
    cancelled = []
    source: Pending[int] = Pending(lambda: cancelled.append(True))
    last = source.then(lambda number: number).then(lambda number: number)
    last.listen(lambda value, error: pytest.fail("nobody is there to hear"))
    assert last.cancel()
    assert cancelled == [True]
    source.resolve(1)


def test_cancelling_reaches_what_a_step_waits_for():
    cancelled = []
    source: Pending[int] = Pending()
    last = source.then(lambda number: Pending(lambda: cancelled.append(number)))
    last.listen(lambda value, error: pytest.fail("nobody is there to hear"))
    source.resolve(1)
    assert last.cancel()
    assert cancelled == [1]


def test_what_was_cancelled_too_early_is_cancelled_as_soon_as_it_can_be():
    cancelled = []
    heard = []
    source: Pending[int] = Pending()
    last = source.then(lambda number: Pending(lambda: cancelled.append(number)))
    last.listen(lambda value, error: heard.append((value, type(error))))
    assert not last.cancel()
    source.resolve(1)
    assert cancelled == [1]
    assert heard == [(None, Cancelled)]


def test_a_step_for_an_answer_that_is_there_is_taken_at_once():
    pending: Pending[int] = Pending()
    pending.resolve(1)
    heard = []
    pending.then(lambda number: number + 1).then(str).listen(lambda value, error: heard.append(value))
    assert heard == ["2"]


def ended(end):
    """A reference to an answer that came to this end, and had a step that refers to it."""
    answer = Pending(lambda: True)
    answer.then(lambda value: value if answer.unwanted else None)
    end(answer)
    return weakref.ref(answer)


@pytest.mark.parametrize(
    "end", [lambda answer: answer.resolve(1), lambda answer: answer.fail(OSError()), Pending.cancel]
)
def test_a_step_that_refers_to_its_answer_does_not_keep_it(end):
    gc.disable()
    try:
        assert ended(end)() is None
    finally:
        gc.enable()


def test_what_can_not_be_called_back_is_not_cancelled():
    pending: Pending[int] = Pending()
    assert not pending.cancel()
    heard = []
    pending.listen(lambda value, error: heard.append(value))
    pending.resolve(1)
    assert heard == [1]


def test_an_answer_has_one_listener():
    pending: Pending[int] = Pending()
    pending.listen(lambda value, error: None)
    with pytest.raises(RuntimeError, match="one listener"):
        pending.listen(lambda value, error: None)


def test_answers_that_are_ready_are_gathered_at_once():
    assert gather([1, 2]) == [1, 2]
    assert gather([]) == []


def test_gathered_answers_come_in_order_when_the_last_is_there():
    first: Pending[int] = Pending()
    third: Pending[int] = Pending()
    heard = []
    gather([first, 2, third]).listen(lambda value, error: heard.append(value))
    third.resolve(3)
    assert heard == []
    first.resolve(1)
    assert heard == [[1, 2, 3]]


def test_the_first_error_is_that_of_what_is_gathered():
    pendings: list[Pending[int]] = [Pending(), Pending()]
    heard = []
    gather(pendings).listen(lambda value, error: heard.append(error))
    problem = ValueError()
    pendings[1].fail(problem)
    pendings[0].resolve(1)
    assert heard == [problem]


def test_who_waits_for_what_is_parked_is_parked_too():
    first, second = Pending(), Pending()
    second.parked = True
    together = first.then(lambda value: second)
    assert not together.parked
    first.resolve(1)
    assert together.parked
    second.resolve(2)
    assert (together.done, together.parked) == (True, True)


def test_a_rescue_answers_in_the_stead_of_an_error_and_steps_are_left_out():
    pending: Pending[int] = Pending()
    heard = []
    pending.otherwise(lambda error: 3).then(lambda number: number + 1).listen(lambda *answer: heard.append(answer))
    pending.fail(ValueError())
    assert heard == [(3, None)]


def test_a_rescue_may_have_its_answer_later_or_fail():
    pending: Pending[int] = Pending()
    later: Pending[int] = Pending()
    heard = []
    pending.otherwise(lambda error: later).listen(lambda *answer: heard.append(answer))
    pending.fail(ValueError())
    assert heard == []
    problem = KeyError()
    later.fail(problem)
    assert heard == [(None, problem)]


def test_a_rescue_that_raises_fails_the_answer():
    problem = KeyError()

    def rescue(error):
        raise problem

    pending: Pending[int] = Pending()
    heard = []
    pending.otherwise(rescue).listen(lambda *answer: heard.append(answer))
    pending.fail(ValueError())
    assert heard == [(None, problem)]


def test_a_rescue_comes_too_late_for_nothing():
    failed: Pending[int] = Pending()
    failed.fail(ValueError())
    fine: Pending[int] = Pending()
    fine.resolve(7)
    heard = []
    for pending in (failed, fine):
        pending.otherwise(lambda error: 3).listen(lambda *answer: heard.append(answer))
    assert heard == [(3, None), (7, None)]


def test_what_a_step_raises_is_rescued_too():
    pending: Pending[int] = Pending()
    heard = []
    pending.then(lambda number: number // 0).otherwise(lambda error: 0).listen(lambda *answer: heard.append(answer))
    pending.resolve(1)
    assert heard == [(0, None)]


def test_who_overhears_is_told_of_an_error_before_whoever_waits():
    problem = ValueError()
    pending: Pending[int] = Pending()
    heard = []
    pending.overhear(heard.append).listen(lambda value, error: heard.append("waited"))
    pending.fail(problem)
    assert heard == [problem, "waited"]


def test_who_overhears_is_told_of_what_steps_and_a_rescue_made_of_it():
    problem = KeyError()

    def rescue(error):
        raise problem

    pending: Pending[int] = Pending()
    heard = []
    pending.then(lambda number: number // 0).otherwise(rescue).overhear(heard.append)
    pending.resolve(1)
    assert heard == [problem]


def test_who_overhears_is_told_nothing_of_an_answer_or_of_what_nobody_waits_for():
    heard = []
    for end in (lambda pending: pending.resolve(1), lambda pending: pending.fail(Cancelled())):
        pending: Pending[int] = Pending()
        pending.overhear(heard.append)
        end(pending)
    assert heard == []


def test_who_overhears_too_late_is_told_at_once():
    problem = ValueError()
    pending: Pending[int] = Pending()
    pending.fail(problem)
    heard = []
    pending.overhear(heard.append)
    assert heard == [problem]
