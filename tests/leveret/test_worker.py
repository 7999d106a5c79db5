"""A function that works off a queue: how many at a time, what follows a failure, and how it ends."""

import asyncio
import logging
import signal
import threading

import pytest

from leveret import connect, connect_async, worker
from leveret.client import AsyncClient, BadRequest, ClientClosed, workers
from leveret.client.calls import Retry, Unsent
from leveret.client.client import Client
from support.process import leveret, process
from support.scripted import AsyncScripted, Scripted, found, problem, reply
from support.web import PATIENCE, eventually

NOTHING = problem(404, "no-match")


@pytest.fixture
def queue():
    with connect("memory://") as client:
        yield client.queue("acme", "jobs")


@pytest.fixture(scope="module")
def server():
    with leveret("--store", "memory://") as server:
        yield server


@pytest.fixture
def running(monkeypatch):
    """Run workers in threads, which are to end with the test, and without a wait."""
    monkeypatch.setattr(workers, "_POLL", 0)
    threads = []

    def start(work):
        thread = threading.Thread(target=work.run)
        thread.start()
        threads.append((work, thread))
        return thread

    yield start
    for work, thread in threads:
        work.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_each_message_is_worked_on_and_deleted(queue, running):
    queue.put_many([*"123"])
    seen = []

    @worker(queue)
    def work(message):
        seen.append(message.text)

    running(work)
    eventually(lambda: sorted(seen) == ["1", "2", "3"] and queue.stats() is None)


def test_so_many_at_a_time_and_no_more(queue, running):
    queue.put_many([*"12345"])
    barrier = threading.Barrier(2)
    at_once = []
    working = threading.Semaphore(0)

    @worker(queue, concurrency=2)
    def work(message):
        working.release()
        at_once.append(working._value)
        if message.text != "5":
            barrier.wait(PATIENCE)  # two are needed to get through
        working.acquire()

    running(work)
    eventually(lambda: len(at_once) == 5)
    assert max(at_once) <= 2


def test_a_failure_releases_the_message_with_the_back_off_and_is_logged_in_one_line(queue, running, caplog):
    queue.put("bad", id="1")

    @worker(queue, backoff=lambda message: 100 + message.deliveries)
    def work(message):
        raise ValueError("it is bad\nand there is more")

    running(work)
    eventually(lambda: caplog.messages)
    assert caplog.messages == [
        "jobs: message '1' failed, and is released to be tried again: ValueError: it is bad",
    ]
    assert 90 < queue.get("1").hide <= 101


def test_what_runs_is_finished_when_it_is_to_stop(queue, running):
    queue.put_many([*"12"])
    begun, go = threading.Event(), threading.Event()

    @worker(queue, concurrency=1)
    def work(message):
        begun.set()
        assert go.wait(PATIENCE)

    thread = running(work)
    assert begun.wait(PATIENCE)
    work.stop()
    go.set()
    thread.join(PATIENCE)
    assert [message.text for message in queue.messages(hidden=True)] == ["2"]
    assert queue.claim(keep=False).deliveries == 1  # nothing was taken that nobody worked on


def scripted_worker(*script):
    """A worker that stops when its script ends, and what it asked."""
    pauses = []
    client = Client(Scripted(*script), Retry(0, spread=lambda: 1.0), pauses.append)
    work = worker(client.queue("a", "q"))(lambda message: None)

    def last(call):
        work.stop()
        return NOTHING

    client._transport.script.append(last)
    return work, client._transport, pauses


def test_it_goes_on_when_the_service_is_away(caplog):
    def answer(call):
        if call.method == "DELETE":
            work.stop()
            return reply(204)
        return NOTHING

    claimed = reply(200, [found("1", receipt="r")])
    work, transport, pauses = scripted_worker(Unsent("no way there"), problem(500, "internal"), claimed)
    transport.script = [*transport.script[:-1], *[answer] * 10_000]
    work.run()
    assert sum(pauses) == 1 + 2
    assert "DELETE /v1.1/a/q/1?receipt=r" in transport.asked
    assert "q: can't be claimed from, next try in 1.0 seconds: no way there" in caplog.messages


def test_it_ends_with_what_no_repetition_helps():
    work, _, _ = scripted_worker(problem(400, "bad-parameter"))
    with pytest.raises(BadRequest):
        work.run()


