"""No provider makes a fetch last: neither by a trickle, nor by what can't be cut."""

import socket
import threading
import time
from functools import partial

import pytest

from scalestack.auth.jwt.config import JwtConfig
from scalestack.auth.jwt.fetch import TIMEOUT, fetch_keys
from scalestack.auth.jwt.limit import FetchError, Limited, Line
from support.web import eventually

LONG = 60.0  # seconds that no test waits


def test_it_answers_what_is_fetched():
    assert Limited(lambda line: 5, LONG)() == 5


@pytest.mark.parametrize("error", [FetchError, ValueError, TimeoutError])
def test_it_fails_as_the_fetch_does(error):
    def fetch(line):
        raise error("why")

    with pytest.raises(error, match=r"^why$"):
        Limited(fetch, LONG)()


def test_one_can_follow_the_other_at_once():
    limited = Limited(lambda line: 5, LONG)
    assert [limited() for _ in range(100)] == [5] * 100


def test_a_provider_that_trickles_is_left_when_the_time_is_over(trickle):
    config = JwtConfig(issuer="any", audience="queues", jwks=trickle.url)
    limited = Limited(partial(fetch_keys, config), 0.1)

    def twice_left():
        began = time.monotonic()
        with pytest.raises(FetchError, match=r"did not answer within 0\.1 seconds"):
            limited()
        assert time.monotonic() - began < TIMEOUT
        limited._given_up.join(TIMEOUT)
        return trickle.left >= 2

    eventually(twice_left)  # where all is slow, a fetch may be over before it has begun to read


class TestWhatCanNotBeCut:
    @pytest.fixture(autouse=True)
    def stuck(self):
        self.began = 0
        self.gate = threading.Event()
        yield
        self.gate.set()

    def fetch(self, line):
        self.began += 1
        self.gate.wait()
        return self.began

    def test_no_other_is_begun_before_it_has_ended(self):
        limited = Limited(self.fetch, 0.01)
        with pytest.raises(FetchError, match="did not answer"):
            limited()
        for _ in range(10):
            with pytest.raises(FetchError, match="has not ended"):
                limited()
        assert self.began == 1

    def test_what_it_finds_too_late_is_for_nobody(self):
        limited = Limited(self.fetch, 0.01)
        with pytest.raises(FetchError):
            limited()
        self.gate.set()
        limited._given_up.join()
        limited._seconds = LONG
        assert limited() == 2

    def test_the_end_does_not_wait_for_it(self):
        limited = Limited(self.fetch, LONG)
        errors = []

        def call():
            try:
                limited()
            except FetchError as error:
                errors.append(error)

        caller = threading.Thread(target=call)
        caller.start()
        eventually(lambda: self.began)
        limited.end()
        limited.end()
        caller.join()
        assert len(errors) == 1

    def test_after_the_end_none_begins(self):
        limited = Limited(self.fetch, LONG)
        limited.end()
        with pytest.raises(FetchError, match="any more"):
            limited()
        assert self.began == 0


@pytest.mark.parametrize("late", [False, True])
def test_a_line_that_is_cut_ends_what_is_on_it(late):
    line = Line()
    near, far = socket.socketpair()
    with near, far:
        for step in (line.cut, lambda: line.add(near)) if late else (lambda: line.add(near), line.cut):
            step()
        assert near.recv(1) == b""
        assert far.recv(1) == b""


def test_what_was_closed_before_does_no_harm():
    line = Line()
    near, far = socket.socketpair()
    with far:
        line.add(near)
        near.close()
        line.cut()
        line.cut()
