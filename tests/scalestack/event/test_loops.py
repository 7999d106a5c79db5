"""Threads with one event loop each."""

import asyncio
import threading

import pytest

from scalestack.event.loops import LoopError, Loops, LoopThread
from scalestack.event.makers import UnknownLoop, loop_maker
from support.web import PATIENCE


@pytest.fixture(params=["uvloop", "asyncio"])
def maker(request):
    return loop_maker(request.param)


@pytest.fixture
def loops(maker):
    loops = Loops(2, maker)
    loops.start()
    yield loops
    loops.stop()


def test_each_thread_runs_its_own_loop(loops):
    seen = {
        thread.call(lambda: (threading.get_ident(), asyncio.get_running_loop())).result() for thread in loops.threads
    }
    assert len(seen) == 2


def test_a_loop_thread_knows_itself(loops):
    assert LoopThread.current() is None
    for thread in loops.threads:
        assert thread.call(LoopThread.current).result() is thread


def test_a_call_gives_the_result_or_the_error(loops):
    thread = loops.threads[0]
    assert thread.call(divmod, 7, 2).result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        thread.call(divmod, 7, 0).result()


def test_posts_run_in_order(loops):
    thread = loops.threads[0]
    seen = []
    for number in range(1000):
        thread.post(seen.append, number)
    thread.call(lambda: None).result()
    assert seen == list(range(1000))


def test_posts_of_many_threads_all_run(loops):
    thread = loops.threads[0]
    seen = []
    posters = [
        threading.Thread(target=lambda: [thread.post(seen.append, number) for number in range(2000)]) for _ in range(4)
    ]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    thread.call(lambda: None).result()
    assert sorted(seen) == sorted(list(range(2000)) * 4)


def test_a_batch_of_posts_wakes_the_loop_once(loops):
    thread = loops.threads[0]
    blocked, go_on = threading.Event(), threading.Event()
    thread.post(lambda: (blocked.set(), go_on.wait(PATIENCE)))
    blocked.wait(PATIENCE)
    wakes = []
    call_soon_threadsafe = thread.loop.call_soon_threadsafe

    class Counting:
        def __getattr__(self, name):
            return getattr(loop, name)

        def call_soon_threadsafe(self, *args):
            wakes.append(args)
            return call_soon_threadsafe(*args)

    loop, thread.loop = thread.loop, Counting()
    try:
        for number in range(100):
            thread.post(divmod, number, 7)
    finally:
        thread.loop = loop
        go_on.set()
    assert len(wakes) == 1


def test_a_post_that_fails_does_not_stop_the_next(loops):
    thread = loops.threads[0]
    problems = []
    thread.call(thread.loop.set_exception_handler, lambda loop, context: problems.append(context["exception"])).result()
    thread.post(divmod, 1, 0)
    assert thread.call(lambda: "next").result() == "next"
    assert [type(problem) for problem in problems] == [ZeroDivisionError]


def test_what_is_called_soon_runs_after_what_is_ready(loops):
    thread = loops.threads[0]
    order = []
    done = threading.Event()

    def run():
        thread.soon(order.append, "soon")
        thread.soon(done.set)
        order.append("now")

    thread.call(run).result()
    assert done.wait(PATIENCE)
    assert order == ["now", "soon"]


def test_a_timer_rings_unless_it_is_cancelled(loops):
    thread = loops.threads[0]
    rung = threading.Event()
    cancelled = []

    def set_timers():
        thread.later(0.001, cancelled.append, True).cancel()
        thread.later(0.002, rung.set)

    thread.call(set_timers).result()
    assert rung.wait(PATIENCE)
    assert cancelled == []


def test_stopping_runs_what_was_posted_before_and_drops_what_comes_after(maker):
    loops = Loops(1, maker)
    loops.start()
    seen = []
    for number in range(100):
        loops.threads[0].post(seen.append, number)
    loops.stop()
    loops.stop()
    loops.threads[0].post(seen.append, "late")
    assert seen == list(range(100))
    with pytest.raises(LoopError, match="has ended"):
        loops.threads[0].call(lambda: None).result()


def test_stopping_cancels_tasks(maker):
    loops = Loops(1, maker)
    loops.start()
    ended = []

    async def sleeper():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    thread = loops.threads[0]
    task = thread.call(lambda: thread.loop.create_task(sleeper())).result()
    thread.call(lambda: None).result()
    loops.stop()
    assert task.cancelled()
    assert ended == [True]


def test_a_loop_that_can_not_be_made_stops_those_that_were():
    made = []

    def maker():
        if made:
            raise OSError("no more loops")
        made.append(asyncio.new_event_loop())
        return made[0]

    loops = Loops(3, maker)
    with pytest.raises(LoopError, match="thread 'loop-1' did not start: no more loops"):
        loops.start()
    assert made[0].is_closed()


def test_an_unknown_loop_is_named_with_those_that_are_known():
    with pytest.raises(UnknownLoop, match=r"'trio'; known are auto, uvloop, asyncio"):
        loop_maker("trio")


def test_auto_makes_a_loop_that_works():
    loop = loop_maker("auto")()
    loop.close()