def test_it_ends_with_its_client(queue):
    work = worker(queue)(lambda message: None)
    queue.client.close()
    with pytest.raises(ClientClosed):
        work.run()


def test_coroutines_are_worked_on_in_tasks(caplog):
    caplog.set_level(logging.ERROR)
    seen = []

    async def main():
        async with connect_async("memory://") as client:
            queue = client.queue("acme", "jobs")
            await queue.put_many(["1", "2", "bad", "last"])
            met = asyncio.Event()

            @worker(queue, concurrency=2, backoff=77)
            async def work(message):
                seen.append(message.text)
                if message.text == "1":
                    await met.wait()  # for the one that is worked on beside it
                elif message.text == "2":
                    met.set()
                elif message.text == "bad":
                    raise ValueError("it is bad")
                else:
                    work.stop()

            await asyncio.wait_for(work.serve(), PATIENCE)
            assert [message.text async for message in queue.messages(hidden=True)] == ["bad"]

    asyncio.run(main())
    assert sorted(seen) == ["1", "2", "bad", "last"]
    assert len(caplog.messages) == 1


def test_tasks_that_are_cancelled_release_their_messages():
    async def main():
        async with connect_async("memory://") as client:
            queue = client.queue("acme", "jobs")
            await queue.put("x", id="1")
            begun = asyncio.Event()

            @worker(queue, concurrency=1)
            async def work(message):
                begun.set()
                await asyncio.Event().wait()

            serving = asyncio.create_task(work.serve())
            await begun.wait()
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            assert 0 < (await queue.get("1")).hide <= 1

    asyncio.run(main())


def test_coroutines_go_on_when_the_service_is_away():
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    async def main():
        transport = AsyncScripted(Unsent("no way there"), problem(503, "x"))
        client = AsyncClient(transport, Retry(0, spread=lambda: 1.0), sleep)

        @worker(client.queue("a", "q"))
        async def work(message):
            pass

        def last(call):
            work.stop()
            return NOTHING

        transport.script.append(last)
        await work.serve()

    asyncio.run(main())
    assert sum(pauses) == 1 + 2


def test_a_worker_can_be_called_by_hand_and_is_named_as_its_function(queue):
    @worker(queue)
    def resize(message):
        """Make it smaller."""
        return message * 2

    assert resize(21) == 42
    assert (resize.__name__, resize.__doc__) == ("resize", "Make it smaller.")


def test_functions_and_queues_have_to_fit(queue):
    async def work(message):
        pass

    class Work:
        async def __call__(self, message):
            pass

    with pytest.raises(TypeError, match="work is a coroutine function; it takes a queue of connect_async"):
        worker(queue)(work)
    with pytest.raises(TypeError, match="is a coroutine function"):
        worker(queue)(Work())
    client = connect_async("http://127.0.0.1:1")
    with pytest.raises(TypeError, match="no coroutine function"):
        worker(client.queue("acme", "jobs"))(print)
    with pytest.raises(ValueError, match="concurrency is 0"):
        worker(queue, concurrency=0)


PROGRAMS = {
    "function": """
from leveret import connect, worker
with connect({url!r}) as client:
    queue = client.queue("acme", "jobs")
    @worker(queue)
    def work(message):
        print("ready on it", flush=True)
        sleep(0.1)
        print("done", flush=True)
    queue.put("x")
    work.run()
""",
    "coroutine": """
from leveret import connect, connect_async, worker
@worker(connect_async({url!r}).queue("acme", "jobs"))
async def work(message):
    print("ready on it", flush=True)
    sleep(0.1)
    print("done", flush=True)
with connect({url!r}) as client:
    client.queue("acme", "jobs").put("x")
work.run()
""",
}


@pytest.mark.parametrize(("kind", "number"), [("function", signal.SIGTERM), ("coroutine", signal.SIGINT)])
def test_a_signal_lets_what_runs_finish_and_then_ends_it(kind, number, server):
    url = f"http://127.0.0.1:{server.port}"
    program = "from time import sleep" + PROGRAMS[kind].format(url=url) + "print('ended', flush=True)"
    with process("-W", "error", "-c", program) as running:
        running.signal(number)
        out, err = running.popen.communicate(timeout=PATIENCE)
    assert (out, err, running.popen.returncode) == ("done\nended\n", "", 0)
