"""Parked long polls: who is woken, who gets what, and that no wake-up is lost."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from leveret.waiters import Look, Waiters
from scalestack.event.loops import Loops
from scalestack.event.makers import loop_maker
from scalestack.event.pending import Answer, Pending
from support.web import PATIENCE, eventually

KEY = ("account", "queue")
LONG = 3600.0  # seconds; no test waits for it


class Shelf:
    """What polls look at: messages that are there, and one that comes at a time."""

    def __init__(self):
        self.lock = threading.Lock()
        self.messages = deque()
        self.next_at = None
        self.looks = 0

    def read(self):
        with self.lock:
            self.looks += 1
            found = list(self.messages)
            return Look(found, empty=not found, next_at=self.next_at)

    def take_one(self):
        with self.lock:
            self.looks += 1
            if not self.messages:
                return Look([], empty=True, next_at=self.next_at)
            return Look([self.messages.popleft()], empty=False)


@dataclass
class Wish:
    """What a poll waits for."""

    look: Callable[[], Answer[Look[list[object]]]]
    nothing: list[object]
    consumes: bool
    sees_hidden: bool
    narrow: bool


class Poll:
    """One parked poll and what it was answered."""

    def __init__(self, waiters, thread, look, *, consumes, seconds=LONG, sees_hidden=False, narrow=False, key=KEY):
        self.answers = []
        self.thread = thread
        interest = Wish(look, [], consumes, sees_hidden, narrow)

        def park():
            self.pending = waiters.park(key, seconds, interest)
            self.pending.listen(lambda value, error: self.answers.append(error or value))

        thread.call(park).result()

    @property
    def answer(self):
        eventually(lambda: self.answers)
        return self.answers[0]

    def leave(self):
        return self.thread.call(self.pending.cancel).result()


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def waiters(now):
    return Waiters(lambda: now[0])


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture(params=[1, 4], ids=["1 loop", "4 loops"])
def loops(request):
    loops = Loops(request.param, loop_maker("auto"))
    loops.start()
    yield loops
    loops.stop()


@pytest.fixture
def reader(waiters, loops, shelf):
    return lambda index=0, **more: Poll(
        waiters, loops.threads[index % len(loops.threads)], shelf.read, consumes=False, **more
    )


@pytest.fixture
def consumer(waiters, loops, shelf):
    return lambda index=0, **more: Poll(
        waiters, loops.threads[index % len(loops.threads)], shelf.take_one, consumes=True, **more
    )


@pytest.fixture
def settled(loops):
    """Wait until everything that was posted has run, and what that posted, and so on."""

    def settle():
        for _ in range(10):
            for thread in loops.threads:
                thread.call(lambda: None).result()

    return settle


def test_a_poll_looks_again_after_it_is_registered(waiters, shelf, reader):
    shelf.messages.append("came in between")
    assert reader().answer == ["came in between"]
    assert len(waiters) == 0


def test_a_message_wakes_every_reader_and_then_one_consumer(waiters, shelf, reader, consumer, settled, now):
    """What the consumer takes was seen by all readers before, on whichever loop they are."""
    consumers = [consumer(index) for index in range(50)]
    readers = [reader(index) for index in range(50)]
    shelf.messages.append("one")
    waiters.signal(KEY, now[0])
    assert all(poll.answer == ["one"] for poll in readers)
    settled()
    assert [poll.answers for poll in consumers if poll.answers] == [[["one"]]]
    assert len(waiters) == 49


def test_a_reader_that_leaves_does_not_keep_the_consumer_waiting(waiters, loops, shelf, now):
    thread = loops.threads[0]
    dying = Poll(waiters, thread, shelf.read, consumes=False)
    poll = Poll(waiters, thread, shelf.take_one, consumes=True)
    shelf.messages.append("one")

    def wake_and_die():
        waiters.signal(KEY, now[0])
        assert dying.pending.cancel()

    thread.call(wake_and_die).result()
    assert poll.answer == ["one"]


def test_readers_see_what_nobody_takes(waiters, shelf, reader, now):
    readers = [reader(index) for index in range(20)]
    shelf.messages.append("one")
    waiters.signal(KEY, now[0])
    assert all(poll.answer == ["one"] for poll in readers)
    assert len(waiters) == 0


def test_consumers_are_served_in_the_order_in_which_they_came(waiters, shelf, consumer, settled, now):
    consumers = [consumer(index) for index in range(5)]
    for number in range(5):
        shelf.messages.append(number)
        waiters.signal(KEY, now[0])
        settled()
        assert [len(poll.answers) for poll in consumers] == [1] * (number + 1) + [0] * (4 - number)


def test_one_signal_for_many_messages_serves_as_many_consumers(waiters, shelf, consumer, settled, now):
    consumers = [consumer(index) for index in range(5)]
    shelf.messages.extend([1, 2, 3])
    waiters.signal(KEY, now[0])
    settled()
    assert sorted(poll.answers[0][0] for poll in consumers if poll.answers) == [1, 2, 3]


def test_a_consumer_that_finds_nothing_keeps_its_turn(waiters, shelf, consumer, settled, now):
    first, second = consumer(0), consumer(1)
    waiters.signal(KEY, now[0])  # somebody else was faster
    settled()
    shelf.messages.append("next")
    waiters.signal(KEY, now[0])
    assert first.answer == ["next"]
    settled()
    assert second.answers == []


def test_a_consumer_with_a_narrow_filter_passes_on_what_it_does_not_want(waiters, loops, shelf, consumer, settled, now):
    picky = [
        Poll(waiters, loops.threads[0], lambda: Look([], empty=True), consumes=True, narrow=True) for _ in range(3)
    ]
    plain = consumer(1)
    shelf.messages.append("for anybody else")
    waiters.signal(KEY, now[0])
    assert plain.answer == ["for anybody else"]
    settled()
    assert all(poll.answers == [] for poll in picky)
    assert len(waiters) == 3


def test_a_consumer_that_leaves_with_a_wake_up_passes_it_on(waiters, loops, shelf, now):
    thread = loops.threads[0]
    dying = Poll(waiters, thread, shelf.take_one, consumes=True)
    heir = Poll(waiters, thread, shelf.take_one, consumes=True)
    shelf.messages.append("one")

    def wake_and_die():  # its look is posted, and has not run when it leaves
        waiters.signal(KEY, now[0])
        assert dying.pending.cancel()

    thread.call(wake_and_die).result()
    assert heir.answer == ["one"]
    assert dying.answers == []


def test_a_consumer_that_left_takes_nothing(waiters, shelf, consumer, settled, now):
    poll = consumer()
    assert poll.leave()
    shelf.messages.append("one")
    waiters.signal(KEY, now[0])
    settled()
    assert list(shelf.messages) == ["one"]
    assert len(waiters) == 0


def test_a_consumer_whose_time_ends_with_a_wake_up_still_looks_first(waiters, loops, shelf, now):
    thread = loops.threads[0]
    poll = Poll(waiters, thread, shelf.take_one, consumes=True)
    shelf.messages.append("just in time")

    def wake_and_drain():
        waiters.signal(KEY, now[0])
        waiters.drain()

    thread.call(wake_and_drain).result()
    assert poll.answer == ["just in time"]


def test_the_end_of_the_wait_answers_nothing(waiters, reader, consumer):
    assert reader(seconds=0.001).answer == []
    assert consumer(seconds=0.001).answer == []
    assert len(waiters) == 0


def test_hidden_messages_wake_when_their_time_comes(waiters, shelf, reader, now):
    shelf.next_at = now[0] + 0.02
    poll = reader()
    shelf.messages.append("no longer hidden")
    assert poll.answer == ["no longer hidden"]


def test_a_hide_that_is_signalled_later_wakes_as_well(waiters, shelf, consumer, now):
    poll = consumer()
    shelf.messages.append("hidden for a moment")
    waiters.signal(KEY, now[0] + 0.01)
    assert poll.answer == ["hidden for a moment"]


def test_the_earliest_time_counts(waiters, shelf, consumer, now):
    poll = consumer()
    waiters.signal(KEY, now[0] + LONG)
    shelf.messages.append("earlier")
    waiters.signal(KEY, now[0] + 0.01)
    assert poll.answer == ["earlier"]


def test_a_message_that_comes_hidden_wakes_those_who_see_hidden_ones_only(
    waiters, shelf, reader, consumer, settled, now
):
    plain = [reader(0), consumer(1)]
    watcher = reader(2, sees_hidden=True)
    shelf.messages.append("hidden")
    waiters.signal(KEY, now[0] + LONG)
    assert watcher.answer == ["hidden"]
    settled()
    assert [poll.answers for poll in plain] == [[], []]


def test_other_queues_are_left_alone(waiters, shelf, reader, settled, now):
    other = reader(key=("account", "other"))
    shelf.looks = 0
    waiters.signal(KEY, now[0])
    settled()
    assert shelf.looks == 0
    assert other.answers == []


def test_nothing_is_kept_of_polls_that_are_over(waiters, reader, consumer, settled, now):
    polls = [reader(0), consumer(1), reader(2, sees_hidden=True)]
    waiters.signal(KEY, now[0] + LONG)
    for poll in polls:
        poll.leave()
    settled()
    assert len(waiters) == 0
    assert waiters.queues == {}


def test_the_deadline_of_a_poll_that_is_over_is_let_go(loops, reader, settled):
    before, after = reader(), reader()
    before.leave()
    settled()
    deadlines = before.thread.own.deadlines
    held = before.thread.call(lambda: [member for members in deadlines._due.values() for member in members]).result()
    assert before.pending not in held
    assert after.pending in held


def test_draining_answers_all_and_lets_none_wait_any_more(waiters, reader, consumer):
    polls = [make(index) for index in range(10) for make in (reader, consumer)]
    waiters.drain()
    assert all(poll.answer == [] for poll in polls)
    assert reader().answer == []
    assert len(waiters) == 0


def test_an_error_of_the_store_is_the_polls_answer(waiters, loops, consumer, shelf, now):
    def broken():
        raise OSError("the disk is on fire")

    poll = Poll(waiters, loops.threads[0], broken, consumes=True)
    assert isinstance(poll.answer, OSError)
    assert len(waiters) == 0


class SlowStore:
    """Answers later, as a store does that commits in another thread."""

    def __init__(self):
        self.asked = deque()

    def __call__(self):
        self.asked.append(Pending())
        return self.asked[-1]


def test_a_wake_up_that_comes_while_a_slow_store_looks_is_not_lost(waiters, loops, now):
    store = SlowStore()
    thread = loops.threads[0]
    poll = Poll(waiters, thread, store, consumes=True)
    waiters.signal(KEY, now[0])  # after the look began, before it is answered
    thread.call(store.asked.popleft().resolve, Look([], empty=True)).result()
    eventually(lambda: store.asked)
    thread.call(store.asked.popleft().resolve, Look(["found"], empty=False)).result()
    assert poll.answer == ["found"]


def test_one_that_leaves_while_a_slow_store_looks_passes_on(waiters, loops, shelf, settled, now):
    store = SlowStore()
    thread = loops.threads[0]
    dying = Poll(waiters, thread, store, consumes=True)
    thread.call(store.asked.popleft().resolve, Look([], empty=True)).result()
    heir = Poll(waiters, thread, shelf.take_one, consumes=True)
    shelf.messages.append("one")
    waiters.signal(KEY, now[0])
    eventually(lambda: store.asked)
    assert dying.leave()
    thread.call(store.asked.popleft().resolve, Look([], empty=True)).result()
    assert heir.answer == ["one"]


def test_two_thousand_polls_and_one_message(waiters, shelf, reader, consumer, settled, now):
    consumers = [consumer(index) for index in range(2000)]
    shelf.messages.append("one")
    waiters.signal(KEY, now[0])
    settled()
    assert [poll.answers for poll in consumers if poll.answers] == [[["one"]]]
    assert len(waiters) == 1999
    waiters.drain()
    settled()
    assert len(waiters) == 0


def test_no_wake_up_is_lost_between_threads(waiters, loops, shelf, now):
    """Consumers on every loop, and producers on threads of their own: everything is taken, by somebody, once."""
    total, taken, done = 2000, [], threading.Event()

    def park(thread):
        interest = Wish(shelf.take_one, [], consumes=True, sees_hidden=False, narrow=False)
        waiters.park(KEY, LONG, interest).listen(lambda value, error: took(thread, value))

    def took(thread, value):
        taken.extend(value)
        if len(taken) >= total:
            done.set()
        elif value:
            thread.post(park, thread)

    def produce(start):
        for number in range(start, total, 2):
            with shelf.lock:
                shelf.messages.append(number)
            waiters.signal(KEY, now[0])

    for thread in loops.threads:
        for _ in range(3):
            thread.post(park, thread)
    producers = [threading.Thread(target=produce, args=(start,)) for start in range(2)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
    assert done.wait(PATIENCE), f"{total - len(taken)} messages wait although consumers do"
    assert sorted(taken) == list(range(total))
    waiters.drain()
    eventually(lambda: len(waiters) == 0)
