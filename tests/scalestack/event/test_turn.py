"""Writes that are put off: in order, all of them, and none to what is closed."""

import pytest

from scalestack.event.turn import Turn


class Sink:
    def __init__(self, name, log, closing=False, error=None):
        self.name, self.log, self.closing, self.error = name, log, closing, error

    def is_closing(self):
        return self.closing

    def write(self, data):
        if self.error is not None:
            raise self.error
        self.log.append((self.name, data))


class Scene:
    def __init__(self):
        self.soon = []
        self.failures = []
        self.log = []
        self.turn = Turn(self.soon.append, self.failures.append)

    def sink(self, name, **options):
        return Sink(name, self.log, **options)


@pytest.fixture
def scene():
    return Scene()


def test_nothing_is_written_before_the_turn_ends_and_then_all_in_order(scene):
    one, other = scene.sink("one"), scene.sink("other")
    scene.turn.write(one, b"1")
    scene.turn.write(other, b"2")
    scene.turn.write(one, b"3")
    assert scene.log == []
    (end,) = scene.soon
    end()
    assert scene.log == [("one", b"1"), ("other", b"2"), ("one", b"3")]


def test_each_turn_has_an_end_of_its_own(scene):
    for number in (1, 2):
        scene.turn.write(scene.sink("one"), b"x")
        assert len(scene.soon) == number
        scene.soon[-1]()
    assert len(scene.log) == 2


def test_a_flush_writes_at_once_and_the_end_finds_nothing_more(scene):
    scene.turn.write(scene.sink("one"), b"1")
    scene.turn.flush()
    assert scene.log == [("one", b"1")]
    scene.soon[0]()
    scene.turn.flush()
    assert len(scene.log) == 1


def test_what_is_written_while_it_is_flushed_is_for_the_next_turn(scene):
    class Eager(Sink):
        def write(self, data):
            super().write(data)
            if data == b"1":
                scene.turn.write(self, b"2")

    scene.turn.write(Eager("eager", scene.log), b"1")
    scene.soon[0]()
    assert scene.log == [("eager", b"1")]
    scene.soon[1]()
    assert scene.log == [("eager", b"1"), ("eager", b"2")]


def test_much_is_written_at_once(scene):
    for _ in range(3):
        scene.turn.write(scene.sink("one"), b"x" * 20_000)
    assert scene.log == []
    scene.turn.write(scene.sink("one"), b"x" * 20_000)
    assert len(scene.log) == 4
    scene.turn.write(scene.sink("one"), b"x")
    assert len(scene.log) == 4
    scene.soon[-1]()
    assert len(scene.log) == 5


def test_what_is_closed_is_not_written_to(scene):
    scene.turn.write(scene.sink("closed", closing=True), b"x")
    scene.turn.flush()
    assert scene.log == []


def test_a_write_that_fails_is_told_and_the_others_go_on(scene):
    error = OSError("gone")
    scene.turn.write(scene.sink("bad", error=error), b"1")
    scene.turn.write(scene.sink("good"), b"2")
    scene.turn.flush()
    assert scene.log == [("good", b"2")]
    assert scene.failures == [error]
