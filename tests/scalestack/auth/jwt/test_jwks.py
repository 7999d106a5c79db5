"""When keys are fetched, and how long they are used. The clock and the provider are the test's."""

from threading import Event

import pytest

pytest.importorskip("jwt")
pytest.importorskip("cryptography")

from scalestack.auth.jwt.fetch import FetchError
from scalestack.auth.jwt.jwks import GAP, PATIENCE, Jwks
from scalestack.auth.jwt.keyset import KeySet
from scalestack.log import Logger


class Thread:
    """A loop thread whose turns the test takes."""

    def __init__(self):
        self.posts = []
        self.timers = []

    def post(self, function, *args):
        self.posts.append((function, args))

    def later(self, seconds, function, *args):
        timer = Timer(seconds, function, args)
        self.timers.append(timer)
        return timer

    def run(self):
        posts, self.posts = self.posts, []
        for function, args in posts:
            function(*args)


class Timer:
    def __init__(self, seconds, function, args):
        self.seconds = seconds
        self.fire = lambda: None if self.cancelled else function(*args)
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class World:
    def __init__(self, refresh=300.0, stale=86_400.0):
        self.now = 1000.0
        self.fetches = 0
        self.keys = KeySet([], ("ES256",))
        self.down = False
        self.jwks = Jwks(self.fetch, refresh, stale, lambda: self.now)
        self.thread = Thread()

    def fetch(self):
        self.fetches += 1
        if self.down:
            raise FetchError("it is down")
        return self.keys

    def pass_time(self, seconds):
        """As the thread of the keys would."""
        end = self.now + seconds
        while self.jwks._due <= end:
            self.now = max(self.now, self.jwks._due)
            self.jwks.renew()
            self.jwks.expire()
        self.now = end


@pytest.fixture
def world(ec_key):
    world = World()
    world.keys = KeySet([ec_key.public], ("ES256",))
    return world


@pytest.fixture
def said(monkeypatch):
    said = []
    for level in ("info", "warning", "error"):
        monkeypatch.setattr(Logger, level, lambda self, event, level=level, **values: said.append((level, event)))
    return said


def test_there_are_none_before_they_were_fetched(world):
    assert world.jwks.keys is None


def test_they_are_fetched_again_when_they_are_old(world):
    world.pass_time(299)
    assert world.fetches == 1
    world.pass_time(1)
    assert world.fetches == 2


def test_an_answer_with_the_same_keys_changes_nothing(world, ec_key):
    world.jwks.renew()
    keys, version = world.jwks.keys, world.jwks.version
    world.keys = KeySet([dict(ec_key.public)], ("ES256",))
    world.jwks.renew()
    assert world.jwks.keys is keys
    assert world.jwks.version == version


def test_other_keys_change_the_version(world, make_ec_key):
    world.jwks.renew()
    version = world.jwks.version
    world.keys = KeySet([make_ec_key("e2").public], ("ES256",))
    world.jwks.renew()
    assert world.jwks.keys is world.keys
    assert world.jwks.version != version


def test_keys_that_are_published_no_more_are_used_no_more(world, said):
    world.jwks.renew()
    world.keys = KeySet([], ("ES256",))
    world.jwks.renew()
    assert not world.jwks.keys
    assert [level for level, _ in said] == ["warning"]


def test_a_provider_that_is_down_is_asked_every_ten_seconds(world):
    world.down = True
    world.pass_time(60)
    assert world.fetches == 7


def test_and_its_keys_stay_in_use_for_a_day(world):
    world.jwks.renew()
    world.down = True
    world.pass_time(86_399)
    assert world.jwks.keys is not None
    version = world.jwks.version
    world.pass_time(GAP)
    assert world.jwks.keys is None
    assert world.jwks.version != version


