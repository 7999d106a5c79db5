"""A worker that dies in the middle of a job, and one that is too slow: the job is another's when the lease ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leveret import connect
from leveret.client import LeaseLost, Queue
from support.process import leveret
from support.web import PATIENCE, eventually

ACCOUNT = "acme"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with leveret("--store", f"sqlite:///{tmp_path}/queue.db") as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def jobs(url: str) -> Iterator[Queue]:
    with connect(url) as client:
        yield client.queue(ACCOUNT, "jobs")


@contextmanager
def worker(url: str, *command: str) -> Iterator[subprocess.Popen[str]]:
    """`leveret work`, with a lease of one second, in a process of its own."""
    options = ["--server", url, "--account", ACCOUNT, "--seconds", "1"]
    arguments = [sys.executable, "-m", "leveret", "work", "jobs", *options, "--", *command]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def test_the_job_of_a_worker_that_is_killed_is_done_by_another(url: str, jobs: Queue) -> None:
    jobs.put("resize cat.jpg")
    with worker(url, "sh", "-c", "echo begun; sleep 60") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "begun\n"
        first.send_signal(signal.SIGKILL)
        assert first.wait(PATIENCE) == -signal.SIGKILL
        with worker(url, "sh", "-c", 'echo "$LEVERET_DELIVERIES: $(cat)"') as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "2: resize cat.jpg\n"
            second.send_signal(signal.SIGTERM)
            assert second.wait(PATIENCE) == 0
        assert jobs.stats() is None


def test_the_commands_of_a_worker_that_is_killed_are_ended_with_all_that_they_started(url: str, jobs: Queue) -> None:
    jobs.put("resize cat.jpg")
    # A command that is given its message is watched.
    with worker(url, "sh", "-c", "cat > /dev/null; sleep 600 & echo begun; sleep 600; echo over") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "begun\n"
        first.send_signal(signal.SIGKILL)
        # All of them hold their standard output, which is at its end when none is left.
        assert first.stdout.read() == ""


def test_what_a_command_has_left_running_is_not_ended_with_the_worker(url: str, jobs: Queue, tmp_path: Path) -> None:
    """The command is done, and its number may be another's by now."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    jobs.put("resize cat.jpg")
    with worker(url, "sh", "-c", f"(read line < {gate}; echo $line) & echo begun") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "begun\n"
        eventually(lambda: jobs.stats() is None)
        first.send_signal(signal.SIGTERM)
        assert first.wait(PATIENCE) == 0
        gate.write_text("still there\n")
        assert first.stdout.readline() == "still there\n"


def test_a_worker_whose_lease_ran_out_can_not_delete_the_message(jobs: Queue) -> None:
    id = jobs.put("resize cat.jpg")
    slow = jobs.claim(seconds=1, keep=False)
    assert slow is not None
    other = jobs.claim(seconds=60, wait=PATIENCE)
    assert other is not None
    assert other.id == id
    with pytest.raises(LeaseLost) as lost:
        slow.delete()
    assert (lost.value.status, lost.value.code) == (409, "lease-lost")
    other.delete()
    assert jobs.get(id) is None
