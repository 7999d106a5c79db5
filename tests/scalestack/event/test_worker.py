"""A thread for calls that block: in order, one at a time, and never on a loop."""

import threading

import pytest

from scalestack.event.loops import Loops
from scalestack.event.makers import loop_maker
from scalestack.event.worker import Worker
from support.web import PATIENCE


@pytest.fixture
def worker():
    worker = Worker("test")
    yield worker
    worker.join()


@pytest.fixture
def thread():
    loops = Loops(1, loop_maker("asyncio"))
    loops.start()
    yield loops.threads[0]
    loops.stop()


def ask(worker, thread, call):
    """What comes of it on the loop, and in which thread that was."""
    came = []
    there = threading.Event()

    def take(value, error):
        came.append((value, error, threading.current_thread().name))
        there.set()

    thread.post(lambda: worker.ask(thread, call).listen(take))
    assert there.wait(PATIENCE)
    return came[0]


def test_calls_are_made_in_order(worker):
    made = []
    for number in range(100):
        worker.do(lambda number=number: made.append(number))
    worker.join()
    assert made == list(range(100))


def test_calls_are_made_in_a_thread_of_its_own(worker, thread):
    assert ask(worker, thread, lambda: threading.current_thread().name) == ("test", None, "loop-0")


def test_what_a_call_raises_is_the_answer(worker, thread):
    def fail():
        raise ValueError("no")

    _, error, name = ask(worker, thread, fail)
    assert (str(error), name) == ("no", "loop-0")


def test_an_error_that_nobody_waits_for_is_logged_and_the_next_call_is_made(worker, caplog):
    made = []
    worker.do(lambda: 1 / 0)
    worker.do(lambda: made.append(1))
    worker.join()
    assert made == [1]
    assert "a call failed" in caplog.text


def test_no_thread_begins_before_the_first_call(worker):
    assert "test" not in {each.name for each in threading.enumerate()}


def test_what_was_taken_is_still_done_at_the_end(worker):
    made = []
    held = threading.Event()
    worker.do(held.wait)
    worker.do(lambda: made.append(1))
    worker.close()
    held.set()
    worker.join()
    assert made == [1]


def test_after_the_end_calls_are_made_at_once(worker):
    worker.join()
    made = []
    worker.do(lambda: made.append(threading.current_thread()))
    assert made == [threading.current_thread()]
