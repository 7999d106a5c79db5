"""What of HTTP shows: proxies, connections that are kept, answers that don't come, and servers that come back."""

import socket
import threading

import pytest

from leveret import connect
from leveret.client import ClientClosed, Unavailable
from leveret.client.http import Place
from support.web import PATIENCE


class Silent:
    """A server that takes requests, and answers what it is told to."""

    def __init__(self, *answers):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.asked = threading.Event()
        self.connections = 0
        self.requests = 0
        self._answers = list(answers)
        self._kept = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            self._kept.append(connection)
            while data := connection.recv(1 << 16):
                if b"\r\n\r\n" not in data:
                    continue
                self.requests += 1
                self.asked.set()
                answer = self._answers.pop(0) if self._answers else None
                if answer is None:
                    break
                connection.sendall(answer)

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self._thread.join(PATIENCE)
        for connection in self._kept:
            connection.close()


@pytest.fixture
def silent(request):
    server = Silent(*getattr(request, "param", ()))
    yield server
    server.close()


OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize("silent", [[OK, OK, OK]], indirect=True)
def test_one_connection_serves_call_after_call(silent):
    with connect(f"http://127.0.0.1:{silent.port}") as client:
        for _ in range(3):
            client.queue("a", "q").put("x")
    assert (silent.connections, silent.requests) == (1, 3)


@pytest.mark.parametrize("silent", [[b""]], indirect=True)
def test_an_answer_that_does_not_come_is_told_and_a_claim_not_repeated(silent):
    with (
        connect(f"http://127.0.0.1:{silent.port}", timeout=0.1) as client,
        pytest.raises(Unavailable, match="didn't answer in time") as caught,
    ):
        client.queue("a", "q").claim()
    assert caught.value.code == "unanswered"
    assert silent.requests == 1


def test_closing_wakes_a_thread_that_waits_for_an_answer(silent):
    client = connect(f"http://127.0.0.1:{silent.port}")
    ended = []

    def wait():
        with pytest.raises(ClientClosed):
            client.queue("a", "q").claim(wait=600)
        ended.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert silent.asked.wait(PATIENCE)
    client.close()
    waiting.join(PATIENCE)
    assert ended == [True]


@pytest.mark.parametrize("silent", [[OK]], indirect=True)
def test_no_proxy_is_asked_for_this_machine(silent, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with connect(f"http://127.0.0.1:{silent.port}", retries=0) as client:
        client.queue("a", "q").put("x")


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.1.2.3:80", True),
        ("http://[::1]:80", True),
        ("http://localhost", True),
        ("unix:///run/x", True),
        ("https://queue.example", False),
        ("http://10.0.0.1", False),
    ],
)
def test_this_machine_is_known_by_its_names(url, near):
    assert Place.of(url).near is near


def test_a_path_of_a_url_is_before_every_path():
    assert Place.of("https://example/queues/").url == "https://example/queues"
