"""Fixtures for programs that use Leveret: a server for the session, and an empty queue for each test.

Loads nothing before a test asks for one of them: every run of pytest pays for what is loaded here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from leveret.client import Queue

_PATIENCE: Final = 10  # seconds in which the server has to end


@dataclass(frozen=True)
class LeveretServer:
    """A running server."""

    url: str  # for `leveret.connect`


@pytest.fixture(scope="session")
def leveret_server() -> Iterator[LeveretServer]:
    """A Leveret server on a free port, which keeps messages in memory: one for the whole session."""
    # In a process of its own: in this one it would take the place of the handlers of `logging`, and so of caplog.
    command = [sys.executable, "-m", "leveret", "serve", "--host", "127.0.0.1", "--port", "0", "--store", "memory://"]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,  # noqa: S603 - ours
    ):
        try:
            assert process.stdout is not None
            found = re.search(r"https?://\S+?:\d+", process.stdout.readline())
            if found is None:
                process.wait(_PATIENCE)
                errors.seek(0)
                pytest.fail(f"leveret serve did not start: {errors.read().strip()}", pytrace=False)
            yield LeveretServer(found[0])
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def leveret_queue(leveret_server: LeveretServer) -> Iterator[Queue]:
    """An empty queue of `leveret_server`, in an account that no other test has."""
    from leveret.client import connect, make_id  # noqa: PLC0415

    with connect(leveret_server.url) as client:
        queue = client.queue(f"test-{make_id()}", "queue")
        yield queue
        client.delete_account(queue.account)
