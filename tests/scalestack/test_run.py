"""Running a server until a signal ends it; the signals are the test's."""

import signal

import pytest

from scalestack.run import run


class Server:
    def __init__(self, fails=()):
        self.calls = []
        self.fails = fails

    def __getattr__(self, name):
        def call():
            self.calls.append(name)
            if name in self.fails:
                raise RuntimeError(f"{name} failed")

        return call


def ended_by(*signals, **more):
    server = Server(**more)
    run(server.start, server.stop, server.reload, signals)
    return server.calls


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_and_stops(number):
    assert ended_by(number) == ["start", "stop"]


def test_sighup_reloads_and_it_goes_on():
    assert ended_by(signal.SIGHUP, signal.SIGHUP, signal.SIGTERM) == ["start", "reload", "reload", "stop"]


def test_a_reload_that_fails_changes_nothing():
    assert ended_by(signal.SIGHUP, signal.SIGTERM, fails=["reload"]) == ["start", "reload", "stop"]


def test_what_reads_nothing_again_survives_sighup():
    server = Server()
    run(server.start, server.stop, None, [signal.SIGHUP, signal.SIGTERM])
    assert server.calls == ["start", "stop"]


def test_a_start_that_fails_is_raised_once_all_is_stopped():
    server = Server(fails=["start"])
    with pytest.raises(RuntimeError, match="start failed"):
        run(server.start, server.stop, None, [])
    assert server.calls == ["start", "stop"]
