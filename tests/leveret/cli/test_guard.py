"""The guard of `leveret work`: it ends what it watches when it has nobody any more, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from leveret.cli.guard import Guard
from support.web import PATIENCE


@contextmanager
def command(script: str) -> Iterator[subprocess.Popen[str]]:
    """A process that leads a group, once it has said something."""
    with subprocess.Popen(
        ["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        try:
            assert running.stdout is not None
            running.stdout.readline()
            yield running
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)


def test_what_it_watches_is_ended_by_sigterm() -> None:
    with command("echo begun; exec sleep 600") as first, command("echo begun; exec sleep 600") as second:
        with Guard(grace=0) as guard:
            guard.watch(first.pid)
            guard.watch(second.pid)
        assert first.wait(PATIENCE) == second.wait(PATIENCE) == -signal.SIGTERM


def test_what_does_not_end_by_sigterm_is_ended_by_sigkill() -> None:
    with command("trap '' TERM; echo begun; while :; do sleep 600; done") as running:
        with Guard(grace=0) as guard:
            guard.watch(running.pid)
        assert running.wait(PATIENCE) == -signal.SIGKILL


def test_what_it_has_forgotten_is_left_alone() -> None:
    with command("echo begun; exec sleep 600") as kept, command("echo begun; exec sleep 600") as ended:
        with Guard(grace=0) as guard:
            for each in (kept, ended):
                guard.watch(each.pid)
            guard.forget(kept.pid)
        assert ended.wait(PATIENCE) == -signal.SIGTERM
        assert kept.poll() is None


def test_signals_to_a_whole_service_do_not_end_the_guard() -> None:
    with command("trap '' TERM; echo begun; while :; do sleep 600; done") as running:
        with Guard(grace=0) as guard:
            guard.watch(running.pid)
            assert guard.pid is not None
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(guard.pid, number)
        assert running.wait(PATIENCE) == -signal.SIGKILL


def test_work_goes_on_where_the_guard_was_killed() -> None:
    with Guard() as guard:
        assert guard.pid is not None
        os.kill(guard.pid, signal.SIGKILL)
        os.waitid(os.P_PID, guard.pid, os.WEXITED | os.WNOWAIT)
        guard.watch(1 << 22)
        guard.forget(1 << 22)