def test_they_do_not_outlast_it_by_a_fetch_that_does_not_end(world):
    world.jwks.renew()
    version = world.jwks.version

    def fetch():
        world.now += 86_399
        world.jwks.expire()
        assert world.jwks.keys is not None
        world.now += 1
        world.jwks.expire()
        assert world.jwks.keys is None
        assert world.jwks.version != version
        raise FetchError("it took too long")

    world.jwks._fetch = fetch
    world.jwks.renew()
    assert world.jwks.keys is None


def test_a_stop_gives_up_the_fetch_and_says_nothing_of_it(world, said):
    def fetch():
        begun.set()
        given_up.wait()
        raise FetchError("it was given up")

    begun, given_up = Event(), Event()
    jwks = Jwks(fetch, 300.0, 86_400.0, give_up=given_up.set)
    jwks.start()
    begun.wait()
    jwks.stop()
    assert said == []


def test_its_trouble_is_logged_once_and_so_is_its_end(world, said):
    world.jwks.renew()
    world.down = True
    world.pass_time(3600)
    assert [level for level, _ in said] == ["warning"]
    world.down = False
    world.pass_time(3600)
    assert [level for level, _ in said] == ["warning", "info"]


def test_an_error_that_nobody_foresaw_is_one_of_the_provider(world, said):
    def fetch():
        raise ZeroDivisionError

    jwks = Jwks(fetch, 300.0, 86_400.0, lambda: 0.0)
    jwks.renew()
    assert [level for level, _ in said] == ["warning"]


def test_who_asks_during_a_fetch_for_another_gets_another(world):
    world.jwks._fetch = lambda: world.jwks.hasten() or world.fetch()
    world.jwks.renew()
    assert world.jwks._wait()
    world.jwks._fetch = world.fetch
    world.jwks.renew()
    assert world.fetches == 2
    assert not world.jwks._wanted


class TestWaiting:
    """Requests whose key is unknown."""

    @pytest.fixture(autouse=True)
    def fetched(self, world):
        world.jwks.renew()
        world.now += GAP
        self.answers = []

    def ask(self, world):
        answer = world.jwks.renewed(world.thread)
        if answer is not None:
            answer.listen(lambda *got: self.answers.append(got))
        return answer

    def test_it_goes_on_when_keys_were_fetched_on_its_own_loop(self, world):
        self.ask(world)
        world.jwks.renew()
        assert self.answers == []
        world.thread.run()
        assert self.answers == [(None, None)]
        assert world.thread.timers[0].cancelled or world.thread.timers[0].fire() is None

    def test_all_wait_for_one_fetch(self, world):
        assert all(self.ask(world) is not None for _ in range(100))
        world.jwks.renew()
        world.thread.run()
        assert len(self.answers) == 100
        assert world.fetches == 2

    def test_who_comes_within_ten_seconds_does_not_wait(self, world):
        self.ask(world)
        world.jwks.renew()
        world.now += GAP - 1
        assert self.ask(world) is None
        world.now += 1
        assert self.ask(world) is not None

    def test_a_fetch_that_fails_ends_the_wait_too(self, world):
        world.down = True
        self.ask(world)
        world.jwks.renew()
        world.thread.run()
        assert self.answers == [(None, None)]

    def test_it_waits_five_seconds_at_most(self, world):
        self.ask(world)
        (timer,) = world.thread.timers
        assert timer.seconds == PATIENCE == 5
        timer.fire()
        assert self.answers == [(None, None)]
        world.jwks.renew()
        world.thread.run()
        assert len(self.answers) == 1

    def test_a_client_that_hung_up_is_forgotten(self, world):
        assert self.ask(world).cancel()
        assert world.thread.timers[0].cancelled
        world.jwks.renew()
        world.thread.run()
        assert self.answers == []
        assert world.thread.posts == []

    def test_nobody_waits_for_a_thread_that_has_ended(self, world):
        self.ask(world)
        world.jwks.stop()
        world.thread.run()
        assert self.answers == [(None, None)]
        assert self.ask(world) is None
