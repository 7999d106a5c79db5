"""The examples, each run as a process of its own, as a reader would run it."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.process import leveret, process
from support.web import PATIENCE, Client

EXAMPLES = Path(__file__).parent.parent / "examples"
QUEUES = EXAMPLES / "queues"
SCALESTACK = EXAMPLES / "scalestack"


def test_each_is_a_page():
    found = [*EXAMPLES.rglob("*.py"), *EXAMPLES.rglob("*.html")]
    assert len(found) > 7
    for path in found:
        assert len(path.read_text().splitlines()) <= 115, path


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (SCALESTACK / "echo.py", ["seven"]),
        (SCALESTACK / "notes.py", ["prot=3"]),
        (SCALESTACK / "notes.py", ["http.prot=3"]),
        (QUEUES / "jobs.py", ["put"]),
        (QUEUES / "fanout.py", []),
    ],
)
def test_wrong_use_is_said_in_few_words(path, words):
    done = subprocess.run([sys.executable, path, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") <= 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["dead_letters.py", "delayed.py", "fanout.py publish x", "jobs.py put x"])
def test_without_a_server_they_say_so(words, tmp_path, monkeypatch):
    monkeypatch.setenv("LEVERET_SERVER", f"unix://{tmp_path}/none.sock")
    script, *arguments = words.split()
    command = [sys.executable, QUEUES / script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "none.sock" in done.stderr


# Of queues.


@pytest.fixture(scope="module")
def server():
    with leveret("--store", "memory://") as running:
        yield running


@pytest.fixture
def example(server, tmp_path, monkeypatch):
    """Begin an example in a directory of its own, on the test's server; it is ended with the block, if not before."""
    monkeypatch.setenv("LEVERET_SERVER", f"http://127.0.0.1:{server.port}")
    monkeypatch.chdir(tmp_path)

    @contextmanager
    def begin(name, *words):
        command = [sys.executable, QUEUES / name, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as popen:
            try:
                yield popen
            finally:
                popen.kill()

    return begin


@pytest.fixture
def run(example):
    """Run an example to its end; what it printed."""

    def run(name, *words):
        with example(name, *words) as popen:
            said, errors = popen.communicate(timeout=PATIENCE)
        assert (popen.returncode, errors) == (0, "")
        return said.splitlines()

    return run


def end(popen):
    """Ctrl-C; what was printed beside what was read."""
    popen.send_signal(signal.SIGINT)
    said, errors = popen.communicate(timeout=PATIENCE)
    assert popen.returncode == 0, errors
    return said, errors


def test_jobs(example, run):
    assert run("jobs.py", "put", "cat.jpg", "flaky.jpg", "dog.jpg") == ["put cat.jpg, flaky.jpg, dog.jpg"]
    with example("jobs.py", "work") as worker:
        first, second, third = (worker.stdout.readline() for _ in range(3))
        assert {first, second} == {"resized cat.jpg, at attempt 1\n", "resized dog.jpg, at attempt 1\n"}
        assert third == "resized flaky.jpg, at attempt 2\n"
        said, errors = end(worker)
        assert said == "stopped\n"
        assert errors.count("failed, and is released") == 1
        assert "'flaky.jpg' failed" in errors


def test_fanout(example, run):
    run("fanout.py", "publish", "one", "two")
    with example("fanout.py", "read", "mail") as mail, example("fanout.py", "read", "search") as search:
        for name, reader in (("mail", mail), ("search", search)):
            assert [reader.stdout.readline() for _ in range(2)] == [f"{name}: one\n", f"{name}: two\n"]
        assert end(mail) == ("mail: stopped\n", "")
        run("fanout.py", "publish", "three")
        assert search.stdout.readline() == "search: three\n"
    with example("fanout.py", "read", "mail") as mail:
        # It may have ended before it noted that it had seen the second: then it sees that again.
        seen = mail.stdout.readline()
        assert seen in {"mail: two\n", "mail: three\n"}
        assert "mail: three\n" in {seen, mail.stdout.readline() if "two" in seen else ""}


def test_delayed(run):
    assert run("delayed.py") == ["after 1 s: call Ada", "after 2 s: tea is ready", "after 3 s: leave for the train"]


def test_dead_letters(run):
    assert run("dead_letters.py") == [
        "paid order-1, at attempt 1",
        'dead: order-2 {"amount": 900}, after 3 attempts',
        "put order-2 back into orders",
        "paid order-2, at attempt 1",
        "left: 0 orders, 0 dead letters",
    ]


class Page:
    """What a browser does with the page: its requests, and a stream of events."""

    def __init__(self, port):
        self.ask = Client(port)
        self._port = port

    @contextmanager
    def events(self, last=None):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        connection.request("GET", "/events", headers={"Last-Event-ID": last} if last else {})
        response = connection.getresponse()
        assert response.getheader("Content-Type") == "text/event-stream"

        def events():
            id = ""
            for line in response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    id = value
                elif name == "data":
                    yield id, json.loads(value)["body"]

        try:
            yield events()
        finally:
            response.close()
            connection.close()


def test_web_page(server, monkeypatch):
    monkeypatch.setenv("LEVERET_SERVER", f"http://127.0.0.1:{server.port}")
    with process(str(QUEUES / "web_page.py"), "0") as running:
        page = Page(running.port)
        shown = page.ask("GET", "/")
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        assert "/events" in shown.text
        assert page.ask("GET", "/favicon.ico").status == 404
        with page.events() as one, page.events() as other:
            assert page.ask("PUT", "/messages", b"hello").status == 201
            id, body = next(one)
            assert body == "hello"
            assert next(other) == (id, body)
        page.ask("PUT", "/messages", b"are you there?")
        with page.events(last=id) as again:
            assert next(again)[1] == "are you there?"
        running.signal(signal.SIGINT)
        assert running.wait() == 0
        assert running.popen.stderr.read() == ""


def test_web_page_without_a_queue(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("LEVERET_SERVER", f"http://127.0.0.1:{closed.getsockname()[1]}")
    with process(str(QUEUES / "web_page.py"), "0") as running:
        ask = Client(running.port)
        assert ask("PUT", "/messages", b"hello").status == 502
        assert ask("GET", "/").status == 200
        running.signal(signal.SIGINT)
        assert running.wait() == 0
        assert running.popen.stderr.read() == ""


# Of Scale Stack.


def test_echo():
    with process(str(SCALESTACK / "echo.py"), "0") as running:
        port = int(running.line.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            sock.sendall(b"hello")
            assert sock.recv(10) == b"hello"
        running.signal(signal.SIGTERM)
        assert running.wait() == 0


def test_notes():
    with process(str(SCALESTACK / "notes.py"), "http.port=0", "notes.token=secret", "log.access=true") as running:
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
