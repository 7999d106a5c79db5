"""The examples, each run as a process of its own, as a reader would run it."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

from support.process import process
from support.web import PATIENCE, Client

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_each_is_a_page():
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 100, path


def test_wrong_use_is_one_line():
    for name, word in (("echo.py", "seven"), ("notes.py", "prot=3"), ("notes.py", "http.prot=3")):
        done = subprocess.run([sys.executable, EXAMPLES / name, word], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1


def test_echo():
    with process(str(EXAMPLES / "echo.py"), "0") as running:
        port = int(running.line.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            sock.sendall(b"hello")
            assert sock.recv(10) == b"hello"
        running.signal(signal.SIGTERM)
        assert running.wait() == 0


def test_notes():
    with process(str(EXAMPLES / "notes.py"), "http.port=0", "notes.token=secret", "log.access=true") as running:
        ask = Client(int(running.line.rpartition(":")[2]))
        known = {"Authorization": "Bearer secret"}
        assert ask("GET", "/notes/shopping").status == 401
        assert ask("GET", "/notes/shopping", headers={"Authorization": "Bearer wrong"}).status == 401
        assert ask("GET", "/notes/shopping", headers=known).status == 404
        assert ask("PUT", "/notes/shopping", b"buy milk", known).status == 204
        assert ask("GET", "/notes/shopping", headers=known).text == "buy milk"
        assert ask("DELETE", "/notes/shopping", headers=known).status == 405
        ask.close()
        running.signal(signal.SIGINT)
        assert running.wait() == 0
        log = running.popen.stderr.read()
        assert "a note was written" in log
        assert '"target": "/notes/shopping"' in log
        assert "secret" not in log
        assert "milk" not in log
