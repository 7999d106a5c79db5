"""Servers in processes of their own: ready, counted, and gone in the end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.peers import processes

# It has a child, as servers that are started by a script do, and the child doesn't end by itself.
LISTENING = """
import socket, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_DFL); signal.pause()"])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()
"""


def test_all_of_a_server_is_gone_when_the_block_ends(tmp_path: Path) -> None:
    port = processes.free_port()
    command = [sys.executable, "-c", LISTENING, str(port)]
    with processes.running(command, port, tmp_path, None, {}) as server:
        assert len(server.pids()) == 2
        assert server.cpu_seconds() >= 0
    assert server.pids() == []


def test_a_server_that_ends_at_once_is_said_with_its_last_line(tmp_path: Path) -> None:
    port = processes.free_port()
    command = [sys.executable, "-c", "raise SystemExit('no such option')"]
    with (
        pytest.raises(processes.NotReady, match="no such option"),
        processes.running(command, port, tmp_path, None, {}),
    ):
        pass
